import { describe, expect, test } from "bun:test";
import { divide, flush, floor, fma, fromBits, squareRoot, add, multiply } from "./binary32.ts";

/** Seeded bit patterns, so that a failure repeats. */
function bitSource(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let z = state;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return (z ^ (z >>> 15)) >>> 0;
  };
}

/** Finite binary32 x as an integer multiple of 2⁻¹⁴⁹. */
function asInteger(x: number): bigint {
  const magnitude = Math.abs(x);
  if (magnitude === 0) return 0n;
  const exponent = Math.max(Math.floor(Math.log2(magnitude)) - 24, -149);
  const value = BigInt(magnitude / 2 ** exponent) << BigInt(exponent + 149);
  return x < 0 ? -value : value;
}

/** The binary32 nearest to value·2^exponent, ties to even: the oracle, in integers only. */
function roundExactly(value: bigint, exponent: number): number {
  const magnitude = value < 0n ? -value : value;
  const sign = value < 0n ? -1 : 1;
  if (magnitude === 0n) return 0;
  const length = magnitude.toString(2).length;
  const unitExponent = Math.max(length + exponent - 24, -149);
  const shift = unitExponent - exponent;
  let kept: bigint;
  if (shift <= 0) kept = magnitude << BigInt(-shift);
  else {
    kept = magnitude >> BigInt(shift);
    const rest = magnitude - (kept << BigInt(shift));
    const half = 1n << BigInt(shift - 1);
    if (rest > half || (rest === half && kept % 2n === 1n)) kept += 1n;
  }
  const result = Number(kept) * 2 ** unitExponent;
  return sign * (result >= 2 ** 128 ? Infinity : result);
}

const exactFma = (a: number, b: number, c: number): number =>
  roundExactly(asInteger(a) * asInteger(b) + (asInteger(c) << 149n), -298);

function expectFma(a: number, b: number, c: number): void {
  const actual = fma(a, b, c);
  const expected = exactFma(a, b, c);
  // A zero sum's sign is checked by its own test: the oracle has no −0.
  if (actual !== expected) throw new Error(`fma(${a}, ${b}, ${c}) = ${actual}, not ${expected}`);
}

describe("T-1 binary32 primitives are correctly rounded", () => {
  test("fma on random bit patterns", () => {
    const bits = bitSource(1);
    let checked = 0;
    for (let i = 0; i < 60_000; i++) {
      const [a, b, c] = [fromBits(bits()), fromBits(bits()), fromBits(bits())];
      if (![a, b, c].every(Number.isFinite)) continue;
      expectFma(a, b, c);
      checked++;
    }
    expect(checked).toBeGreaterThan(50_000);
  });

  test("fma where the addend lies near the product, the threshold of subnormals and of overflow", () => {
    const bits = bitSource(2);
    const near = (exponent: number): number => {
      const spread = (bits() % 60) - 30;
      const biased = Math.min(Math.max(exponent + spread + 127, 0), 254);
      return fromBits(((bits() & 1) << 31) | (biased << 23) | (bits() & 0x7fffff));
    };
    for (let i = 0; i < 60_000; i++) {
      const target = [-149, -126, 0, 127][i % 4]!;
      const split = Math.floor(target / 2);
      expectFma(near(split), near(target - split), near(target));
    }
    expect(fma(2 ** 64, 2 ** 64, -1)).toBe(Infinity);
  });

  test("fma of exact halves: the product decides, however small", () => {
    const bits = bitSource(3);
    for (let i = 0; i < 40_000; i++) {
      // c is odd or even in its last place; a·b is half a unit of it, exactly or with a distant crumb.
      const exponent = (bits() % 200) - 100;
      const c = fromBits(((exponent + 127) << 23) | (bits() & 0x7fffff));
      const half = 2 ** (exponent - 24);
      const a = (bits() & 1 ? 1 : -1) * (1 + (bits() % 3) * 2 ** -23);
      const b = half * (1 + ((bits() % 5) - 2) * 2 ** -23);
      expectFma(a, Math.fround(b), bits() & 1 ? c : -c);
    }
    const tie = 1 + 2 ** -23;
    expect(fma(2 ** -12, 2 ** -12, tie)).toBe(1 + 2 ** -22);
    expect(fma(2 ** -12, 2 ** -12, 1)).toBe(1);
    expect(fma(2 ** -24 + 2 ** -47, 1, 1)).toBe(tie);
    // The double sum rounds the crumb away: two roundings would give the even neighbour.
    expect(fma(1 + 2 ** -23, 2 ** -24 * (1 - 2 ** -23), tie)).toBe(tie);
    expect(fma(2 ** -75, 2 ** -75, 0)).toBe(0);
    expect(fma(2 ** -75 * (1 + 2 ** -23), 2 ** -75, 0)).toBe(2 ** -149);
    const largest = fromBits(0x7f7fffff);
    expect(fma(2 ** 51, 2 ** 52, largest)).toBe(Infinity);
    expect(fma(2 ** 51 * (1 - 2 ** -24), 2 ** 52, largest)).toBe(largest);
    expect(fma(2 ** 52 * (1 + 2 ** -23), 2 ** 51 * (1 - 2 ** -23), largest)).toBe(largest);
  });

  test("zeros, infinities and NaN", () => {
    expect(fma(-0, 1, -0)).toBe(-0);
    expect(fma(-0, 1, 0)).toBe(0);
    expect(fma(1, 1, -1)).toBe(0);
    expect(fma(-1, 1, 1)).toBe(0);
    expect(fma(Infinity, 0, 1)).toBeNaN();
    expect(fma(Infinity, 1, -Infinity)).toBeNaN();
    expect(fma(Infinity, -1, 1)).toBe(-Infinity);
    expect(fma(1, 1, Infinity)).toBe(Infinity);
    expect(fma(NaN, 1, 1)).toBeNaN();
  });

  test("sums, products, quotients and roots round once, subnormals included", () => {
    const bits = bitSource(4);
    for (let i = 0; i < 30_000; i++) {
      const [a, b] = [fromBits(bits()), fromBits(i % 2 ? bits() : bits() & 0x807fffff)];
      if (!Number.isFinite(a) || !Number.isFinite(b)) continue;
      expect(add(a, b)).toBe(roundExactly(asInteger(a) + asInteger(b), -149) || add(a, b));
      expect(Math.abs(multiply(a, b))).toBe(
        Math.abs(roundExactly(asInteger(a) * asInteger(b), -298)),
      );
      if (b !== 0 && a !== 0) checkQuotient(a, b);
      if (a > 0) checkRoot(a);
    }
  });

  test("thresholds", () => {
    expect(flush(2 ** -39)).toBe(2 ** -39);
    expect(flush(-(2 ** -39) * (1 - 2 ** -24))).toBe(0);
    expect(flush(-0)).toBe(0);
    expect(flush(NaN)).toBeNaN();
    expect(floor(2 ** -100)).toBe(2 ** -100);
    expect(floor(-(2 ** -100) * (1 - 2 ** -24))).toBe(0);
  });
});

/** A quotient with a sticky bit below 600 exact ones rounds as the true one. */
function checkQuotient(a: number, b: number): void {
  const numerator = asInteger(a) << 600n;
  const denominator = asInteger(b);
  const quotient = numerator / denominator;
  const sticky = quotient * denominator === numerator ? 0n : 1n;
  const signed = quotient < 0n || (quotient === 0n && a < 0 !== b < 0) ? -sticky : sticky;
  expect(Math.abs(divide(a, b))).toBe(Math.abs(roundExactly(quotient * 2n + signed, -601)));
}

/** r is the rounded root when the squares of its two midpoints enclose a. */
function checkRoot(a: number): void {
  const r = squareRoot(a);
  const unit = 2 ** (Math.floor(Math.log2(r)) - 25);
  const scaled = asInteger(a) << 451n;
  const root = BigInt(r / unit);
  const exponent = BigInt(2 * Math.round(Math.log2(unit)) + 600);
  const square = (m: bigint): bigint => (m * m) << exponent;
  expect(square(root - 2n) <= scaled && scaled <= square(root + 2n)).toBe(true);
}
