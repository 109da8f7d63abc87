import { digestJson, type Digest } from "#src/codec/digest.ts";
import { founding } from "#src/log/durable.ts";
import { Fold } from "#src/log/fold.ts";
import { Application } from "./application.ts";
import { meshTextOf } from "./beginning.ts";
import { Count } from "./count.ts";
import { Failure } from "./failure.ts";
import type { PlantedFlaw } from "./planted.ts";
import { probeNames, type ProbeName } from "./probes.ts";
import { faultKinds, type FaultKind } from "./weather.ts";
import { World } from "./world.ts";

export interface SimulationOptions {
  readonly seed: number;
  /** Ticks with faults; those until everything is calm again come on top. */
  readonly ticks: number;
  /** 3 to 7; drawn from the seed when null. */
  readonly nodeCount: number | null;
  readonly flaw: PlantedFlaw | null;
}

export interface SimulationResult {
  readonly seed: number;
  /** What a checker found; null where nothing. */
  readonly reason: string | null;
  readonly faults: Readonly<Record<FaultKind, number>>;
  readonly probes: Readonly<Record<ProbeName, number>>;
  readonly commitCount: number;
  /** Stands for everything that happened: equal for equal options, everywhere. */
  readonly hash: Digest;
}

/** Ticks within which a command must be committed once all faults have stopped. */
export const commitBoundTicks = 400;
/** Ticks after that within which all members must have equal state. */
export const equalBoundTicks = 400;

/** The state before the first entry, which every node begins with: a mesh, or none yet. */
export function stateOf(meshText: string, sessionMaximum: number): string {
  const application = new Application("");
  application.loadMesh(meshText);
  return new Fold(application, sessionMaximum, null).save();
}

/** Plays one seed to its end. */
export function simulate(options: SimulationOptions): SimulationResult {
  const faults = new Count<FaultKind>(faultKinds);
  const probes = new Count<ProbeName>(probeNames);
  const world = new World(options, faults, probes, (voters, members, sessionMaximum) => {
    const meshText = meshTextOf(members);
    const state = stateOf(meshText, sessionMaximum);
    return { meshText, durable: founding({ voters, learners: [] }, state) };
  });
  const reason = findFailure(() => {
    world.run(options.ticks);
    world.calm(commitBoundTicks, equalBoundTicks);
  });
  const commitCount = world.checks.committed.length;
  const counts = { faults: faults.toJSON(), probes: probes.toJSON(), commitCount };
  const { seed } = options;
  return { seed, reason, ...counts, hash: digestJson([seed, reason, counts, world.trace]) };
}

function findFailure(work: () => void): string | null {
  try {
    work();
    return null;
  } catch (error) {
    if (error instanceof Failure) return error.message;
    if (error instanceof Error && error.message.startsWith("assertion failed: "))
      return new Failure("assertions", error.message.slice(18)).message;
    throw error;
  }
}
