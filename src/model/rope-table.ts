/**
 * Rotary tables with elementary functions of our own: the language leaves the last bits of
 * Math.sin and Math.pow to the engine, and these tables enter the exact lane. Everything here is
 * +, −, ×, ÷ and rounding to whole numbers in float64, which every engine does alike; the error is
 * a few float64 units, so rounding once to float32 is all that remains.
 */

const ln2High = 6.9314718036912381649e-1;
const ln2Low = 1.90821492927058770002e-10;

/** Natural logarithm of a positive finite number. */
export function logarithm(x: number): number {
  let mantissa = x;
  let exponent = 0;
  for (; mantissa >= 1.5; exponent++) mantissa /= 2;
  for (; mantissa < 0.75; exponent--) mantissa *= 2;
  // log m = 2·artanh((m − 1)/(m + 1)), |z| ≤ 0.2: z² shrinks a term by 25 or more.
  const z = (mantissa - 1) / (mantissa + 1);
  const square = z * z;
  let sum = 0;
  for (let odd = 27; odd >= 1; odd -= 2) sum = sum * square + 1 / odd;
  return exponent * ln2High + (2 * z * sum + exponent * ln2Low);
}

/** e to the power x for −700 < x < 700. */
export function exponential(x: number): number {
  const halvings = Math.round(x / (ln2High + ln2Low));
  const rest = x - halvings * ln2High - halvings * ln2Low;
  let sum = 1;
  for (let term = 22; term >= 1; term--) sum = 1 + (rest / term) * sum;
  for (let step = 0; step < Math.abs(halvings); step++) sum = halvings > 0 ? sum * 2 : sum / 2;
  return sum;
}

// π/2 in three parts of 33 bits (fdlibm): a product with a count below 2²⁰ is exact.
const quarterTurn = [
  1.57079632673412561417, 6.0771005063039659766e-11, 2.02226624879595063154e-21,
] as const;

/** Cosine and sine of an angle in radians, 0 ≤ angle < 2²⁰. */
export function turn(angle: number): { readonly cosine: number; readonly sine: number } {
  const quarters = Math.round(angle / 1.5707963267948966);
  const [first, second, third] = quarterTurn;
  const rest = angle - quarters * first - quarters * second - quarters * third;
  const square = rest * rest;
  let sine = 1;
  for (let term = 20; term >= 2; term -= 2) sine = 1 - (square / (term * (term + 1))) * sine;
  sine *= rest;
  let cosine = 1;
  for (let term = 21; term >= 1; term -= 2) cosine = 1 - (square / (term * (term + 1))) * cosine;
  switch (quarters % 4) {
    case 0:
      return { cosine, sine };
    case 1:
      return { cosine: -sine, sine: cosine };
    case 2:
      return { cosine: -cosine, sine: -sine };
    default:
      return { cosine: sine, sine: -cosine };
  }
}

/**
 * positions × headSize: a row holds headSize/2 cosines and then headSize/2 sines of the position
 * times theta^(−2i/headSize) (Su et al. 2021, the pairing of Hugging Face's Llama).
 */
export function ropeTable(positions: number, headSize: number, theta: number): Float32Array {
  const half = headSize / 2;
  const table = new Float32Array(positions * headSize);
  const logTheta = logarithm(theta);
  for (let index = 0; index < half; index++) {
    const frequency = exponential((-2 * index * logTheta) / headSize);
    for (let position = 0; position < positions; position++) {
      const { cosine, sine } = turn(position * frequency);
      table[position * headSize + index] = cosine;
      table[position * headSize + half + index] = sine;
    }
  }
  return table;
}
