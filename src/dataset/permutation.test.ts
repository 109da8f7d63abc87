import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { philoxOfSeed } from "#src/codec/philox.ts";
import { Permutation } from "./permutation.ts";

describe("T-5 permutations", () => {
  test("T-5 a permutation meets every place once and differs by seed and stream", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 3000 }), fc.maxSafeNat(), (size, seed) => {
        const order = new Permutation(size, philoxOfSeed(seed), 1, 0);
        const places = Array.from({ length: size }, (_, index) => order.at(index));
        expect(new Set(places).size).toBe(size);
        expect(Math.max(...places)).toBe(size - 1);
      }),
      { numRuns: 30 },
    );
    const first = (seed: number, stream: number) => {
      const order = new Permutation(100_000, philoxOfSeed(seed), 1, stream);
      return Array.from({ length: 8 }, (_, index) => order.at(index)).join();
    };
    expect(new Set([first(1, 0), first(2, 0), first(1, 1), first(2 ** 40 + 1, 0)]).size).toBe(4);
  });

  test("T-5 a permutation of the largest size stays inside it", () => {
    const order = new Permutation(2 ** 52, philoxOfSeed(5), 1, 0);
    for (const index of [0, 1, 2 ** 31, 2 ** 52 - 1]) {
      expect(order.at(index)).toBeWithin(0, 2 ** 52);
      expect(Number.isInteger(order.at(index))).toBe(true);
    }
  });
});
