import type { Plan } from "#src/graph/plan.ts";
import type { OptimizerName } from "#src/graph/update.ts";
import type { ModelConfiguration } from "./configuration.ts";

export interface TrainingOptions {
  readonly model: ModelConfiguration;
  /** Sequences per micro-batch. */
  readonly batchSize: number;
  /** Tokens per sequence; at most the model's contextLength, which is the default. */
  readonly contextLength?: number;
  /** More than one adds the `accumulate` phase. The count itself is the host's loop. */
  readonly microBatches?: number;
  readonly optimizer: OptimizerName;
  /** Largest gradient norm; 0 measures without clipping. */
  readonly clipNorm: number;
  /** Blocks are computed again in the backward pass instead of kept. */
  readonly recompute?: boolean;
  /** Sequences per evaluation call; batchSize by default. */
  readonly evaluateBatchSize?: number;
  /** Names of parameters that do not learn, exact or ending in `*`. */
  readonly frozen?: readonly string[];
  /** Embedding tables belong to the `decay` group (true by default), else to `plain`. */
  readonly decayEmbeddings?: boolean;
}

export interface DecodingOptions {
  readonly model: ModelConfiguration;
  /** Tokens the cache holds; at most the model's contextLength. */
  readonly capacity: number;
  /** Tokens of one prefill block; 0 or absent: no prefill phase. */
  readonly prefillRows?: number;
}

/** The plan of training steps and evaluation. Refuses with `model_invalid`. */
export function compileTraining(options: TrainingOptions): Plan {
  throw new Error(`not built yet: ${options.model.style}`);
}

/** The plan of token-by-token decoding over the same parameter layout. Refuses with `model_invalid`. */
export function compileDecoding(options: DecodingOptions): Plan {
  throw new Error(`not built yet: ${options.model.style}`);
}
