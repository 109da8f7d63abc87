import { digestJson, type Digest } from "#src/codec/digest.ts";
import type { Contribution, Run, Task } from "#src/window/run.ts";

/**
 * Training without numbers: states are digests, a step's state follows from the one before and the slots it read.
 * So a revision stands for everything that was accepted on the way to it, in its order.
 */

/** What an artifact of a contribution holds: all states, from the first to the last. */
export interface ToyDelta {
  readonly worker: string;
  /** Of the private state it began with; null for zeros. */
  readonly private: Digest | null;
  readonly states: readonly Digest[];
}

/** The revision that everybody makes of a run's document. */
export function firstRevision({ document, spec }: Run): Digest {
  return digestJson(["revision", document, spec.seed]);
}

export function firstState(revision: Digest, privateState: Digest | null): Digest {
  return digestJson(["state", revision, privateState]);
}

/** Slots of a task in the order in which its worker takes them. */
export function slotsOf({ slices, steps }: Task): readonly number[] {
  const slots = slices.flatMap(({ first, count }) =>
    Array.from({ length: count }, (_, place) => first + place),
  );
  return slots.slice(0, steps);
}

/** The state after one more segment. */
export function afterSegment(state: Digest, slots: readonly number[]): Digest {
  return digestJson(["segment", state, slots]);
}

/** A task's slots, cut into what lies between two commitments. */
export function segmentsOf(task: Task, segmentSteps: number): readonly (readonly number[])[] {
  const slots = slotsOf(task);
  return Array.from({ length: Math.ceil(slots.length / segmentSteps) }, (_, place) =>
    slots.slice(place * segmentSteps, (place + 1) * segmentSteps),
  );
}

/** All states of a task done truly. */
export function trainedStates(start: Digest, task: Task, segmentSteps: number): Digest[] {
  const states = [start];
  for (const slots of segmentsOf(task, segmentSteps))
    states.push(afterSegment(states.at(-1)!, slots));
  return states;
}

export function commitmentsOf({ states }: ToyDelta): Digest {
  return digestJson(["commitments", states]);
}

export function privateOf({ states }: ToyDelta): Digest {
  return digestJson(["private", states.at(-1)!]);
}

export function artifactOf(delta: ToyDelta): Digest {
  return digestJson(["delta", delta.worker, delta.private, delta.states]);
}

/** The next revision: the one before with the deltas that were accepted, by ascending worker. */
export function mergedRevision(before: Digest, accepted: readonly Contribution[]): Digest {
  const deltas = accepted.map(({ worker, artifact }) => [worker, artifact]);
  return digestJson(["revision", before, deltas]);
}

export function revisionArtifact(revision: Digest): Digest {
  return digestJson(["artifact of revision", revision]);
}
