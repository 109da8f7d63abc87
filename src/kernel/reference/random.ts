import { philox } from "#src/codec/philox.ts";
import { randomState } from "#src/kernel/contract.ts";
import { assert } from "#src/refusal/refusal.ts";
import type { Evaluation } from "./operands.ts";

const groupLength = 64;
const laneCount = 16;

/** The four words of a counter. */
type Words = Uint32Array;

/**
 * Calls `visit(index, word, words)` for each element of a tensor of `count`: the four words of a
 * counter belong to elements 16 apart, so that sixteen counters fill sixty-four neighbours.
 */
function forEachElement(
  count: number,
  drawWords: (words: Words, counter: number) => void,
  visit: (index: number, word: number, words: Words) => void,
): void {
  const words = new Uint32Array(4);
  for (let group = 0; group * groupLength < count; group++) {
    for (let lane = 0; lane < laneCount; lane++) {
      drawWords(words, laneCount * group + lane);
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
  const generator = philox(state[randomState.seedLow]!, state[randomState.seedHigh]!);
  const drawWords = (words: Words, counter: number) =>
    generator.words(words, counter, rank, step, purpose);
  forEachElement(operands.integer("count"), drawWords, (index, word, words) => {
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
  const generator = philox(state[randomState.seedLow]!, state[randomState.seedHigh]!);
  const drawWords = (words: Words, counter: number) =>
    generator.words(words, counter, 0, 0, purpose);
  forEachElement(count, drawWords, (index, word, words) => {
    const first = word < 2 ? 0 : 2;
    const radius = squareRoot(multiply(-2, logarithm(uniform(words[first]!))));
    const angle = turn(uniform(words[first + 1]!));
    out[index] = multiply(multiply(radius, word % 2 === 0 ? angle.cosine : angle.sine), deviation);
  });
};
