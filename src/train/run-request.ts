/** The words of `psionic train`, turned into everything a run's manifest says about how to train. */
import * as v from "valibot";
import type { Dataset } from "#src/dataset/dataset.ts";
import { optimizerNames } from "#src/graph/update.ts";
import { configureModel, styles, type ModelRequest } from "#src/model/configuration.ts";
import { recipeOf, type Recipe, type SizeName } from "#src/model/sizes.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { isaNames } from "./messages.ts";
import { optimizerDefaults } from "./optimizer.ts";
import {
  additionDefaults,
  additionRecipe,
  checkpointRetention,
  checkpointsPerRun,
  defaultTextSize,
  evaluationsPerRun,
  scheduleDefaults,
  textDefaults,
} from "./recipes.ts";
import { trainerVersion, type RunManifest } from "./run-manifest.ts";
import { planOf } from "./run-plan.ts";
import { scheduleKinds } from "./schedule.ts";

const described = (text: string) => v.description(text);
const whole = (least: number, text: string) =>
  v.optional(v.pipe(v.number(), v.safeInteger(), v.minValue(least), described(text)));
const real = (least: number, text: string) =>
  v.optional(v.pipe(v.number(), v.finite(), v.minValue(least), described(text)));
const flag = (text: string) => v.optional(v.pipe(v.boolean(), described(text)));

/** What `train` takes; every entry is also a setting. */
export const trainParameters = v.strictObject({
  files: v.optional(
    v.pipe(
      v.array(v.string()),
      described("text, JSONL or directories; none: the built-in task, addition"),
    ),
    [],
  ),
  size: v.optional(
    v.pipe(v.string(), described("model size: nano, micro, small, medium, large, gpt2 …")),
  ),
  steps: whole(1, "optimizer steps"),
  minutes: real(0.01, "time budget; the number of steps is fixed after a short measurement"),
  seed: whole(0, "decides weights, batches and dropout"),
  name: v.optional(
    v.pipe(
      v.string(),
      v.regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, "must be letters, digits, dots and dashes"),
      described("name of the run"),
    ),
  ),
  resume: v.optional(
    v.pipe(
      v.union([v.boolean(), v.string()]),
      described("go on with a run: latest, a name or a prefix"),
    ),
    false,
  ),
  checkpointEvery: whole(1, "steps between checkpoints"),
  evaluateEvery: whole(1, "steps between held-out evaluations"),
  threads: v.optional(
    v.pipe(
      v.number(),
      v.integer(),
      v.minValue(1),
      v.maxValue(256),
      described("threads; all cores"),
    ),
  ),
  isa: v.optional(v.pipe(v.picklist(isaNames), described("kernel lane; the best there is"))),
  style: v.optional(v.pipe(v.picklist(styles), described("architecture"))),
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
  schedule: v.optional(v.pipe(v.picklist(scheduleKinds), described("course of the learning rate"))),
  optimizer: v.optional(v.pipe(v.picklist(optimizerNames), described("update rule"))),
  weightDecay: real(0, "weight decay"),
  clip: real(0, "largest gradient norm; 0 turns clipping off"),
  tokenizer: v.optional(
    v.pipe(v.string(), described("byte, char, bpe, or a tokenizer.json; fits the size")),
  ),
  vocabulary: whole(257, "tokens of a trained BPE vocabulary"),
  textField: v.optional(v.pipe(v.string(), described("field of JSONL records; text"))),
  holdOut: v.optional(
    v.pipe(
      v.number(),
      v.integer(),
      v.minValue(1),
      v.maxValue(500),
      described("thousandths of the text held out; 100"),
    ),
  ),
  recompute: flag("compute blocks again in the backward pass to save memory"),
});

export type TrainRequest = v.InferOutput<typeof trainParameters>;

/** The size a request means; the built-in task has one of its own. */
export function sizeOf(request: TrainRequest): SizeName | "addition" {
  if (request.size === undefined) return request.files.length === 0 ? "addition" : defaultTextSize;
  if (request.size === "addition" && request.files.length === 0) return "addition";
  recipeOf(request.size);
  return request.size as SizeName;
}

/**
 * The manifest of a new run over a dataset. Refuses with `usage`, `size_unknown`, `model_invalid`,
 * `data_too_small`. With `minutes` the number of steps stays open until the trainer has measured.
 */
export function manifestOf(
  request: TrainRequest,
  dataset: Dataset,
  policy: "epoch" = "epoch",
): RunManifest {
  const size = sizeOf(request);
  const isAddition = dataset.task === "addition";
  const recipe: Omit<Recipe, "model"> = size === "addition" ? additionRecipe : recipeOf(size);
  const model = configureModel(modelRequest(request, dataset, size));
  const defaults = size === "addition" ? additionDefaults : textDefaults[size];
  const steps = request.steps ?? recipe.steps;
  const stepsOpen = request.minutes !== undefined && request.steps === undefined;
  const share = (count: number) => Math.max(1, Math.ceil(steps / count));
  const everySteps = request.checkpointEvery ?? (stepsOpen ? 0 : share(checkpointsPerRun));
  const settings = {
    model,
    batchSize: request.batch ?? recipe.batchSize,
    microBatches: request.microBatches ?? recipe.microBatches,
    contextLength: model.contextLength,
    evaluateBatchSize: defaults.evaluateBatchSize,
    decayEmbeddings: true,
    recompute: request.recompute ?? false,
    optimizer: optimizerOf(request, recipe),
  };
  return {
    format: "psionic-run/1",
    lane: "exact/1",
    trainerVersion,
    seed: request.seed ?? 0,
    size,
    ...settings,
    schedule: {
      kind: request.schedule ?? scheduleDefaults.kind,
      peakRate: request.learningRate ?? recipe.learningRate,
      warmupSteps: request.warmup ?? Math.min(recipe.warmupSteps, Math.ceil(steps / 10)),
      steps,
      finalFraction: recipe.finalRateRatio,
      decayFraction: scheduleDefaults.decayFraction,
    },
    stepsOpen,
    data: {
      digest: dataset.manifestDigest,
      tokenizerDigest: dataset.tokenizer.digest,
      reference: { ...dataset.reference },
      policy,
    },
    planDigest: planOf(settings).digest,
    evaluation: {
      everySteps:
        request.evaluateEvery ??
        (isAddition
          ? additionDefaults.evaluateEverySteps
          : stepsOpen
            ? 100
            : share(evaluationsPerRun)),
      batches: defaults.evaluateBatches,
    },
    checkpoints: {
      everySteps,
      keepLast: checkpointRetention.keepLast,
      keepEverySteps: everySteps * checkpointRetention.keepEvery,
    },
  };
}

function modelRequest(
  request: TrainRequest,
  dataset: Dataset,
  size: SizeName | "addition",
): ModelRequest {
  const base = size === "addition" ? additionRecipe.model : recipeOf(size).model;
  const contextLength = contextOf(request, dataset, size);
  const { style, layers, width, heads, groups, dropout } = request;
  const asked = { style, layers, width, heads, groups, dropout };
  const given = Object.fromEntries(
    Object.entries(asked).filter(([, value]) => value !== undefined),
  );
  // What the base says about one style means nothing to another.
  const { biases: _, ...portable } = base as ModelRequest;
  const kept = style !== undefined && style !== base.style ? portable : base;
  return { ...kept, ...given, contextLength, vocabularySize: dataset.vocabularySize };
}

function contextOf(request: TrainRequest, dataset: Dataset, size: SizeName | "addition"): number {
  const { minimum, maximum } = dataset.contextLength;
  if (dataset.task === "addition") {
    if (request.context === undefined || request.context === maximum) return maximum;
    throw new Refusal(
      "usage",
      `train: --context: the built-in task has a context of ${maximum}`,
      "Leave --context out.",
      { context: request.context },
    );
  }
  const wanted =
    request.context ?? (size === "addition" ? minimum : recipeOf(size).model.contextLength);
  // A short text still trains, unless the length was asked for.
  return request.context === undefined ? Math.max(1, Math.min(wanted, maximum)) : wanted;
}

function optimizerOf(
  request: TrainRequest,
  recipe: Omit<Recipe, "model">,
): RunManifest["optimizer"] {
  const kind = request.optimizer ?? recipe.optimizer;
  const { beta1, beta2, epsilon, weightDecay, clipNorm } = recipe;
  const base = optimizerDefaults(kind);
  const tuned =
    kind === recipe.optimizer ? { ...base, beta1, beta2, epsilon, weightDecay, clipNorm } : base;
  return {
    ...tuned,
    weightDecay: request.weightDecay ?? tuned.weightDecay,
    clipNorm: request.clip ?? tuned.clipNorm,
  };
}
