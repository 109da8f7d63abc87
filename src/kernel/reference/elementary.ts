import { add, bitsOf, fma, fromBits, multiply, subtract } from "./binary32.ts";

/** docs/NUMERICS.md §2: the functions of `exact/1` as short polynomials in fused operations. */
const constants = (...values: readonly number[]): readonly number[] => values.map(Math.fround);

/** Adding and subtracting 1.5·2²³ rounds a small number to an integer, halves to even. */
const integerRounder = 12582912;

const logarithmOfE = Math.fround(Math.LOG2E);
const logarithmHigh = Math.fround(0.693359375);
const logarithmLow = Math.fround(2.1219444e-4);

const exponentialFirst = Math.fround(1.98756915e-4);
const exponentialRest = constants(
  1.3981999507e-3,
  8.3334519073e-3,
  4.1665795894e-2,
  1.6666665459e-1,
  5.0000001201e-1,
);

/** e to the x for x ≤ 0; below −87 it is +0, so no result is subnormal. */
export function exponential(x: number): number {
  if (x < -87) return 0;
  if (x !== x) return x;
  const shifted = fma(x, logarithmOfE, integerRounder);
  const n = subtract(shifted, integerRounder);
  let r = fma(n, -logarithmHigh, x);
  r = fma(n, logarithmLow, r);
  let p = exponentialFirst;
  for (const coefficient of exponentialRest) p = fma(p, r, coefficient);
  const y = add(fma(p, multiply(r, r), r), 1);
  return multiply(y, fromBits((n + 127) << 23));
}

const logarithmFirst = Math.fround(7.0376836292e-2);
const logarithmRest = constants(
  -1.151461031e-1,
  1.167699874e-1,
  -1.2420140846e-1,
  1.4249322787e-1,
  -1.6668057665e-1,
  2.0000714765e-1,
  -2.4999993993e-1,
  3.3333331174e-1,
);
const rootOfHalfBits = 0x3f3504f3;

/** Natural logarithm of a normal x > 0. */
export function logarithm(x: number): number {
  const i = (bitsOf(x) - rootOfHalfBits) | 0;
  const e = i >> 23;
  const m = fromBits((i & 0x7fffff) + rootOfHalfBits);
  const f = subtract(m, 1);
  const z = multiply(f, f);
  let p = logarithmFirst;
  for (const coefficient of logarithmRest) p = fma(p, f, coefficient);
  let y = multiply(multiply(p, f), z);
  y = fma(e, -logarithmLow, y);
  y = fma(-0.5, z, y);
  const r = add(f, y);
  return fma(e, logarithmHigh, r);
}

const halfPi = Math.fround(Math.PI / 2);
const sineFirst = Math.fround(-1.9515295891e-4);
const sineRest = constants(8.3321608736e-3, -1.6666654611e-1);
const cosineFirst = Math.fround(2.443315711809948e-5);
const cosineRest = constants(-1.388731625493765e-3, 4.166664568298827e-2);

export interface Turn {
  readonly cosine: number;
  readonly sine: number;
}

/** Cosine and sine of u turns (2πu radians), 0 ≤ u < 1. */
export function turn(u: number): Turn {
  const t = multiply(4, u);
  const n = subtract(add(t, integerRounder), integerRounder);
  const a = multiply(subtract(t, n), halfPi);
  const s = multiply(a, a);
  let p = sineFirst;
  for (const coefficient of sineRest) p = fma(p, s, coefficient);
  const sine = fma(multiply(p, s), a, a);
  p = cosineFirst;
  for (const coefficient of cosineRest) p = fma(p, s, coefficient);
  const cosine = fma(multiply(p, s), s, fma(-0.5, s, 1));
  const quarter = n & 3;
  if (quarter === 0) return { cosine, sine };
  if (quarter === 1) return { cosine: -sine, sine: cosine };
  if (quarter === 2) return { cosine: -cosine, sine: -sine };
  return { cosine: sine, sine: -cosine };
}
