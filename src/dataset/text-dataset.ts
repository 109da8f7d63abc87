import { assert, Refusal } from "#src/refusal/refusal.ts";
import {
  IGNORED,
  type Assignment,
  type AssignmentOptions,
  type Batch,
  type Dataset,
  type DatasetReference,
  type DataPosition,
  type Validation,
} from "./dataset.ts";
import type { Manifest } from "./manifest.ts";
import type { TokenSequence } from "./token-file.ts";
import type { Tokenizer } from "./tokenizer.ts";
import { windowOrder, type WindowOrder } from "./window.ts";

/** A corpus of text whose tokens are in memory. */
export class TextDataset implements Dataset {
  readonly task = "text";
  readonly manifestDigest: string;
  readonly vocabularySize: number;
  readonly contextLength: Dataset["contextLength"];
  readonly counts: NonNullable<Dataset["counts"]>;

  constructor(
    readonly manifest: Manifest,
    readonly tokenizer: Tokenizer,
    readonly train: TokenSequence,
    readonly heldOut: TokenSequence,
    readonly reference: DatasetReference,
  ) {
    this.manifestDigest = manifest.digest;
    this.vocabularySize = tokenizer.vocabularySize;
    this.contextLength = {
      minimum: 1,
      maximum: Math.max(0, Math.min(train.length, heldOut.length) - 1),
    };
    this.counts = manifest.counts;
  }

  assign(options: AssignmentOptions): Assignment {
    this.#checkLength("training", this.train, options.contextLength);
    this.#checkLength("held-out", this.heldOut, options.contextLength);
    return new TextAssignment(this, options);
  }

  #checkLength(side: string, tokens: TokenSequence, contextLength: number): void {
    const needed = contextLength + 1;
    if (tokens.length >= needed) return;
    const { validationPerMille } = this.manifest.split;
    const share = side === "training" ? 1000 - validationPerMille : validationPerMille;
    const text = Math.ceil((needed * 1000) / share);
    throw new Refusal(
      "data_too_small",
      `the ${side} part has ${tokens.length} tokens; a context of ${contextLength} needs at least ${needed}`,
      this.contextLength.maximum >= 1
        ? `Give about ${text} tokens of text in all, or a context of at most ${this.contextLength.maximum}.`
        : `Give about ${text} tokens of text in all.`,
      { side, tokens: tokens.length, needed, contextLength },
    );
  }
}

class TextAssignment implements Assignment {
  readonly options: Assignment["options"];
  readonly validation: Validation;
  readonly #order: WindowOrder;

  constructor(
    readonly dataset: TextDataset,
    options: AssignmentOptions,
  ) {
    const { batchSize, contextLength, seed, worldSize = 1, policy = "epoch" } = options;
    assert(Number.isSafeInteger(seed) && seed >= 0, "a seed is a non-negative safe integer");
    assert(batchSize >= 1 && contextLength >= 1 && worldSize >= 1, "batches have rows and tokens");
    this.options = { batchSize, contextLength, seed, worldSize, policy };
    this.#order = windowOrder(policy, seed, dataset.train.length, contextLength);
    this.validation = new TextValidation(dataset, options);
  }

  batch(step: number, rank: number): Batch {
    const { batchSize, worldSize } = this.options;
    assert(rank >= 0 && rank < worldSize, "the rank is not one of the world's");
    return this.samples((step * worldSize + rank) * batchSize, batchSize);
  }

  samples(first: number, count: number): Batch {
    const T = this.options.contextLength;
    const tokens = new Int32Array(count * T);
    const targets = new Int32Array(count * T);
    for (let row = 0; row < count; row++) {
      const start = this.#order.startOf(first + row);
      this.dataset.train.copy(start, T, tokens, row * T);
      this.dataset.train.copy(start + 1, T, targets, row * T);
    }
    return { tokens, targets, targetCount: count * T };
  }

  position(step: number): DataPosition {
    const { batchSize, contextLength, worldSize } = this.options;
    const samples = step * worldSize * batchSize;
    const { samplesPerEpoch } = this.#order;
    return {
      samples,
      tokens: samples * contextLength,
      // Rows drawn independently make no passes.
      epoch: samplesPerEpoch === null ? 0 : Math.floor(samples / samplesPerEpoch),
      sampleInEpoch: samplesPerEpoch === null ? samples : samples % samplesPerEpoch,
      samplesPerEpoch,
    };
  }
}

/** Windows that cover the held-out tokens in order without overlap; the last may be partly ignored. */
class TextValidation implements Validation {
  readonly rowCount: number;
  readonly batchCount: number;
  readonly targetCount: number;
  readonly targetBytes: number;
  readonly #windowCount: number;
  readonly #batchSize: number;
  readonly #contextLength: number;
  readonly #tokens: TokenSequence;

  constructor(dataset: TextDataset, options: AssignmentOptions) {
    this.#tokens = dataset.heldOut;
    this.#batchSize = options.batchSize;
    this.#contextLength = options.contextLength;
    this.#windowCount = Math.ceil((this.#tokens.length - 1) / this.#contextLength);
    this.rowCount = Math.min(this.#windowCount, options.validationRowMaximum ?? Infinity);
    this.batchCount = Math.ceil(this.rowCount / this.#batchSize);
    const { targetCount, targetBytes } = this.#measure(dataset.tokenizer);
    this.targetCount = targetCount;
    this.targetBytes = targetBytes;
  }

  /** The first token and the number of targets of a row; capped rows are spread evenly. */
  #window(row: number): { readonly start: number; readonly length: number } {
    const start = Math.floor((row * this.#windowCount) / this.rowCount) * this.#contextLength;
    return { start, length: Math.min(this.#contextLength, this.#tokens.length - 1 - start) };
  }

  #measure(tokenizer: Tokenizer): { targetCount: number; targetBytes: number } {
    const byteLengths = Int32Array.from({ length: tokenizer.vocabularySize }, (_, token) =>
      tokenizer.byteLengthOf(token),
    );
    const targets = new Int32Array(this.#contextLength);
    let targetCount = 0;
    let targetBytes = 0;
    for (let row = 0; row < this.rowCount; row++) {
      const { start, length } = this.#window(row);
      this.#tokens.copy(start + 1, length, targets, 0);
      targetCount += length;
      for (let index = 0; index < length; index++) targetBytes += byteLengths[targets[index]!]!;
    }
    return { targetCount, targetBytes };
  }

  batch(index: number): Batch {
    assert(index >= 0 && index < this.batchCount, "no such validation batch");
    const T = this.#contextLength;
    const tokens = new Int32Array(this.#batchSize * T);
    const targets = new Int32Array(this.#batchSize * T).fill(IGNORED);
    let targetCount = 0;
    for (
      let row = 0;
      row < this.#batchSize && index * this.#batchSize + row < this.rowCount;
      row++
    ) {
      const { start, length } = this.#window(index * this.#batchSize + row);
      this.#tokens.copy(start, length, tokens, row * T);
      this.#tokens.copy(start + 1, length, targets, row * T);
      targetCount += length;
    }
    return { tokens, targets, targetCount };
  }
}
