/**
 * Choosing a token from logits, the same on every machine: float64 from + − × ÷ with our own
 * exponential, a total order of tokens, and random words from the counter-based generator.
 */
import { philoxOfSeed, type Philox } from "#src/codec/philox.ts";
import { exponential } from "#src/model/rope-table.ts";
import { Refusal } from "#src/refusal/refusal.ts";

export interface SamplingOptions {
  /** 0 takes the most likely token. */
  readonly temperature: number;
  /** Only this many of the most likely tokens; 0 for all. */
  readonly topK: number;
  /** Only the most likely tokens that together reach this probability; 1 for all. */
  readonly topP: number;
}

/** Tells sampling's random words from those of data and dropout. */
const purpose = 32;
/** e to anything below this adds nothing to a float64 sum that contains 1. */
const negligible = -80;

/** Random numbers of a seed by position, 0 ≤ u < 1. */
export class Dice {
  readonly #generator: Philox;
  readonly #words = new Uint32Array(4);

  constructor(seed: number) {
    this.#generator = philoxOfSeed(seed);
  }

  at(position: number): number {
    this.#generator.words(this.#words, position, 0, purpose, 0);
    return this.#words[0]! / 2 ** 32;
  }
}

/** The index of the largest logit; the lowest index wins ties. */
export function mostLikely(logits: Float32Array): number {
  let best = 0;
  for (let index = 1; index < logits.length; index++)
    if (logits[index]! > logits[best]!) best = index;
  return best;
}

/**
 * The token that a number u in [0, 1) chooses: tokens in descending order of logit (ties by index),
 * cut by topK, then by topP of what is left, then by u. Refuses with `not_finite` where the model
 * computes no numbers: a token drawn from NaN would look like an answer.
 */
export function chooseToken(logits: Float32Array, options: SamplingOptions, u: number): number {
  const { temperature, topK, topP } = options;
  const bad = logits.findIndex((logit) => !Number.isFinite(logit));
  if (bad >= 0)
    throw new Refusal(
      "not_finite",
      `The model gives ${logits[bad]} as the logit of token ${bad}.`,
      "Its parameters are damaged or its training diverged; sample an earlier checkpoint with --step.",
      { token: bad, operation: "head" },
    );
  if (temperature === 0 || topK === 1) return mostLikely(logits);
  const order = Array.from(logits.keys()).sort((a, b) => logits[b]! - logits[a]! || a - b);
  const kept = topK > 0 ? order.slice(0, topK) : order;
  const highest = logits[kept[0]!]!;
  const weights = kept.map((token) => {
    const exponent = (logits[token]! - highest) / temperature;
    return exponent < negligible ? 0 : exponential(exponent);
  });
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const count = nucleus(weights, total * topP);
  let mass = 0;
  for (let index = 0; index < count; index++) mass += weights[index]!;
  let rest = u * mass;
  for (let index = 0; index < count; index++) {
    rest -= weights[index]!;
    if (rest < 0) return kept[index]!;
  }
  return kept[count - 1]!;
}

/** How many of the leading weights reach a sum; at least one. */
function nucleus(weights: readonly number[], wanted: number): number {
  let sum = 0;
  for (let index = 0; index < weights.length; index++) {
    sum += weights[index]!;
    if (sum >= wanted) return index + 1;
  }
  return weights.length;
}
