/**
 * What a worker commits to with a contribution: the states its steps led through, the delta it made of the last one
 * and the private state it goes on with. The digest of the document is what it states, before anybody is drawn.
 */
import * as v from "valibot";
import { digestJson, type Digest } from "#src/codec/digest.ts";
import type { Disk } from "#src/port/disk.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { segmentMaximum, type LocalWork } from "./tasks.ts";
import { privateDigest, type StateParts, windowStateDigest } from "./worker-state.ts";

const digest = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/));
const natural = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

export const deltaFile = "delta.bin";
export const commitmentsFile = "commitments.json";
/** The document has one short entry per segment. */
const commitmentsMaximumBytes = 64 * 1024;

export const commitmentsSchema = v.strictObject({
  format: v.literal("psionic-commitments/1"),
  /** Digest of the revision all steps began from. */
  revision: digest,
  /** Digest of the work: window, slices, steps, schedule. */
  work: digest,
  window: natural,
  steps: natural,
  segmentSteps: natural,
  codec: v.pipe(v.string(), v.maxLength(32)),
  /** Updates since the moments were zero, before the first step. */
  age: natural,
  /** What the codec had yet to send, before and after; null for a codec without. */
  residualBefore: v.nullable(digest),
  residualAfter: v.nullable(digest),
  /** Ascending by step, the first state and the last included. */
  states: v.pipe(
    v.array(v.strictObject({ parameters: digest, moments: digest })),
    v.minLength(2),
    v.maxLength(segmentMaximum + 1),
  ),
  /** SHA-256 of `delta.bin`, and its length. */
  delta: digest,
  deltaBytes: natural,
});
export type Commitments = v.InferOutput<typeof commitmentsSchema>;

/** What a contribution's statement names. */
export function commitmentsDigest(commitments: Commitments): Digest {
  return digestJson(commitments);
}

/** Names a piece of work, so that no state of one passes for another's. */
export function workDigest(work: LocalWork, revision: Digest): Digest {
  return digestJson({ version: "psionic-window-work/1", revision, ...work });
}

/** How many segments a number of steps is cut into; the last may be shorter. */
export function segmentCount({ steps, segmentSteps }: Pick<LocalWork, "steps" | "segmentSteps">) {
  return Math.ceil(steps / segmentSteps);
}

/** Local steps taken at a commitment. */
export function stepAt({ steps, segmentSteps }: LocalWork, index: number): number {
  return Math.min(steps, index * segmentSteps);
}

/** The state digest of a commitment. */
export function committedDigest(
  commitments: Commitments,
  work: Pick<LocalWork, "steps" | "segmentSteps">,
  index: number,
): Digest {
  const step = Math.min(work.steps, index * work.segmentSteps);
  const place = { window: commitments.window, work: commitments.work, step };
  return windowStateDigest(place, committedParts(commitments, step, index));
}

function committedParts(commitments: Commitments, step: number, index: number): StateParts {
  const { parameters, moments } = commitments.states[index]!;
  return { parameters, moments, age: commitments.age + step, residual: commitments.residualBefore };
}

/** The private state the worker began with, as it commits to it. */
export function privateAtStart({ age, states, residualBefore }: Commitments): Digest {
  return privateDigest({ age, moments: states[0]!.moments, residual: residualBefore });
}

/** The private state the worker goes on with. */
export function privateAtEnd({ age, steps, states, residualAfter }: Commitments): Digest {
  const { moments } = states.at(-1)!;
  return privateDigest({ age: age + steps, moments, residual: residualAfter });
}

/** Reads the document of a contribution; null where it is none. */
export async function readCommitments(disk: Disk, directory: string): Promise<Commitments | null> {
  const path = `${directory}/${commitmentsFile}`;
  const entry = await disk.stat(path);
  if (entry === null || entry.kind !== "file" || entry.sizeBytes > commitmentsMaximumBytes)
    return null;
  try {
    const parsed = v.safeParse(commitmentsSchema, JSON.parse(await disk.readText(path)));
    return parsed.success ? parsed.output : null;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

/** Refuses with `work_invalid` what no rule would give. */
export function checkWork({ slices, steps, segmentSteps, scheduleSteps, window }: LocalWork): void {
  const slots = slices.reduce((sum, { count }) => sum + count, 0);
  const segments = segmentCount({ steps, segmentSteps });
  if (slots === steps && scheduleSteps.length === steps && segments <= segmentMaximum) return;
  throw new Refusal(
    "work_invalid",
    `The work of window ${window} has ${slots} slots, ${scheduleSteps.length} places in the schedule and ${segments} segments for ${steps} steps.`,
    "This is a mistake of the program that gave it; report it.",
    { slots, steps, segments },
  );
}

/** The slot of every local step, in order. */
export function slotsOf({ slices }: Pick<LocalWork, "slices">): number[] {
  return slices.flatMap(({ first, count }) => Array.from({ length: count }, (_, at) => first + at));
}
