import { flaws, type Flaw } from "#src/log/flaw.ts";
import { nodeFlaws, type NodeFlaw } from "#src/cluster/node-flaw.ts";
import type { Reduce } from "#src/cluster/mesh-fold.ts";
import { reduce } from "#src/cluster/reduce.ts";
import { flawedReduce, meshFlaws } from "./mesh-flaw.ts";
import { flawedRuns, runFlaws, stateFlaws } from "./run-flaw.ts";

/** Every mistake that can be planted: in the log, in nodes and in what events mean to the mesh and its runs. */
export const plantedFlaws = [...flaws, ...nodeFlaws, ...meshFlaws, ...runFlaws] as const;
export type PlantedFlaw = (typeof plantedFlaws)[number];

export function logFlawOf(flaw: PlantedFlaw | null): Flaw | null {
  return flaws.find((each) => each === flaw) ?? null;
}

export function nodeFlawOf(flaw: PlantedFlaw | null): NodeFlaw | null {
  return nodeFlaws.find((each) => each === flaw) ?? null;
}

/** What events mean to a node whose clock is `ownMs`, with the mistake that is planted in that, if one is. */
export function flawedWork(flaw: PlantedFlaw | null, ownMs: () => number): Reduce {
  const ofMesh = meshFlaws.find((each) => each === flaw);
  const ofRuns = stateFlaws.find((each) => each === flaw);
  if (ofMesh !== undefined) return flawedReduce(ofMesh, ownMs);
  return ofRuns === undefined ? reduce : flawedRuns[ofRuns];
}
