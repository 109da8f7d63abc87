import { expect, test } from "bun:test";
import fc from "fast-check";
import { chooseToken, Dice, mostLikely } from "./token-choice.ts";

const plain = { temperature: 1, topK: 0, topP: 1 };
const logitsOf = (probabilities: readonly number[]) =>
  Float32Array.from(probabilities, (p) => Math.log(p));

/** How often each token is chosen over evenly spread draws. */
function shares(logits: Float32Array, options = plain, draws = 10_000): number[] {
  const counts = new Array<number>(logits.length).fill(0);
  for (let draw = 0; draw < draws; draw++)
    counts[chooseToken(logits, options, (draw + 0.5) / draws)]!++;
  return counts.map((count) => count / draws);
}

test("T-8 tokens are drawn in proportion to their probabilities", () => {
  const wanted = [0.1, 0.5, 0.15, 0.25];
  shares(logitsOf(wanted)).forEach((share, token) => expect(share).toBeCloseTo(wanted[token]!, 3));
});

test("T-8 temperature 0 and topK 1 take the likeliest token, the lowest on ties", () => {
  const logits = Float32Array.of(1, 3, 3, 2);
  expect(chooseToken(logits, { ...plain, temperature: 0 }, 0.99)).toBe(1);
  expect(chooseToken(logits, { ...plain, topK: 1 }, 0.99)).toBe(1);
  expect(mostLikely(Float32Array.of(-5, -5))).toBe(0);
});

test("T-8 a low temperature sharpens, a high one flattens", () => {
  const logits = logitsOf([0.6, 0.4]);
  expect(shares(logits, { ...plain, temperature: 0.2 })[0]).toBeGreaterThan(0.85);
  expect(shares(logits, { ...plain, temperature: 5 })[0]).toBeLessThan(0.53);
});

test("T-8 topK and topP cut the tail and keep proportions", () => {
  const logits = logitsOf([0.1, 0.5, 0.15, 0.25]);
  const two = shares(logits, { ...plain, topK: 2 });
  expect([two[0], two[2]]).toEqual([0, 0]);
  expect(two[1]).toBeCloseTo(2 / 3, 3);
  const nucleus = shares(logits, { ...plain, topP: 0.7 });
  expect([nucleus[0], nucleus[2]]).toEqual([0, 0]);
  expect(shares(logits, { ...plain, topP: 0.01 })[1]).toBe(1);
});

test("T-8 any logits and any draw give a token that was allowed", () => {
  fc.assert(
    fc.property(
      fc.array(fc.double({ min: -1e30, max: 1e30, noNaN: true }), { minLength: 1, maxLength: 40 }),
      fc.record({
        temperature: fc.double({ min: 0, max: 100, noNaN: true }),
        topK: fc.integer({ min: 0, max: 50 }),
        topP: fc.double({ min: 1e-9, max: 1, noNaN: true }),
      }),
      fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      (values, options, u) => {
        const logits = Float32Array.from(values);
        const token = chooseToken(logits, options, u);
        const better = logits.filter((value) => value > logits[token]!).length;
        return token < logits.length && (options.topK === 0 || better < options.topK);
      },
    ),
    { numRuns: 300 },
  );
});

test("T-8 the dice of a seed are the same for ever", () => {
  const dice = new Dice(1);
  const drawn = [0, 1, 2, 1_000_000].map((position) => dice.at(position));
  expect(drawn).toEqual([0, 1, 2, 1_000_000].map((position) => new Dice(1).at(position)));
  expect(new Dice(2).at(0)).not.toBe(drawn[0]!);
  for (const value of drawn) expect(value).toBeWithin(0, 1);
});
