import { Refusal } from "#src/refusal/refusal.ts";
import { configureModel, type ModelConfiguration, type ModelRequest } from "./configuration.ts";
import type { OptimizerName } from "#src/graph/update.ts";

/**
 * The one dial. A size names a model and the training settings known to suit it; everything can be
 * overridden. All recipes stand in this table so that tuning is one diff.
 */
export interface Recipe {
  /** The model without its vocabulary, which the tokenizer decides. */
  readonly model: Omit<ModelRequest, "vocabularySize">;
  /** Sequences per micro-batch. */
  readonly batchSize: number;
  readonly microBatches: number;
  readonly steps: number;
  readonly optimizer: OptimizerName;
  /** Highest learning rate of the schedule. */
  readonly learningRate: number;
  /** The schedule ends at this share of learningRate. */
  readonly finalRateRatio: number;
  readonly warmupSteps: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  readonly weightDecay: number;
  readonly clipNorm: number;
}

const common = {
  microBatches: 1,
  optimizer: "adamw",
  finalRateRatio: 0.1,
  warmupSteps: 100,
  beta1: 0.9,
  beta2: 0.99,
  epsilon: 1e-8,
  weightDecay: 0.1,
  clipNorm: 1,
} as const;

const gpt2 = (layers: number, width: number, heads: number, learningRate: number): Recipe => ({
  ...common,
  model: { style: "gpt2", layers, width, heads, contextLength: 1_024 },
  batchSize: 4,
  microBatches: 4,
  steps: 20_000,
  learningRate,
  warmupSteps: 700,
  beta2: 0.95,
});

export const recipes = {
  nano: {
    ...common,
    model: { style: "qwen3", layers: 2, width: 128, heads: 4, contextLength: 64 },
    batchSize: 16,
    steps: 1_000,
    learningRate: 3e-3,
    warmupSteps: 50,
  },
  micro: {
    ...common,
    model: { style: "qwen3", layers: 4, width: 128, heads: 4, contextLength: 128 },
    batchSize: 16,
    steps: 1_300,
    learningRate: 4e-3,
  },
  small: {
    ...common,
    model: { style: "qwen3", layers: 6, width: 192, heads: 6, contextLength: 192 },
    batchSize: 16,
    steps: 800,
    learningRate: 3e-3,
  },
  medium: {
    ...common,
    model: { style: "qwen3", layers: 6, width: 384, heads: 6, contextLength: 256, dropout: 0.1 },
    batchSize: 16,
    steps: 5_000,
    learningRate: 1e-3,
  },
  large: {
    ...common,
    model: { style: "qwen3", layers: 10, width: 512, heads: 8, contextLength: 512, dropout: 0.1 },
    batchSize: 8,
    microBatches: 2,
    steps: 10_000,
    learningRate: 8e-4,
    warmupSteps: 200,
    beta2: 0.95,
  },
  gpt2: gpt2(12, 768, 12, 6e-4),
  "gpt2-medium": gpt2(24, 1_024, 16, 3e-4),
  "gpt2-large": gpt2(36, 1_280, 20, 2.5e-4),
  "gpt2-xl": gpt2(48, 1_600, 25, 2e-4),
} as const satisfies Record<string, Recipe>;

export type SizeName = keyof typeof recipes;
export const sizeNames = Object.keys(recipes) as SizeName[];

/** The recipe of a size by name. Refuses an unknown name with `size_unknown`. */
export function recipeOf(size: string): Recipe {
  if (!Object.hasOwn(recipes, size)) {
    throw new Refusal(
      "size_unknown",
      `There is no size "${size}".`,
      `Sizes are ${sizeNames.join(", ")}.`,
      { size, sizes: sizeNames },
    );
  }
  return recipes[size as SizeName];
}

/** A size's model for a vocabulary; `overrides` win over the recipe. Refuses with `model_invalid`. */
export function modelOfSize(
  size: string,
  vocabularySize: number,
  overrides: Partial<ModelConfiguration> = {},
): ModelConfiguration {
  return configureModel({ ...recipeOf(size).model, vocabularySize, ...overrides });
}
