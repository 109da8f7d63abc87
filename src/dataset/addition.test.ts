import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { AdditionDataset } from "./addition.ts";
import { exactMatch, IGNORED, type Batch } from "./dataset.ts";
import { decodeText } from "./tokenizer.ts";

const dataset = new AdditionDataset();
const T = dataset.contextLength.maximum;
const options = { batchSize: 16, contextLength: T, seed: 7 };

/** The problems of a batch as text, from inputs and the targets that count. */
function rowsOf(batch: Batch): { a: number; b: number; answer: number }[] {
  const rows: { a: number; b: number; answer: number }[] = [];
  for (let start = 0; start < batch.tokens.length; start += T) {
    const targets = [...batch.targets.subarray(start, start + T)];
    if (targets.every((target) => target === IGNORED)) continue;
    const question = decodeText(dataset.tokenizer, batch.tokens.subarray(start, start + 10));
    const [, a, b] = /^(\d{4})\+(\d{4})=$/.exec(question)!;
    const answer = targets.filter((target) => target !== IGNORED);
    rows.push({ a: Number(a), b: Number(b), answer: dataset.readAnswer(answer)! });
  }
  return rows;
}

describe("T-9 the built-in task", () => {
  test("T-9 a row is a problem whose answer alone is learnt, last digit first", () => {
    const tokens = new Int32Array(T);
    const targets = new Int32Array(T);
    dataset.writeRow({ a: 1234, b: 9678 }, tokens, targets, 0);
    expect(decodeText(dataset.tokenizer, tokens)).toBe("1234+9678=2190");
    expect([...targets]).toEqual([...Array.from({ length: 9 }, () => IGNORED), 2, 1, 9, 0, 1]);
    expect(dataset.vocabularySize).toBe(12);
    expect(T).toBe(14);
  });

  test("T-9 every training row adds up and none is held out, whichever the order of its numbers", () => {
    fc.assert(
      fc.property(fc.nat(10_000), fc.maxSafeNat(), (step, seed) => {
        const batch = dataset.assign({ ...options, seed }).batch(step, 0);
        for (const { a, b, answer } of rowsOf(batch)) {
          expect(answer).toBe(a + b);
          expect(dataset.isHeldOut({ a, b }) || dataset.isHeldOut({ a: b, b: a })).toBe(false);
        }
        expect(batch.targetCount).toBe(16 * 5);
      }),
      { numRuns: 50 },
    );
  });

  test("T-9 held-out problems are different, held out, right and the same for every seed", () => {
    const { validation } = dataset.assign(options);
    const rows = Array.from({ length: validation.batchCount }, (_, index) =>
      validation.batch(index),
    ).flatMap(rowsOf);
    expect(rows.length).toBe(2000);
    expect(validation.rowCount).toBe(2000);
    expect(new Set(rows.map(({ a, b }) => `${a}+${b}`)).size).toBe(2000);
    expect(rows.every(({ a, b, answer }) => dataset.isHeldOut({ a, b }) && answer === a + b)).toBe(
      true,
    );
    expect(dataset.assign({ ...options, seed: 8 }).validation.batch(3)).toEqual(
      validation.batch(3),
    );
    expect(validation.targetCount).toBe(10_000);
  });

  test("T-9 a tenth of all problems is held out, and smaller tasks have some too", () => {
    const share = new AdditionDataset(3).heldOutProblems(Infinity).length / 1e6;
    expect(share).toBeWithin(0.098, 0.102);
    const small = new AdditionDataset(1).heldOutProblems();
    expect(small.length).toBeWithin(3, 30);
  });

  test("T-5 batches do not depend on earlier calls and ranks share no rows", () => {
    const world = { ...options, worldSize: 3 };
    const assignment = dataset.assign(world);
    for (let step = 0; step < 5; step++) assignment.batch(step, 1);
    expect(assignment.batch(40, 2)).toEqual(dataset.assign(world).batch(40, 2));
    const together = assignment.samples(40 * 48, 48).tokens;
    const apart = [0, 1, 2].flatMap((rank) => [...assignment.batch(40, rank).tokens]);
    expect(apart).toEqual([...together]);
    expect(
      new Set(rowsOf(assignment.samples(0, 3000)).map(({ a, b }) => `${a}+${b}`)).size,
    ).toBeGreaterThan(2990);
    expect(assignment.position(40)).toMatchObject({ samples: 1920, tokens: 1920 * T });
  });

  test("T-9 exact match counts rows whose whole answer is right", () => {
    const { validation } = dataset.assign({ ...options, batchSize: 1500 });
    const batch = validation.batch(1);
    const predictions = Int32Array.from(batch.targets, (target) =>
      target === IGNORED ? 3 : target,
    );
    expect(exactMatch(batch, predictions, T)).toEqual({ correct: 500, total: 500 });
    predictions[T - 1] = (predictions[T - 1]! + 1) % 10;
    expect(exactMatch(batch, predictions, T)).toEqual({ correct: 499, total: 500 });
  });

  test("T-9 questions are read with or without spaces, and answers are numbers", () => {
    expect(decodeText(dataset.tokenizer, dataset.askQuestion("1234+5678").tokens)).toBe(
      "1234+5678=",
    );
    expect(decodeText(dataset.tokenizer, dataset.askQuestion(" 7 + 25 = ?").tokens)).toBe(
      "0007+0025=",
    );
    expect(dataset.askQuestion("7+25").problem).toEqual({ a: 7, b: 25 });
    expect(dataset.readAnswer([2, 3, 0, 0, 0])).toBe(32);
    expect(dataset.readAnswer([2, 3, 0, 0])).toBeNull();
    expect(dataset.readAnswer([2, 3, 11, 0, 0])).toBeNull();
  });

  test("T-9 other questions are refused", () => {
    for (const question of ["", "12345+1", "1-2", "1+2+3", "one+two", "1+99999999999999999999"]) {
      expect(() => dataset.askQuestion(question)).toThrow(
        expect.objectContaining({ code: "question_invalid" }),
      );
    }
    expect(() => dataset.assign({ ...options, contextLength: 64 })).toThrow(
      expect.objectContaining({ code: "usage" }),
    );
  });
});
