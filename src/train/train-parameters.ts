/** The words of `psionic train`: every entry is an option and a setting. Kept light, for help needs it. */
import * as v from "valibot";
import { optimizerNames } from "#src/graph/update.ts";
import { styles } from "#src/model/configuration.ts";
import { scheduleKinds, stepMaximum } from "./schedule.ts";
import { isaParameter, threadsParameter } from "./parameter-entries.ts";

const whole = (least: number, text: string, most = stepMaximum) =>
  v.optional(
    v.pipe(v.number(), v.integer(), v.minValue(least), v.maxValue(most), v.description(text)),
  );
const real = (least: number, text: string, most = floatMaximum) =>
  v.optional(
    v.pipe(v.number(), v.finite(), v.minValue(least), v.maxValue(most), v.description(text)),
  );
/** Settings become float32; larger ones would be infinite. */
const floatMaximum = 3e38;
/** Ten years. */
const minuteMaximum = 10 * 366 * 24 * 60;
const flag = (text: string) => v.optional(v.pipe(v.boolean(), v.description(text)));

export const minutesParameter = real(
  0.01,
  "time budget; the number of steps is fixed after a short measurement",
  minuteMaximum,
);

/** What `train` takes; every entry is also a setting. */
export const trainParameters = v.strictObject({
  files: v.optional(
    v.pipe(
      v.array(v.string()),
      v.description("text, JSONL or directories; none: the built-in task, addition"),
    ),
    [],
  ),
  size: v.optional(
    v.pipe(v.string(), v.description("model size: nano, micro, small, medium, large, gpt2 …")),
  ),
  steps: whole(1, "optimizer steps"),
  minutes: minutesParameter,
  seed: whole(0, "decides weights, batches and dropout", Number.MAX_SAFE_INTEGER),
  name: v.optional(
    v.pipe(
      v.string(),
      v.regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, "must be letters, digits, dots and dashes"),
      v.description("name of the run"),
    ),
  ),
  resume: v.optional(
    v.pipe(
      v.union([v.boolean(), v.string()]),
      v.description("go on with a run: latest, a name or a prefix"),
    ),
    false,
  ),
  checkpointEvery: whole(1, "steps between checkpoints"),
  evaluateEvery: whole(1, "steps between held-out evaluations"),
  threads: threadsParameter("all cores"),
  isa: isaParameter,
  style: v.optional(v.pipe(v.picklist(styles), v.description("architecture"))),
  layers: whole(1, "transformer blocks"),
  width: whole(1, "elements of a token's vector"),
  heads: whole(1, "attention heads"),
  groups: whole(1, "key/value heads"),
  context: whole(1, "tokens of a sequence"),
  dropout: real(0, "share of activations dropped"),
  batch: whole(1, "sequences per micro-batch"),
  microBatches: whole(1, "micro-batches whose gradients add up to one step"),
  learningRate: real(0, "highest learning rate"),
  warmup: whole(0, "steps of warm-up"),
  schedule: v.optional(
    v.pipe(v.picklist(scheduleKinds), v.description("course of the learning rate")),
  ),
  optimizer: v.optional(v.pipe(v.picklist(optimizerNames), v.description("update rule"))),
  weightDecay: real(0, "weight decay"),
  clip: real(0, "largest gradient norm; 0 turns clipping off"),
  tokenizer: v.optional(
    v.pipe(
      v.string(),
      v.description("byte, char, bpe, or a tokenizer.json; by default what fits the size"),
    ),
  ),
  vocabulary: whole(257, "tokens of a trained BPE vocabulary"),
  textField: v.optional(
    v.pipe(v.string(), v.description("field of JSONL records; by default text")),
  ),
  holdOut: v.optional(
    v.pipe(
      v.number(),
      v.integer(),
      v.minValue(1),
      v.maxValue(500),
      v.description("thousandths of the text held out; by default 100"),
    ),
  ),
  recompute: flag("compute blocks again in the backward pass to save memory"),
});

export type TrainRequest = v.InferOutput<typeof trainParameters>;
