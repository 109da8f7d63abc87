import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { windowOrder } from "./window.ts";

const seeds = fc.maxSafeNat();
const shapes = fc
  .record({
    contextLength: fc.integer({ min: 1, max: 40 }),
    extra: fc.integer({ min: 1, max: 2000 }),
  })
  .map(({ contextLength, extra }) => ({ contextLength, tokenCount: contextLength + extra }));

describe("T-5 windows", () => {
  test("T-5 a pass takes each token once as input and once as target, up to the tail", () => {
    fc.assert(
      fc.property(shapes, seeds, fc.nat(5), ({ contextLength, tokenCount }, seed, epoch) => {
        const order = windowOrder("epoch", seed, tokenCount, contextLength);
        const count = order.samplesPerEpoch!;
        const seen = new Uint8Array(tokenCount);
        for (let sample = epoch * count; sample < (epoch + 1) * count; sample++) {
          const start = order.startOf(sample);
          // The target of the last input is one token further on.
          expect(start + contextLength).toBeLessThan(tokenCount);
          for (let token = start; token < start + contextLength; token++) seen[token]!++;
        }
        expect(Math.max(...seen)).toBe(1);
        expect(tokenCount - count * contextLength).toBeLessThanOrEqual(2 * contextLength);
      }),
    );
  });

  test("T-5 passes differ in order and in where windows begin", () => {
    const order = windowOrder("epoch", 3, 10_000, 64);
    const count = order.samplesPerEpoch!;
    const passes = [0, 1, 2].map((epoch) =>
      Array.from({ length: count }, (_, at) => order.startOf(epoch * count + at)),
    );
    expect(new Set(passes.map((starts) => starts.join())).size).toBe(3);
    expect(new Set(passes.map((starts) => starts[0]! % 64)).size).toBeGreaterThan(1);
  });

  test("T-5 any row can be asked for in any order", () => {
    fc.assert(
      fc.property(shapes, seeds, fc.array(fc.nat(100_000)), (shape, seed, samples) => {
        for (const policy of ["epoch", "random-window"] as const) {
          const one = windowOrder(policy, seed, shape.tokenCount, shape.contextLength);
          const starts = samples.map((sample) => one.startOf(sample));
          const fresh = samples.map((sample) =>
            windowOrder(policy, seed, shape.tokenCount, shape.contextLength).startOf(sample),
          );
          expect(starts).toEqual(fresh);
          for (const start of starts)
            expect(start + shape.contextLength).toBeLessThan(shape.tokenCount);
        }
      }),
    );
  });

  test("T-5 random windows reach both ends and every seed draws its own", () => {
    const starts = (seed: number) => {
      const order = windowOrder("random-window", seed, 30, 10);
      return Array.from({ length: 2000 }, (_, sample) => order.startOf(sample));
    };
    expect(new Set(starts(1)).size).toBe(20);
    expect(starts(1)).not.toEqual(starts(2));
  });
});
