/**
 * What the trainer process and its parent say to each other. Both ends check every message: the
 * two are the same executable, but nothing from another process is taken on trust.
 */
import * as v from "valibot";
import { runtimeManifestSchema } from "#src/receipt/runtime-manifest.ts";
import { codes, type RefusalCode } from "#src/refusal/codes.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { isaNames } from "./isa.ts";
import { evaluationSchema, stepRecordSchema } from "./record-schemas.ts";
import { runManifestSchema } from "./run-manifest.ts";

const natural = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const text = v.pipe(v.string(), v.maxLength(65_536));

export const refusalSchema = v.object({
  code: text,
  message: text,
  hint: text,
  details: v.record(v.string(), v.unknown()),
});

/** Most step records in one message. */
export const maximumRecords = 256;

const startSchema = v.strictObject({
  type: v.literal("start"),
  run: text,
  /** The run's directory; checkpoints lie in `checkpoints` below it. */
  directory: text,
  manifest: runManifestSchema,
  /** Milliseconds this run may take from the child's start; null without a budget. */
  budgetMs: v.nullable(v.pipe(v.number(), v.minValue(0))),
  threads: v.nullable(v.pipe(natural, v.minValue(1))),
  isa: v.nullable(v.picklist(isaNames)),
  /** Peak measured earlier on this machine with these threads and lane, FLOP/s; null to measure. */
  peakFlops: v.nullable(v.number()),
  /** The best held-out loss so far and its step, for the best checkpoint. */
  best: v.nullable(v.strictObject({ step: natural, loss: v.number() })),
});
export type Start = v.InferOutput<typeof startSchema>;

const toChildSchema = v.variant("type", [
  startSchema,
  /** Everything sent before the `before-checkpoint` of this step is recorded. */
  v.strictObject({ type: v.literal("recorded"), step: natural }),
  /** Finish the step, write a checkpoint, end. */
  v.strictObject({ type: v.literal("stop") }),
  /** All messages have arrived: end the process. */
  v.strictObject({ type: v.literal("end") }),
]);
export type ToChild = v.InferOutput<typeof toChildSchema>;

const toParentSchema = v.variant("type", [
  v.strictObject({
    type: v.literal("started"),
    backend: text,
    threads: natural,
    plannedBytes: natural,
    peakFlops: v.nullable(v.number()),
    /** Completed steps the run goes on from. */
    step: natural,
    fallBacks: v.array(v.strictObject({ rung: text, code: text, reason: text })),
    /** The checkpoint it goes on from; its writer may have died before it could tell of it. */
    restored: v.optional(v.strictObject({ stateDigest: text, manifestDigest: text })),
    /** What computes, as this process describes itself. */
    runtime: v.optional(runtimeManifestSchema),
  }),
  /** The number of steps of a run with a time budget, fixed now. */
  v.strictObject({
    type: v.literal("planned"),
    manifest: runManifestSchema,
    tokensPerSecond: v.number(),
  }),
  v.strictObject({
    type: v.literal("steps"),
    records: v.pipe(v.array(stepRecordSchema), v.maxLength(maximumRecords)),
  }),
  v.strictObject({ type: v.literal("evaluation"), evaluation: evaluationSchema }),
  /** A checkpoint is about to take its place; it waits for `recorded`. */
  v.strictObject({ type: v.literal("before-checkpoint"), step: natural }),
  v.strictObject({
    type: v.literal("checkpoint"),
    step: natural,
    stateDigest: text,
    manifestDigest: text,
    removed: v.array(natural),
    seconds: v.number(),
  }),
  v.strictObject({ type: v.literal("checkpoint-skipped"), step: natural }),
  v.strictObject({ type: v.literal("checkpoint-failed"), step: natural, refusal: refusalSchema }),
  v.strictObject({
    type: v.literal("finished"),
    reason: v.picklist(["completed", "stopped", "budget"]),
    step: natural,
    stateDigest: text,
    evaluation: v.nullable(evaluationSchema),
    /** Time spent in steps alone, and the tokens they read, in this process. */
    trainingSeconds: v.number(),
    trainingTokens: natural,
    residentBytes: v.nullable(natural),
  }),
  v.strictObject({ type: v.literal("refused"), refusal: refusalSchema }),
]);
export type ToParent = v.InferOutput<typeof toParentSchema>;
export type Finished = Extract<ToParent, { type: "finished" }>;

/** Checks a message from the child. Refuses with `trainer_protocol`. */
export function readFromChild(message: unknown): ToParent {
  return read(toParentSchema, message);
}

/** Checks a message from the parent. Refuses with `trainer_protocol`. */
export function readFromParent(message: unknown): ToChild {
  return read(toChildSchema, message);
}

function read<Schema extends v.GenericSchema>(
  schema: Schema,
  message: unknown,
): v.InferOutput<Schema> {
  const parsed = v.safeParse(schema, message);
  if (parsed.success) return parsed.output;
  const issue = parsed.issues[0];
  throw new Refusal(
    "trainer_protocol",
    `A message of the trainer was not understood: ${v.getDotPath(issue) ?? "message"}: ${issue.message}.`,
    "Stop all psionic processes of this home and start again with one version.",
  );
}

/** A refusal as a message carries it. */
export function packRefusal(refusal: Refusal): v.InferOutput<typeof refusalSchema> {
  const { code, message, hint, details } = refusal;
  return { code, message, hint, details: { ...details } };
}

/** The refusal a message carried, as if it had been thrown here. */
export function unpackRefusal(packed: v.InferOutput<typeof refusalSchema>): Refusal {
  const known = Object.hasOwn(codes, packed.code);
  const code = known ? (packed.code as RefusalCode) : "trainer_protocol";
  return new Refusal(code, packed.message, packed.hint, packed.details);
}
