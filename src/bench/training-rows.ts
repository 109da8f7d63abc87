import type { Backend } from "#src/kernel/contract.ts";
import { compileTraining } from "#src/model/compile.ts";
import { configureModel, type ModelRequest } from "#src/model/configuration.ts";
import { trainingFlopsPerToken } from "#src/model/cost.ts";
import type { Clock } from "#src/port/clock.ts";
import { Executor } from "#src/train/executor.ts";
import { optimizerDefaults } from "#src/train/optimizer.ts";
import { Trainer, type TrainingData } from "#src/train/trainer.ts";

export interface TrainingShape {
  readonly name: string;
  readonly model: ModelRequest;
  readonly batchSize: number;
  readonly contextLength: number;
}

/** Whole training steps of GPT-2 style models with AdamW: little batch on a big model, compute bound, overhead bound. */
export const trainingShapes: readonly TrainingShape[] = [
  {
    name: "train-a",
    model: {
      style: "gpt2",
      layers: 12,
      width: 768,
      heads: 12,
      vocabularySize: 50_257,
      contextLength: 1_024,
    },
    batchSize: 4,
    contextLength: 64,
  },
  {
    name: "train-b",
    model: {
      style: "gpt2",
      layers: 6,
      width: 384,
      heads: 6,
      vocabularySize: 512,
      contextLength: 256,
    },
    batchSize: 8,
    contextLength: 256,
  },
  {
    name: "train-c",
    model: {
      style: "gpt2",
      layers: 4,
      width: 128,
      heads: 4,
      vocabularySize: 256,
      contextLength: 64,
    },
    batchSize: 12,
    contextLength: 64,
  },
];

/** A trainer on made-up tokens, ready for its first step. */
export async function prepareTraining(backend: Backend, clock: Clock, shape: TrainingShape) {
  const { batchSize, contextLength } = shape;
  const model = configureModel(shape.model);
  const optimizer = { ...optimizerDefaults("adamw"), weightDecay: 0.1, clipNorm: 1 };
  const plan = compileTraining({
    model,
    batchSize,
    contextLength,
    optimizer: "adamw",
    clipNorm: 1,
    evaluateBatchSize: 1,
  });
  const executor = new Executor(backend, plan, clock);
  const schedule = {
    kind: "constant",
    peakRate: 1e-3,
    steps: 1_000_000,
    warmupSteps: 0,
    finalFraction: 1,
    decayFraction: 0,
  } as const;
  const settings = { seed: 1, batchSize, microBatches: 1, contextLength, optimizer, schedule };
  const trainer = new Trainer(
    executor,
    settings,
    madeUpTokens(model.vocabularySize, batchSize * contextLength),
  );
  await trainer.initialise();
  const tokens = batchSize * contextLength;
  return {
    tokens,
    flops: tokens * trainingFlopsPerToken(model, contextLength),
    run: () => trainer.trainStep(),
    release: () => executor.release(),
  };
}

function madeUpTokens(vocabularySize: number, count: number): TrainingData {
  const none = { batchCount: 0, bytesPerTarget: null, batch: () => batchOf(0) };
  const batchOf = (step: number) => {
    const word = (index: number) => ((step * count + index) * 2_654_435_761) >>> 0;
    const tokens = Int32Array.from({ length: count }, (_, index) => word(index) % vocabularySize);
    return {
      tokens,
      targets: tokens.map((token) => (token * 7 + 1) % vocabularySize),
      targetCount: count,
    };
  };
  return { batch: batchOf, sample: none, full: none };
}
