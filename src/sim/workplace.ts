import type { Digest } from "#src/codec/digest.ts";
import type { JobKind, Outcome } from "#src/window/job.ts";
import type { Chance } from "./chance.ts";

/** What is on a machine's disk of its work: it outlives the process, or not, as drawn. */
export class WorkDisk {
  readonly outcomes = new Map<string, Outcome>();
  /** Digests of private states that lie here. */
  readonly privates = new Set<Digest>();
  /** Attempts at something that cannot be had, by the key of the work. */
  readonly pulls = new Map<string, number>();

  lose(): void {
    this.outcomes.clear();
    this.privates.clear();
    this.pulls.clear();
  }
}

/** What a machine is like as a worker. */
export interface Temper {
  /** Milliseconds of a step. */
  readonly stepMs: number;
  readonly lane: string;
  /** Whether it may say that it did what it did not. */
  readonly isLiar: boolean;
  /** Runs that it can never work on, by the job at which that shows. */
  readonly hopeless: ReadonlyMap<string, JobKind>;
}

/** A machine as a worker: what outlives its processes. */
export interface Workplace {
  readonly disk: WorkDisk;
  readonly temper: Temper;
}

export function drawWorkplace(chance: Chance, isLiar: boolean): Workplace {
  const stepMs = chance.pick([20, 50, 50, 100, 100, 200, 800]);
  const lane = chance.pick(["avx2", "avx512", "neon"] as const);
  const hopeless = new Map(
    runIds
      .filter(() => chance.happens(0.06))
      .map((run) => [run, chance.pick(["prepare", "train"] as const)]),
  );
  return { disk: new WorkDisk(), temper: { stepMs, lane, isLiar, hopeless } };
}

/** The runs of a simulation. */
export const runIds = ["run1", "run2"] as const;
