import { flaws, type Flaw } from "#src/log/flaw.ts";
import { nodeFlaws, type NodeFlaw } from "#src/cluster/node-flaw.ts";
import { meshFlaws, type MeshFlaw } from "./mesh-flaw.ts";

/** Every mistake that can be planted: in the log, in nodes and in what events mean. */
export const plantedFlaws = [...flaws, ...nodeFlaws, ...meshFlaws] as const;
export type PlantedFlaw = (typeof plantedFlaws)[number];

export function logFlawOf(flaw: PlantedFlaw | null): Flaw | null {
  return flaws.find((each) => each === flaw) ?? null;
}

export function nodeFlawOf(flaw: PlantedFlaw | null): NodeFlaw | null {
  return nodeFlaws.find((each) => each === flaw) ?? null;
}

export function meshFlawOf(flaw: PlantedFlaw | null): MeshFlaw | null {
  return meshFlaws.find((each) => each === flaw) ?? null;
}
