import { digestJson } from "#src/codec/digest.ts";
import { assert, Refusal } from "#src/refusal/refusal.ts";
import { CharTokenizer } from "./char-tokenizer.ts";
import {
  digitCountMaximum,
  IGNORED,
  type Assignment,
  type AssignmentOptions,
  type Batch,
  type Dataset,
  type DatasetReference,
  type DataPosition,
  type Validation,
} from "./dataset.ts";
import { mixWord, Permutation } from "./permutation.ts";
import { philox, philoxOfSeed, scaleWord, type Philox } from "#src/codec/philox.ts";

const PLUS = 10;
const EQUALS = 11;
/** One unordered pair of numbers in this many is never trained on. */
const HELD_OUT_ONE_IN = 10;
const HELD_OUT_PROBLEM_COUNT = 2000;
/** Tells the uses of one seed apart. */
const PURPOSE = { problem: 16, heldOutOrder: 17 } as const;

/** Two numbers to add. */
export interface Problem {
  readonly a: number;
  readonly b: number;
}

/**
 * The built-in task: adding two numbers of a fixed number of digits, the answer written from its
 * last digit to its first (carries then only look back; Lee et al. 2023, "Teaching arithmetic to
 * small transformers"). Text of one problem with four digits: `1234+5678=21960`. Only the answer
 * is to be predicted. Training draws fresh problems for ever; held-out ones are never drawn.
 */
export class AdditionDataset implements Dataset {
  readonly task = "addition";
  readonly tokenizer = new CharTokenizer([..."0123456789+="], { endOfText: false });
  readonly vocabularySize = this.tokenizer.vocabularySize;
  readonly counts = null;
  readonly manifestDigest: string;
  readonly contextLength: Dataset["contextLength"];
  readonly reference: DatasetReference;
  /** Tokens of a question up to and with `=`. */
  readonly questionLength: number;
  /** Numbers are below this. */
  readonly limit: number;

  constructor(readonly digitCount = 4) {
    assert(digitCount >= 1 && digitCount <= digitCountMaximum, "additions have 1 to 7 digits");
    this.questionLength = 2 * digitCount + 2;
    this.limit = 10 ** digitCount;
    const length = this.questionLength + digitCount;
    this.contextLength = { minimum: length, maximum: length };
    this.reference = { task: "addition", digitCount };
    this.manifestDigest = digestJson({
      version: 1,
      task: this.task,
      digitCount,
      tokenizer: this.tokenizer.digest,
      answer: "reversed",
      heldOutOneIn: HELD_OUT_ONE_IN,
      heldOutProblemCount: HELD_OUT_PROBLEM_COUNT,
    });
  }

  assign(options: AssignmentOptions): Assignment {
    return new AdditionAssignment(this, options);
  }

  /** Whether a problem belongs to the held-out part; the order of its numbers does not matter. */
  isHeldOut({ a, b }: Problem): boolean {
    return mixWord(mixWord(Math.min(a, b)) ^ (Math.max(a, b) + 0x61646421)) % HELD_OUT_ONE_IN === 0;
  }

  /** The problem of a row: drawn again until it is not held out. */
  trainingProblem(generator: Philox, sample: number): Problem {
    const words = new Uint32Array(4);
    for (let attempt = 0; ; attempt += 2) {
      const low = sample % 0x1_0000_0000;
      generator.words(words, low, Math.floor(sample / 0x1_0000_0000), PURPOSE.problem, attempt);
      for (let pair = 0; pair < 4; pair += 2) {
        const a = scaleWord(words[pair]!, this.limit);
        const b = scaleWord(words[pair + 1]!, this.limit);
        if (!this.isHeldOut({ a, b })) return { a, b };
      }
    }
  }

  /** Different held-out problems, the same for every seed. */
  heldOutProblems(countMaximum = HELD_OUT_PROBLEM_COUNT): readonly Problem[] {
    const order = new Permutation(this.limit * this.limit, philox(0, 0), PURPOSE.heldOutOrder, 0);
    const problems: Problem[] = [];
    for (let index = 0; index < order.size && problems.length < countMaximum; index++) {
      const place = order.at(index);
      const problem = { a: Math.floor(place / this.limit), b: place % this.limit };
      if (this.isHeldOut(problem)) problems.push(problem);
    }
    return problems;
  }

  /** Writes a problem into a row of a batch. */
  writeRow({ a, b }: Problem, tokens: Int32Array, targets: Int32Array, start: number): void {
    const D = this.digitCount;
    const T = this.contextLength.maximum;
    const text = new Int32Array(T + 1);
    writeDigits(a, D, text, D - 1, -1);
    text[D] = PLUS;
    writeDigits(b, D, text, 2 * D, -1);
    text[2 * D + 1] = EQUALS;
    writeDigits(a + b, D + 1, text, this.questionLength, 1);
    tokens.set(text.subarray(0, T), start);
    targets.fill(IGNORED, start, start + T);
    targets.set(text.subarray(this.questionLength), start + this.questionLength - 1);
  }

  /**
   * The tokens of a question such as `1234+5678` or `7 + 25 =`; shorter numbers get leading zeros.
   * Refusals: `question_invalid`.
   */
  askQuestion(question: string): { readonly problem: Problem; readonly tokens: Int32Array } {
    const found = /^\s*(\d+)\s*\+\s*(\d+)\s*(?:=\s*\??\s*)?$/.exec(question);
    const a = Number(found?.[1]);
    const b = Number(found?.[2]);
    if (found === null || a >= this.limit || b >= this.limit) {
      throw new Refusal(
        "question_invalid",
        `${JSON.stringify(question)} is not an addition of two numbers of at most ${this.digitCount} digits`,
        `Ask for example ${"1234567".slice(0, this.digitCount)}+${"9876543".slice(0, this.digitCount)}.`,
        { question, digitCount: this.digitCount },
      );
    }
    const text = `${String(a).padStart(this.digitCount, "0")}+${String(b).padStart(this.digitCount, "0")}=`;
    return { problem: { a, b }, tokens: this.tokenizer.encode(text) };
  }

  /** The number that answer tokens spell, last digit first; null when they are no number. */
  readAnswer(tokens: ArrayLike<number>): number | null {
    let value = 0;
    for (let digit = this.digitCount; digit >= 0; digit--) {
      const token = tokens[digit];
      if (token === undefined || token < 0 || token > 9) return null;
      value = value * 10 + token;
    }
    return value;
  }
}

/** Writes `count` digits, the last one first, from `index` on in steps of `step`. */
function writeDigits(
  value: number,
  count: number,
  out: Int32Array,
  index: number,
  step: 1 | -1,
): void {
  let rest = value;
  for (let digit = 0; digit < count; digit++) {
    const higher = Math.floor(rest / 10);
    out[index + digit * step] = rest - higher * 10;
    rest = higher;
  }
}

class AdditionAssignment implements Assignment {
  readonly options: Assignment["options"];
  readonly validation: Validation;
  readonly #generator: Philox;

  constructor(
    readonly dataset: AdditionDataset,
    options: AssignmentOptions,
  ) {
    const { batchSize, contextLength, seed, worldSize = 1, policy = "epoch" } = options;
    const length = dataset.contextLength.maximum;
    if (contextLength !== length) {
      throw new Refusal(
        "usage",
        `adding numbers of ${dataset.digitCount} digits has a context of ${length}, not ${contextLength}`,
        "Leave the context out; the built-in task sets it.",
        { contextLength, needed: length },
      );
    }
    assert(Number.isSafeInteger(seed) && seed >= 0, "a seed is a non-negative safe integer");
    assert(batchSize >= 1 && worldSize >= 1, "batches have rows");
    this.options = { batchSize, contextLength, seed, worldSize, policy };
    this.#generator = philoxOfSeed(seed);
    this.validation = new AdditionValidation(dataset, options);
  }

  batch(step: number, rank: number): Batch {
    const { batchSize, worldSize } = this.options;
    assert(rank >= 0 && rank < worldSize, "the rank is not one of the world's");
    return this.samples((step * worldSize + rank) * batchSize, batchSize);
  }

  samples(first: number, count: number): Batch {
    const problems = Array.from({ length: count }, (_, row) =>
      this.dataset.trainingProblem(this.#generator, first + row),
    );
    return batchOf(this.dataset, problems, count);
  }

  position(step: number): DataPosition {
    const { batchSize, contextLength, worldSize } = this.options;
    const samples = step * worldSize * batchSize;
    const tokens = samples * contextLength;
    return { samples, tokens, epoch: 0, sampleInEpoch: samples, samplesPerEpoch: null };
  }
}

class AdditionValidation implements Validation {
  readonly rowCount: number;
  readonly batchCount: number;
  readonly targetCount: number;
  readonly targetBytes: number;
  readonly #problems: readonly Problem[];
  readonly #batchSize: number;

  constructor(
    readonly dataset: AdditionDataset,
    options: AssignmentOptions,
  ) {
    const maximum = Math.min(options.validationRowMaximum ?? Infinity, HELD_OUT_PROBLEM_COUNT);
    this.#problems = dataset.heldOutProblems(maximum);
    this.#batchSize = options.batchSize;
    this.rowCount = this.#problems.length;
    this.batchCount = Math.ceil(this.rowCount / this.#batchSize);
    this.targetCount = this.rowCount * (dataset.digitCount + 1);
    this.targetBytes = this.targetCount;
  }

  batch(index: number): Batch {
    assert(index >= 0 && index < this.batchCount, "no such validation batch");
    const start = index * this.#batchSize;
    return batchOf(
      this.dataset,
      this.#problems.slice(start, start + this.#batchSize),
      this.#batchSize,
    );
  }
}

/** Rows without a problem are token 0 with every target ignored. */
function batchOf(dataset: AdditionDataset, problems: readonly Problem[], rowCount: number): Batch {
  const T = dataset.contextLength.maximum;
  const tokens = new Int32Array(rowCount * T);
  const targets = new Int32Array(rowCount * T).fill(IGNORED);
  problems.forEach((problem, row) => dataset.writeRow(problem, tokens, targets, row * T));
  return { tokens, targets, targetCount: problems.length * (dataset.digitCount + 1) };
}
