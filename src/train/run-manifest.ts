/**
 * What a run is: everything that decides its bits, pinned when the run is planned and never changed
 * afterwards (only the number of steps of a run with a time budget is filled in once, before its
 * first step). Resume and replay start from this and nothing else.
 */
import * as v from "valibot";
import { digestJson, type Digest } from "#src/codec/digest.ts";
import { digitCountMaximum } from "#src/dataset/dataset.ts";
import { modelConfigurationSchema } from "#src/model/configuration.ts";
import { optimizerSchema } from "./optimizer.ts";
import { scheduleSchema } from "./schedule.ts";

/** Raised when the loop itself gives other bits for the same settings. */
export const trainerVersion = 1;

const natural = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const positive = v.pipe(v.number(), v.safeInteger(), v.minValue(1));
const digest = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/));

export const runManifestSchema = v.strictObject({
  format: v.literal("psionic-run/1"),
  lane: v.literal("exact/1"),
  trainerVersion: positive,
  seed: natural,
  /** The `--size` it came from; for people. */
  size: v.pipe(v.string(), v.maxLength(64), v.regex(/^\P{C}*$/u)),
  model: modelConfigurationSchema,
  batchSize: positive,
  microBatches: positive,
  contextLength: positive,
  evaluateBatchSize: positive,
  decayEmbeddings: v.boolean(),
  recompute: v.boolean(),
  optimizer: optimizerSchema,
  schedule: scheduleSchema,
  /** True until the trainer has measured this machine and fixed `schedule.steps`. */
  stepsOpen: v.boolean(),
  data: v.strictObject({
    /** Of everything that decides the batches: sources, tokenizer, split, packing. */
    digest,
    tokenizerDigest: digest,
    reference: v.variant("task", [
      v.strictObject({
        task: v.literal("text"),
        /** Its name among the home's prepared datasets. */
        directory: v.pipe(v.string(), v.maxLength(200), v.regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/)),
      }),
      v.strictObject({
        task: v.literal("addition"),
        digitCount: v.pipe(positive, v.maxValue(digitCountMaximum)),
      }),
    ]),
    policy: v.picklist(["epoch", "random-window"]),
  }),
  planDigest: digest,
  evaluation: v.strictObject({ everySteps: natural, batches: positive }),
  checkpoints: v.strictObject({ everySteps: natural, keepLast: positive, keepEverySteps: natural }),
});

export type RunManifest = v.InferOutput<typeof runManifestSchema>;

export function runDigest(manifest: RunManifest): Digest {
  return digestJson(manifest);
}
