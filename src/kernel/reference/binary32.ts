/**
 * The primitive operations of IEEE 754 binary32, each rounded once to nearest, ties to even.
 *
 * Values travel as JavaScript numbers that are exactly representable in binary32. A double has
 * 53 ≥ 2·24 + 2 significant bits, so rounding a double sum, quotient or root to binary32 equals
 * rounding the exact result (Figueroa 1995); the quotient of two 24-bit numbers stays too far from
 * a shorter midpoint for the subnormal range to be an exception. Products are exact in a double.
 */
const round = Math.fround;

export const add = (a: number, b: number): number => round(a + b);
export const subtract = (a: number, b: number): number => round(a - b);
export const multiply = (a: number, b: number): number => round(a * b);
export const divide = (a: number, b: number): number => round(a / b);
export const squareRoot = (a: number): number => round(Math.sqrt(a));

/**
 * Correctly rounded a·b + c. The double sum `wide` misleads the second rounding only when it lies
 * exactly half way between two binary32 numbers while the true sum does not; everything else, NaN
 * and infinities included, is settled by the first return.
 */
export function fma(a: number, b: number, c: number): number {
  const product = a * b;
  const wide = product + c;
  const narrow = round(wide);
  const difference = wide - narrow;
  const opposite = wide + difference;
  if (difference === 0 || round(opposite) !== opposite) return narrow;
  return resolveMidpoint(product, c, wide, narrow);
}

/** TwoSum (Knuth) finds which side of the midpoint `wide` the exact sum lies on; one double step decides. */
function resolveMidpoint(product: number, c: number, wide: number, narrow: number): number {
  const virtual = wide - product;
  const error = product - (wide - virtual) + (c - virtual);
  if (error === 0) return narrow;
  const away = error > 0 === wide > 0;
  return round(wide * (away ? 1 + 2 ** -52 : 1 - 2 ** -52));
}

/** Inputs of chains below this magnitude enter as +0. */
const flushThreshold = 2 ** -39;
export const flush = (x: number): number => (Math.abs(x) < flushThreshold ? 0 : x);

/** Moments below this magnitude are stored as +0. */
const floorThreshold = 2 ** -100;
export const floor = (x: number): number => (Math.abs(x) < floorThreshold ? 0 : x);

const scratchFloats = new Float32Array(1);
const scratchWords = new Int32Array(scratchFloats.buffer);

export function bitsOf(x: number): number {
  scratchFloats[0] = x;
  return scratchWords[0]!;
}

export function fromBits(bits: number): number {
  scratchWords[0] = bits;
  return scratchFloats[0]!;
}
