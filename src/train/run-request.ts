/** The words of `psionic train`, turned into everything a run's manifest says about how to train. */
import type { Dataset } from "#src/dataset/dataset.ts";
import { configureModel, type ModelRequest } from "#src/model/configuration.ts";
import { recipeOf, type Recipe, type SizeName } from "#src/model/sizes.ts";
import { Refusal } from "#src/refusal/refusal.ts";
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
import { pinnedReference } from "./run-data.ts";
import { planOf } from "./run-plan.ts";
import type { TrainRequest } from "./train-parameters.ts";

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
export function manifestOf(request: TrainRequest, dataset: Dataset): RunManifest {
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
      reference: pinnedReference(dataset.reference),
      policy: "epoch",
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
