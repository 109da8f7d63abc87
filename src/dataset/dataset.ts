import type { Digest } from "#src/codec/digest.ts";
import type { Tokenizer } from "./tokenizer.ts";

/**
 * One step's input of one rank: `batchSize` rows of `contextLength` tokens, row by row.
 * Dimensions: B rows, T tokens.
 */
export interface Batch {
  /** B·T tokens. */
  readonly tokens: Int32Array;
  /** B·T tokens to predict; `IGNORED` where nothing is to be learnt. */
  readonly targets: Int32Array;
  /** How many targets are not ignored. */
  readonly targetCount: number;
}

/** The target that counts for nothing. */
export const IGNORED = -1;

/** How rows are drawn from the training tokens. */
export type WindowPolicy = "epoch" | "random-window";

/** What decides the batches of a run, beside the dataset. */
export interface AssignmentOptions {
  readonly batchSize: number;
  readonly contextLength: number;
  /** Non-negative safe integer. */
  readonly seed: number;
  /** Ranks that share each step; 1 when absent. Every rank draws its own `batchSize` rows. */
  readonly worldSize?: number;
  /** `epoch` when absent. The built-in task always draws fresh problems. */
  readonly policy?: WindowPolicy;
  /** At most this many held-out rows, spread evenly; all when absent. */
  readonly validationRowMaximum?: number;
}

/** Where a step stands in the data. */
export interface DataPosition {
  /** Rows taken by all ranks before the step. */
  readonly samples: number;
  /** Tokens taken by all ranks before the step. */
  readonly tokens: number;
  /** Whole passes over the training tokens before the step; 0 for the built-in task. */
  readonly epoch: number;
  readonly sampleInEpoch: number;
  /** Rows of one pass; null when there is no end. */
  readonly samplesPerEpoch: number | null;
}

/** The held-out rows, always the same and in the same order. */
export interface Validation {
  readonly rowCount: number;
  readonly batchCount: number;
  /** Targets that count, over all batches. */
  readonly targetCount: number;
  /** Bytes of text those targets stand for: nats / (bytes · ln 2) is bits per byte. */
  readonly targetBytes: number;
  /** Batch `index`; rows beyond the last are token 0 with every target ignored. */
  batch(index: number): Batch;
}

/** The batches of one run: a pure function of dataset, options, step and rank, with no state between calls. */
export interface Assignment {
  readonly options: Required<Omit<AssignmentOptions, "validationRowMaximum">>;
  batch(step: number, rank: number): Batch;
  /** Any stretch of the rows of all ranks and steps, in the order in which steps take them. */
  samples(first: number, count: number): Batch;
  position(step: number): DataPosition;
  readonly validation: Validation;
}

/** Counts of one side of the split. */
export interface SplitCount {
  readonly documents: number;
  readonly tokens: number;
  readonly bytes: number;
}

/** Digits of the numbers that the built-in task adds. */
export const digitCountMaximum = 7;

/** How to open the same dataset again, in another process or at a resume. Plain JSON. */
export type DatasetReference =
  | { readonly task: "text"; readonly directory: string }
  | { readonly task: "addition"; readonly digitCount: number };

/** What a trainer needs of data, whether it is text or the built-in task. */
export interface Dataset {
  readonly task: "text" | "addition";
  /** Digest of everything that decides the batches except the assignment's options. */
  readonly manifestDigest: Digest;
  readonly tokenizer: Tokenizer;
  readonly vocabularySize: number;
  /** Contexts outside these bounds are refused. */
  readonly contextLength: { readonly minimum: number; readonly maximum: number };
  /** Counts of both sides, or null where problems never end. */
  readonly counts: { readonly train: SplitCount; readonly validation: SplitCount } | null;
  readonly reference: DatasetReference;
  /** Refusals: `data_too_small` when a side of the split has fewer tokens than one context needs. */
  assign(options: AssignmentOptions): Assignment;
}

/** How many rows were predicted without a mistake, of the rows that have anything to predict. */
export interface ExactMatch {
  readonly correct: number;
  readonly total: number;
}

/**
 * Compares the most likely token of every position with the targets. A row counts when all its
 * targets agree, which is exactly when greedy generation would have written the whole answer.
 */
export function exactMatch(
  batch: Batch,
  predictions: Int32Array,
  contextLength: number,
): ExactMatch {
  let correct = 0;
  let total = 0;
  for (let start = 0; start < batch.targets.length; start += contextLength) {
    let counted = false;
    let right = true;
    for (let index = start; index < start + contextLength; index++) {
      const target = batch.targets[index]!;
      if (target === IGNORED) continue;
      counted = true;
      if (predictions[index] !== target) right = false;
    }
    if (!counted) continue;
    total++;
    if (right) correct++;
  }
  return { correct, total };
}
