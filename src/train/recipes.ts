/**
 * How each kind of run is trained when nothing else is said: the built-in task here, text on top of
 * the model room's sizes. All numbers worth tuning stand in this file and src/model/sizes.ts.
 */
import type { SizeName, Recipe } from "#src/model/sizes.ts";
import type { Schedule } from "./schedule.ts";

/** What a size's recipe leaves open for text. */
export interface TextDefaults {
  readonly tokenizer: "byte" | "char" | "bpe";
  /** Tokens of a trained BPE vocabulary. */
  readonly vocabularySize: number;
  /** Rows of one evaluation call. */
  readonly evaluateBatchSize: number;
  /** Evaluation calls at intervals; the end uses everything held out. */
  readonly evaluateBatches: number;
}

const small: TextDefaults = {
  tokenizer: "byte",
  vocabularySize: 1024,
  evaluateBatchSize: 32,
  evaluateBatches: 4,
};
const large: TextDefaults = {
  tokenizer: "bpe",
  vocabularySize: 8192,
  evaluateBatchSize: 8,
  evaluateBatches: 8,
};
const gpt2: TextDefaults = { ...large, vocabularySize: 50_257, evaluateBatchSize: 4 };

export const textDefaults: Readonly<Record<SizeName, TextDefaults>> = {
  nano: small,
  micro: small,
  small,
  medium: { ...small, evaluateBatchSize: 16 },
  large,
  gpt2,
  "gpt2-medium": gpt2,
  "gpt2-large": gpt2,
  "gpt2-xl": gpt2,
};

export const defaultTextSize: SizeName = "micro";

/**
 * Four-digit addition, answer digits reversed, loss on the answer only (Lee et al. 2023): all
 * held-out problems are right from about step 300 on. Learned positions and wide initial weights
 * matter: with rotary positions, or a deviation of 0.02, nothing is learned in 500 steps.
 */
export const additionRecipe = {
  digitCount: 4,
  model: { style: "gpt2", layers: 2, width: 128, heads: 4, biases: false, deviation: 0.05 },
  batchSize: 256,
  microBatches: 1,
  steps: 600,
  optimizer: "adamw",
  learningRate: 4e-3,
  finalRateRatio: 0.1,
  warmupSteps: 100,
  beta1: 0.9,
  beta2: 0.99,
  epsilon: 1e-8,
  weightDecay: 0.01,
  clipNorm: 1,
} as const satisfies Omit<Recipe, "model"> & { digitCount: number; model: object };

export const additionDefaults = {
  evaluateBatchSize: 250,
  /** 500 of the 2,000 held-out problems at intervals. */
  evaluateBatches: 2,
  evaluateEverySteps: 100,
} as const;

export const scheduleDefaults = {
  kind: "cosine",
  decayFraction: 0.2,
} as const satisfies Partial<Schedule>;

/** Evaluations and checkpoints in a run, when their interval is not given. */
export const evaluationsPerRun = 20;
export const checkpointsPerRun = 10;

export const checkpointRetention = {
  keepLast: 3,
  /** Every one of these many checkpoints stays for replay. */
  keepEvery: 5,
} as const;
