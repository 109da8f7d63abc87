/**
 * What the process that does a mesh run's native work is asked for, and what it answers. Tasks come one at a
 * time; each can be asked again after any end of that process and then goes on from what lies on the disk.
 */
import * as v from "valibot";
import { evaluationSchema } from "../record-schemas.ts";

const natural = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const positive = v.pipe(v.number(), v.safeInteger(), v.minValue(1));
const digest = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/));
const path = v.pipe(v.string(), v.minLength(1), v.maxLength(4_096));
/** Text that tells which word of the rules' `reasons` applies. */
const reason = v.pipe(v.string(), v.maxLength(64), v.regex(/^[a-z_]+$/));

/** Most steps of one window, as the rules have it. */
export const workStepMaximum = 65_536;
/** Most stretches of slots in one task. */
const sliceMaximum = 256;
/** Most segments of one window. */
export const segmentMaximum = 64;
/** Most deltas that are merged at once. */
const deltaMaximum = 64;

/** A revision: where its checkpoint lies, and what it must be. */
export const revisionPlaceSchema = v.strictObject({
  number: natural,
  /** Null only for number 0, which is made from the seed. */
  directory: v.nullable(path),
  /** Null where nobody has said it yet; then it is not compared. */
  digest: v.nullable(digest),
});
export type RevisionPlace = v.InferOutput<typeof revisionPlaceSchema>;

/** The local steps of one worker in one window, fully decided by the rules. */
export const localWorkSchema = v.strictObject({
  window: positive,
  /** Slots in the order in which they are taken; together as many as `steps`. */
  slices: v.pipe(
    v.array(v.strictObject({ first: natural, count: positive })),
    v.minLength(1),
    v.maxLength(sliceMaximum),
  ),
  steps: v.pipe(positive, v.maxValue(workStepMaximum)),
  segmentSteps: v.pipe(positive, v.maxValue(workStepMaximum)),
  /** For each local step, the step of the schedule whose learning rate it takes. */
  scheduleSteps: v.pipe(v.array(natural), v.maxLength(workStepMaximum)),
});
export type LocalWork = v.InferOutput<typeof localWorkSchema>;

const weightedDeltaSchema = v.strictObject({
  worker: v.pipe(v.string(), v.minLength(1), v.maxLength(64)),
  /** Path of its `delta.bin`. */
  file: path,
  /** Accepted tokens, or whatever else the rules weigh by: a positive whole number. */
  weight: positive,
});

export const taskSchema = v.variant("kind", [
  /** Loads or makes a revision, checks it and measures the rate of this machine. */
  v.strictObject({ kind: v.literal("prepare"), revision: revisionPlaceSchema }),
  v.strictObject({
    kind: v.literal("train"),
    revision: revisionPlaceSchema,
    work: localWorkSchema,
    /** The private state to start from; where this home does not have it, zeros. */
    private: v.nullable(digest),
  }),
  /** The state at a commitment of this worker's own work; computed again where it was not kept. */
  v.strictObject({
    kind: v.literal("state"),
    window: positive,
    index: v.pipe(natural, v.maxValue(segmentMaximum)),
  }),
  v.strictObject({
    kind: v.literal("validate"),
    revision: revisionPlaceSchema,
    work: localWorkSchema,
    /** A folder with `delta.bin` and `commitments.json` as they were fetched. */
    contribution: path,
    /** What the worker stated. */
    stated: v.strictObject({ commitments: digest, segments: positive, private: digest }),
    /** The private state the worker may start from, beside zeros. */
    privateBefore: v.nullable(digest),
    /** The segment to compute again, and the state at its beginning as the worker gave it. */
    segment: v.nullable(v.pipe(natural, v.maxValue(segmentMaximum - 1))),
    state: v.nullable(path),
  }),
  v.strictObject({
    kind: v.literal("merge"),
    revision: revisionPlaceSchema,
    deltas: v.pipe(v.array(weightedDeltaSchema), v.minLength(1), v.maxLength(deltaMaximum)),
    /** Where the next revision's checkpoint is to lie; what is there gives way. */
    directory: path,
  }),
  v.strictObject({
    kind: v.literal("evaluate"),
    revision: revisionPlaceSchema,
    /** All held-out rows, or the sample. */
    full: v.boolean(),
  }),
]);
export type Task = v.InferOutput<typeof taskSchema>;
export type TaskKind = Task["kind"];
export type TaskOf<K extends TaskKind> = Extract<Task, { readonly kind: K }>;

export const resultSchema = v.variant("kind", [
  v.strictObject({
    kind: v.literal("prepare"),
    digest,
    /** `avx2`, `neon`, `reference`… */
    lane: v.pipe(v.string(), v.maxLength(32)),
    /** Tokens per second, rounded, at least 1. */
    rate: positive,
  }),
  v.strictObject({
    kind: v.literal("train"),
    /** Holds `delta.bin` and `commitments.json` and nothing else. */
    directory: path,
    /** Of the two files together. */
    sizeBytes: natural,
    commitments: digest,
    segments: positive,
    private: digest,
    /** Milliseconds of computing, over all processes that took part in it. */
    trainMs: natural,
    /** Tokens per second, rounded, at least 1. */
    rate: positive,
  }),
  v.strictObject({ kind: v.literal("state"), directory: path, digest }),
  v.strictObject({
    kind: v.literal("validate"),
    /** Empty where nothing speaks against it; words of the rules. */
    reasons: v.pipe(v.array(reason), v.maxLength(8)),
    /** For people: what was found, with numbers; empty where nothing was. */
    finding: v.pipe(v.string(), v.maxLength(1_024)),
    /** The segment that was computed again; null where none was. */
    segment: v.nullable(natural),
    committed: v.nullable(digest),
    recomputed: v.nullable(digest),
    tookMs: natural,
  }),
  v.strictObject({
    kind: v.literal("merge"),
    number: positive,
    digest,
    directory: path,
  }),
  v.strictObject({
    kind: v.literal("evaluate"),
    evaluation: evaluationSchema,
    /** Float32 bits of the mean nats per counted target. */
    lossBits: v.pipe(v.string(), v.regex(/^[0-9a-f]{8}$/)),
    matches: natural,
  }),
]);
export type TaskResult = v.InferOutput<typeof resultSchema>;
export type ResultOf<K extends TaskKind> = Extract<TaskResult, { readonly kind: K }>;
