import { describe, expect, test } from "bun:test";
import { gelu, geluDerivative, sigmoid, silu, siluDerivative } from "./activation.ts";
import { binary32, binary64 } from "./arithmetic.ts";
import { bitsOf, fromBits } from "./binary32.ts";
import { exponential, logarithm, turn } from "./elementary.ts";

/** `count` binary32 arguments spread evenly over [from, to]. */
function* evenly(from: number, to: number, count: number): Generator<number> {
  for (let i = 0; i <= count; i++) yield Math.fround(from + ((to - from) * i) / count);
}

/** Every `stride`-th binary32 number of one sign between two magnitudes. */
function* byBits(from: number, to: number, stride: number): Generator<number> {
  for (let bits = bitsOf(from); bits <= bitsOf(to); bits += stride) yield fromBits(bits);
}

interface Measured {
  readonly relative: number;
  readonly absolute: number;
}

function measure(
  points: Iterable<number>,
  actual: (x: number) => number,
  expected: (x: number) => number,
): Measured {
  let relative = 0;
  let absolute = 0;
  for (const x of points) {
    const truth = expected(x);
    const error = Math.abs(actual(x) - truth);
    absolute = Math.max(absolute, error);
    if (truth !== 0) relative = Math.max(relative, error / Math.abs(truth));
  }
  return { relative, absolute };
}

/** Half a unit in the last place of 1: what rounding alone costs. */
const half = 2 ** -24;

describe("T-1 elementary functions stay within their published errors", () => {
  test("exp on [-87, 0]", () => {
    const { relative } = measure(evenly(-87, 0, 1_000_003), exponential, Math.exp);
    expect(relative).toBeLessThan(2 * half);
    expect(exponential(0)).toBe(1);
    expect(exponential(-87.00001)).toBe(0);
    expect(exponential(-Infinity)).toBe(0);
    expect(exponential(NaN)).toBeNaN();
  });

  test("log on the normal numbers", () => {
    const near = measure(byBits(0.5, 2, 17), logarithm, Math.log);
    expect(near.relative).toBeLessThan(2 * half);
    const all = measure(byBits(2 ** -126, 3e38, 2111), logarithm, Math.log);
    expect(all.relative).toBeLessThan(2 * half);
    expect(logarithm(1)).toBe(0);
  });

  test("cosine and sine of turns on [0, 1)", () => {
    const last = 1 - 2 ** -24;
    const cosine = measure(
      evenly(0, last, 1_000_003),
      (u) => turn(u).cosine,
      (u) => Math.cos(2 * Math.PI * u),
    );
    const sine = measure(
      evenly(0, last, 1_000_003),
      (u) => turn(u).sine,
      (u) => Math.sin(2 * Math.PI * u),
    );
    expect(cosine.absolute).toBeLessThan(2 * half);
    expect(sine.absolute).toBeLessThan(2 * half);
  });

  test("sigmoid and silu on [-80, 80]", () => {
    const points = () => evenly(-80, 80, 400_009);
    const gate = measure(
      points(),
      (x) => sigmoid(binary32, x),
      (x) => sigmoid(binary64, x),
    );
    expect(gate.relative).toBeLessThan(5 * half);
    const value = measure(
      points(),
      (x) => silu(binary32, x),
      (x) => silu(binary64, x),
    );
    expect(value.relative).toBeLessThan(6 * half);
    const slope = measure(
      points(),
      (x) => siluDerivative(binary32, x),
      (x) => siluDerivative(binary64, x),
    );
    // 1 − s loses up to half a unit of 1, times x.
    expect(slope.absolute).toBeLessThan(18 * half);
  });

  test("gelu on [-10, 10]", () => {
    const points = () => evenly(-10, 10, 400_009);
    const value = measure(
      points(),
      (x) => gelu(binary32, x),
      (x) => gelu(binary64, x),
    );
    expect(value.absolute).toBeLessThan(16 * half);
    const slope = measure(
      points(),
      (x) => geluDerivative(binary32, x),
      (x) => geluDerivative(binary64, x),
    );
    // The same loss, times x and the inner derivative.
    expect(slope.absolute).toBeLessThan(36 * half);
  });
});
