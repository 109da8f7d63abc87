import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { multiplyHigh, philox, scaleWord } from "./philox.ts";

const word = fc.integer({ min: 0, max: 0xffffffff });

function wordsOf(key: [number, number], counter: [number, number, number, number]): string[] {
  const out = new Uint32Array(4);
  philox(...key).words(out, ...counter);
  return [...out].map((value) => value.toString(16).padStart(8, "0"));
}

describe("T-1 T-5 seeded numbers", () => {
  test("T-1 T-5 Philox gives the published known answers", () => {
    expect(wordsOf([0, 0], [0, 0, 0, 0])).toEqual(["6627e8d5", "e169c58d", "bc57ac4c", "9b00dbd8"]);
    const ones = 0xffffffff;
    expect(wordsOf([ones, ones], [ones, ones, ones, ones])).toEqual([
      ...["408f276d", "41c83b0e", "a20bc7c6", "6d5451fd"],
    ]);
    expect(
      wordsOf([0xa4093822, 0x299f31d0], [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344]),
    ).toEqual(["d16cfe09", "94fdcceb", "5001e420", "24126ea1"]);
  });

  test("T-5 the upper half of a product is exact", () => {
    fc.assert(
      fc.property(word, word, (a, b) => {
        expect(multiplyHigh(a, b)).toBe(Number((BigInt(a) * BigInt(b)) >> 32n));
      }),
    );
  });

  test("T-5 scaled words stay below the range", () => {
    fc.assert(
      fc.property(word, fc.integer({ min: 1, max: 0xffffffff }), (value, range) => {
        expect(scaleWord(value, range)).toBeLessThan(range);
      }),
    );
  });
});
