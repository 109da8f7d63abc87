import { randomState } from "#src/kernel/contract.ts";
import { assert } from "#src/refusal/refusal.ts";
import type { Evaluation } from "./operands.ts";

const rounds = 10;
const multiplierA = 0xd2511f53;
const multiplierB = 0xcd9e8d57;
const weylA = 0x9e3779b9;
const weylB = 0xbb67ae85;

/** The upper 32 bits of the 64-bit product of two unsigned words. */
function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const lower = (middle & 0xffff) + aLow * bHigh;
  return (aHigh * bHigh + Math.floor(middle / 0x10000) + Math.floor(lower / 0x10000)) >>> 0;
}

export type Words4 = readonly [number, number, number, number];

/** Philox4x32-10 (Salmon et al. 2011): four unsigned words of a counter under a key. */
export function philox(counter: Words4, keyLow: number, keyHigh: number): Words4 {
  let [x0, x1, x2, x3] = counter;
  let k0 = keyLow >>> 0;
  let k1 = keyHigh >>> 0;
  for (let round = 0; round < rounds; round++) {
    const highA = multiplyHigh(multiplierA, x0);
    const lowA = Math.imul(multiplierA, x0) >>> 0;
    const highB = multiplyHigh(multiplierB, x2);
    const lowB = Math.imul(multiplierB, x2) >>> 0;
    x0 = (highB ^ x1 ^ k0) >>> 0;
    x1 = lowB;
    x2 = (highA ^ x3 ^ k1) >>> 0;
    x3 = lowA;
    k0 = (k0 + weylA) >>> 0;
    k1 = (k1 + weylB) >>> 0;
  }
  return [x0, x1, x2, x3];
}

const groupLength = 64;
const laneCount = 16;

/**
 * Calls `visit(words, indices)` for each counter a tensor of `count` elements uses: the four words
 * belong to elements 16 apart, so that sixteen counters fill sixty-four neighbouring elements.
 */
function forEachCounter(
  count: number,
  wordsAt: (counter: number) => Words4,
  visit: (index: number, word: number, words: Words4) => void,
): void {
  for (let group = 0; group * groupLength < count; group++) {
    for (let lane = 0; lane < laneCount; lane++) {
      const words = wordsAt(laneCount * group + lane);
      for (let word = 0; word < 4; word++) {
        const index = group * groupLength + word * laneCount + lane;
        if (index < count) visit(index, word, words);
      }
    }
  }
}

export const dropout: Evaluation = (arithmetic, operands) => {
  const x = operands.floats("x");
  const y = operands.floats("y");
  const residual = operands.optionalFloats("residual");
  const state = operands.words("state");
  const purpose = operands.integer("purpose") >>> 0;
  const threshold = operands.integer("threshold") >>> 0;
  const scale = arithmetic.constant(operands.float("scale"));
  const rank = state[randomState.rank]! >>> 0;
  const step = state[randomState.step]! >>> 0;
  const wordsAt = (counter: number): Words4 =>
    philox(
      [counter >>> 0, rank, step, purpose],
      state[randomState.seedLow]!,
      state[randomState.seedHigh]!,
    );
  forEachCounter(operands.integer("count"), wordsAt, (index, word, words) => {
    const value = words[word]! >= threshold ? arithmetic.multiply(x[index]!, scale) : 0;
    y[index] = residual ? arithmetic.add(residual[index]!, value) : value;
  });
};

/** (r shr 9)·2⁻²³ + 2⁻²⁴: an odd multiple of 2⁻²⁴, exact, never 0 or 1. */
const uniform = (word: number): number => (word >>> 9) * 2 ** -23 + 2 ** -24;

export const initNormal: Evaluation = (arithmetic, operands) => {
  const { multiply, squareRoot, logarithm, turn } = arithmetic;
  const out = operands.floats("out");
  const state = operands.words("state");
  const deviation = arithmetic.constant(operands.float("deviation"));
  const purpose = operands.integer("purpose") >>> 0;
  const count = operands.integer("count");
  assert(count <= groupLength * 2 ** 28, "init_normal count fits the 32-bit counter");
  const wordsAt = (counter: number): Words4 =>
    philox([counter, 0, 0, purpose], state[randomState.seedLow]!, state[randomState.seedHigh]!);
  forEachCounter(count, wordsAt, (index, word, words) => {
    const first = word < 2 ? 0 : 2;
    const radius = squareRoot(multiply(-2, logarithm(uniform(words[first]))));
    const angle = turn(uniform(words[first + 1]!));
    out[index] = multiply(multiply(radius, word % 2 === 0 ? angle.cosine : angle.sine), deviation);
  });
};
