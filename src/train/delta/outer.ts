/**
 * From the deltas of a window to the next parameters: their mean by weight, and one step of the outer
 * optimizer with it as gradient. Binary64 sums rounded once, then float32 operations one by one: the same
 * bits on every machine, docs/NUMERICS.md §12.
 * Source: DiLoCo, Douillard et al. 2023 (Nesterov's momentum over mean pseudo-gradients).
 */
import * as v from "valibot";
import { assert, Refusal } from "#src/refusal/refusal.ts";
import { type DeltaLayout, placeOf } from "./layout.ts";

const rate = v.pipe(v.number(), v.finite(), v.gtValue(0), v.maxValue(16));

export const outerSchema = v.variant("kind", [
  v.strictObject({
    kind: v.literal("nesterov"),
    rate,
    momentum: v.pipe(v.number(), v.minValue(0), v.ltValue(1)),
  }),
  v.strictObject({ kind: v.literal("sgd"), rate }),
]);
export type OuterOptimizer = v.InferOutput<typeof outerSchema>;

/** The outer optimizer of a rate and a momentum; without momentum nothing is kept for it. */
export function outerOf(rate: number, momentum: number): OuterOptimizer {
  return momentum === 0 ? { kind: "sgd", rate } : { kind: "nesterov", rate, momentum };
}

/** Whether revisions of a run have a momentum beside their parameters. */
export function hasMomentum({ kind }: OuterOptimizer): boolean {
  return kind === "nesterov";
}

/** What moved in a window: start − end, so that it points the way a gradient does. */
export function pseudoGradient(start: Float32Array, end: Float32Array): Float32Array {
  assert(start.length === end.length, "two states of one model");
  const delta = new Float32Array(start.length);
  for (let index = 0; index < delta.length; index++) delta[index] = start[index]! - end[index]!;
  return delta;
}

/** √Σx², in binary64 in ascending order: for bounds, the same on every machine. */
export function normOf(values: Float32Array): number {
  let squares = 0;
  for (let index = 0; index < values.length; index++) squares += values[index]! * values[index]!;
  return Math.sqrt(squares);
}

/** Mean of deltas weighted by accepted tokens; takes them one at a time, so that one is held. */
export class DeltaMean {
  readonly #sums: Float64Array;
  #weight = 0;
  #last: string | null = null;

  constructor(readonly layout: DeltaLayout) {
    this.#sums = new Float64Array(layout.count);
  }

  /** Adds the delta of the next worker: they come in ascending order of their names, each once. */
  add(worker: string, tokens: number, values: Float32Array): void {
    assert(this.#last === null || this.#last < worker, "workers ascend");
    assert(Number.isSafeInteger(tokens) && tokens > 0, "a weight is a positive whole number");
    assert(values.length === this.layout.count, "a delta of this layout");
    const sums = this.#sums;
    for (let index = 0; index < sums.length; index++) sums[index]! += tokens * values[index]!;
    this.#weight += tokens;
    this.#last = worker;
  }

  /** The mean of what was added, which must be something. */
  mean(): Float32Array {
    assert(this.#last !== null && Number.isSafeInteger(this.#weight), "there is a mean");
    const mean = new Float32Array(this.layout.count);
    for (let index = 0; index < mean.length; index++)
      mean[index] = this.#sums[index]! / this.#weight;
    return mean;
  }
}

export interface OuterState {
  readonly parameters: Float32Array;
  /** Null where the optimizer has none. */
  readonly momentum: Float32Array | null;
}

/**
 * The parameters and momentum after one step; inputs are not changed. Refuses with `not_finite`, naming the
 * tensor, where a result is not a finite number.
 */
export function outerStep(
  layout: DeltaLayout,
  { parameters, momentum }: OuterState,
  gradient: Float32Array,
  optimizer: OuterOptimizer,
): OuterState {
  assert(parameters.length === layout.count, "parameters of this layout");
  assert(gradient.length === layout.count, "a gradient of this layout");
  assert((momentum !== null) === hasMomentum(optimizer), "a momentum where there is to be one");
  const next =
    optimizer.kind === "sgd" || momentum === null
      ? { parameters: descend(parameters, gradient, optimizer.rate), momentum: null }
      : nesterovStep(parameters, momentum, gradient, optimizer.rate, optimizer.momentum);
  checkFinite(next.parameters, layout, "parameters");
  if (next.momentum) checkFinite(next.momentum, layout, "momentum");
  return next;
}

/** m = μ·m + g; θ = θ − rate·(g + μ·m). */
function nesterovStep(
  parameters: Float32Array,
  momentum: Float32Array,
  gradient: Float32Array,
  rate: number,
  decay: number,
): OuterState {
  const mu = Math.fround(decay);
  const moved = new Float32Array(momentum.length);
  const ahead = new Float32Array(momentum.length);
  // Storing in a Float32Array rounds; what is inside of an expression needs its own.
  for (let index = 0; index < moved.length; index++) {
    const slope = gradient[index]!;
    const velocity = Math.fround(Math.fround(mu * momentum[index]!) + slope);
    moved[index] = velocity;
    ahead[index] = slope + Math.fround(mu * velocity);
  }
  return { parameters: descend(parameters, ahead, rate), momentum: moved };
}

/** θ − rate·direction. */
function descend(parameters: Float32Array, direction: Float32Array, rate: number): Float32Array {
  const step = Math.fround(rate);
  const next = new Float32Array(parameters.length);
  for (let index = 0; index < next.length; index++)
    next[index] = parameters[index]! - Math.fround(step * direction[index]!);
  return next;
}

function checkFinite(values: Float32Array, layout: DeltaLayout, what: string): void {
  const bad = values.findIndex((value) => !Number.isFinite(value));
  if (bad < 0) return;
  const place = placeOf(layout, bad);
  throw new Refusal(
    "not_finite",
    `The outer step made the ${what} too large for float32 in ${place.tensor}, element ${place.element}.`,
    "Start a new run with a lower outer rate or a lower --learning-rate; the revision before this one still holds.",
    { ...place, what },
  );
}
