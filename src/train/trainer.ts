/**
 * The training loop over an executor and data: everything that decides a bit of a run, and nothing
 * that does not (no files, no clock, no messages). A step is a pure function of the state before
 * it, the settings and the data, so a resumed or replayed run gives the same bits.
 */
import type { Batch } from "#src/dataset/dataset.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { blameOperation, blameUpdate } from "./blame.ts";
import type { Executor } from "./executor.ts";
import { HyperVectors, type Optimizer } from "./optimizer.ts";
import { learningRate, type Schedule } from "./schedule.ts";

/** What the loop needs of a dataset; batches are pure functions of their arguments. */
export interface TrainingData {
  /** All rows of a zero-based step: microBatches × batchSize of them. */
  batch(step: number): Batch;
  /** Held-out rows: a sample spread evenly for intervals, and all of them for the end. */
  readonly sample: HeldOut;
  readonly full: HeldOut;
}

export interface HeldOut {
  readonly batchCount: number;
  /** How many rows the evaluation phase takes; the last batch is padded with targets of −1. */
  batch(index: number): Batch;
  /** Bytes of text a target stands for on average; null where targets are not text. */
  readonly bytesPerTarget: number | null;
}

export interface TrainingSettings {
  readonly seed: number;
  readonly batchSize: number;
  readonly microBatches: number;
  readonly contextLength: number;
  readonly optimizer: Optimizer;
  readonly schedule: Schedule;
}

/**
 * Where a step stands: what of it depends on when, and by whom, it is taken. A step is a pure function
 * of the state before it and its place, so whoever recomputes one need not know how many came before.
 */
export interface StepPlace {
  /** Which rows: zero-based index of the data's batches. */
  readonly slot: number;
  /** Zero-based step of the learning rate's schedule. */
  readonly schedule: number;
  /** Updates since the moments were zero, for their bias correction. */
  readonly age: number;
  /**
   * Where in the random sequence, counted in steps: its micro-batches draw with the counters from
   * `counter × microBatches` on, modulo 2³². Two slots of a run must not share one.
   */
  readonly counter: number;
}

/** The place of a zero-based step of a run that is trained in one piece. */
export function placeOfStep(step: number): StepPlace {
  return { slot: step, schedule: step, age: step, counter: step };
}

export interface StepRecord {
  /** Number of the step just completed, from 1. */
  readonly step: number;
  /** Mean nats per counted target. */
  readonly loss: number;
  readonly gradientNorm: number;
  readonly parameterNorm: number;
  readonly updateNorm: number;
  readonly learningRate: number;
  /** Tokens read by this step. */
  readonly tokens: number;
  /** Float32 bits of the loss and the gradient norm, eight hexadecimal characters each. */
  readonly lossBits: string;
  readonly gradientNormBits: string;
}

export interface EvaluationRecord {
  /** Completed steps. */
  readonly step: number;
  readonly loss: number;
  readonly bitsPerByte: number | null;
  /** Share of rows whose every counted target was predicted. */
  readonly exactMatch: number;
  readonly targets: number;
  readonly rows: number;
  /** True when all held-out batches were used. */
  readonly full: boolean;
}

export class Trainer {
  readonly #hyper: HyperVectors;
  readonly #groups: readonly string[];
  /** Completed steps; the next one has this zero-based index. */
  #step = 0;

  constructor(
    readonly executor: Executor,
    readonly settings: TrainingSettings,
    readonly data: TrainingData,
  ) {
    this.#hyper = new HyperVectors(settings.optimizer);
    this.#groups = executor.plan.inputs
      .filter((tensor) => tensor.name.startsWith("hyper."))
      .map((tensor) => tensor.name.slice("hyper.".length));
  }

  get step(): number {
    return this.#step;
  }

  get tokensPerStep(): number {
    const { batchSize, microBatches, contextLength } = this.settings;
    return batchSize * microBatches * contextLength;
  }

  /** Starts from scratch: parameters from the seed, moments at zero. */
  async initialise(): Promise<void> {
    this.executor.clear("first");
    this.executor.clear("second");
    this.#writeRandomState(0);
    await this.executor.run("initialise");
    this.#step = 0;
  }

  /** Says that the executor's memory now holds the state after `step` steps. */
  restored(step: number): void {
    this.#step = step;
  }

  /**
   * One optimizer step, at the place that follows from the completed ones unless another is given.
   * Refuses with `not_finite`, naming the operation, when the loss or the gradient norm is not a
   * finite number; parameters and moments are then as before.
   */
  async trainStep(place: StepPlace = placeOfStep(this.#step)): Promise<StepRecord> {
    const { executor, settings } = this;
    const batch = this.data.batch(place.slot);
    const counted = batch.targetCount;
    const lossScale = Math.fround(1 / Math.max(1, counted));
    executor.writeFloats("lossScale", [lossScale]);
    let lossSum = 0;
    for (let index = 0; index < settings.microBatches; index++) {
      this.#writeMicroBatch(batch, place, index);
      await executor.run(index === 0 ? "gradient" : "accumulate");
      lossSum += executor.scalar("lossSum");
    }
    const loss = Math.fround(lossSum / Math.max(1, counted));
    await executor.run("norm");
    const gradientNorm = executor.scalar("clip");
    if (!Number.isFinite(loss) || !Number.isFinite(gradientNorm))
      this.#refuseStep(batch, place, loss);

    const rate = learningRate(settings.schedule, place.schedule);
    for (const group of this.#groups)
      executor.writeFloats(`hyper.${group}`, this.#hyper.at(place.age, rate, group === "decay"));
    await executor.run("update");
    const parameterNorm = Math.sqrt(executor.scalar("parameterSquares"));
    if (!Number.isFinite(parameterNorm)) this.#refuseUpdate();
    this.#step++;
    return {
      step: this.#step,
      loss,
      gradientNorm,
      parameterNorm,
      updateNorm: Math.sqrt(executor.scalar("updateSquares")),
      learningRate: rate,
      tokens: this.tokensPerStep,
      lossBits: floatBits(loss),
      gradientNormBits: floatBits(gradientNorm),
    };
  }

  /** Held-out loss, of the sample or of all held-out rows. */
  async evaluate(extent: "sample" | "full"): Promise<EvaluationRecord> {
    const { executor } = this;
    const heldOut = this.data[extent];
    const contextLength = this.settings.contextLength;
    const total = { nats: 0, targets: 0, rows: 0, matches: 0 };
    for (let index = 0; index < heldOut.batchCount; index++) {
      const { tokens, targets } = heldOut.batch(index);
      executor.writeIntegers("evaluate.tokens", tokens);
      executor.writeIntegers("evaluate.targets", targets);
      await executor.run("evaluate");
      total.nats += executor.scalar("evaluate.lossSum");
      const predictions = executor.integers(executor.input("evaluate.predictions"));
      const score = scoreRows(targets, predictions, contextLength);
      total.targets += score.targets;
      total.rows += score.rows;
      total.matches += score.matches;
    }
    const loss = total.nats / Math.max(1, total.targets);
    const { bytesPerTarget } = heldOut;
    return {
      step: this.#step,
      loss,
      bitsPerByte: bytesPerTarget ? loss / Math.LN2 / bytesPerTarget : null,
      exactMatch: total.matches / Math.max(1, total.rows),
      targets: total.targets,
      rows: total.rows,
      full: extent === "full",
    };
  }

  #writeMicroBatch(batch: Batch, { counter }: StepPlace, index: number): void {
    const { batchSize, contextLength, microBatches } = this.settings;
    const length = batchSize * contextLength;
    const piece = (values: Int32Array) => values.subarray(index * length, (index + 1) * length);
    this.executor.writeIntegers("tokens", piece(batch.tokens));
    this.executor.writeIntegers("targets", piece(batch.targets));
    // Every micro-batch has a counter of its own, or all would drop the same activations.
    this.#writeRandomState(counter * microBatches + index);
  }

  #writeRandomState(counter: number): void {
    const { seed } = this.settings;
    const high = Math.floor(seed / 2 ** 32);
    this.executor.writeIntegers("randomState", [seed | 0, high | 0, counter | 0, 0]);
  }

  /** The update itself overflowed: this state is lost, and no checkpoint is written of it. */
  #refuseUpdate(): never {
    const blamed = blameUpdate(this.executor);
    const place = blamed ? ` at ${blamed.label} (${blamed.tensor}, element ${blamed.element})` : "";
    throw new Refusal(
      "not_finite",
      `Step ${this.#step + 1} made the parameters too large for float32${place}.`,
      "Start a new run with a lower --learning-rate; the last checkpoint is from before this step.",
      { step: this.#step + 1, ...(blamed ?? { label: "update" }) },
    );
  }

  #refuseStep(batch: Batch, place: StepPlace, loss: number): never {
    const step = this.#step;
    const blamed = blameOperation(this.executor, this.settings.microBatches, (index) =>
      this.#writeMicroBatch(batch, place, index),
    );
    const where = blamed
      ? `${blamed.what} first at ${blamed.label} (${blamed.tensor}, element ${blamed.element})`
      : `the ${Number.isFinite(loss) ? "gradient norm" : "loss"} is not a finite number`;
    throw new Refusal(
      "not_finite",
      `Step ${step + 1} was not taken: ${where}.`,
      "Parameters are as they were before the step. Start a new run with a lower --learning-rate; the checkpoints of this one can still be sampled.",
      { step: step + 1, ...blamed },
    );
  }
}

/** Rows with at least one counted target, and those of them predicted without a mistake. */
export function scoreRows(targets: Int32Array, predictions: Int32Array, contextLength: number) {
  const score = { targets: 0, rows: 0, matches: 0 };
  for (let start = 0; start < targets.length; start += contextLength) {
    let counted = 0;
    let right = 0;
    for (let index = start; index < start + contextLength; index++) {
      const target = targets[index]!;
      if (target < 0) continue;
      counted++;
      if (predictions[index] === target) right++;
    }
    if (counted === 0) continue;
    score.targets += counted;
    score.rows++;
    if (right === counted) score.matches++;
  }
  return score;
}

const scratch = new DataView(new ArrayBuffer(4));

/** The bits of a float32 as eight hexadecimal characters. */
function floatBits(value: number): string {
  scratch.setFloat32(0, value);
  return scratch.getUint32(0).toString(16).padStart(8, "0");
}
