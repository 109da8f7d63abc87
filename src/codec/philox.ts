/**
 * Philox4x32-10 (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3",
 * 2011). A counter and a key give four words, with no state between calls, so any batch of any
 * step can be drawn without the ones before it.
 */
export interface Philox {
  /** Fills `out` with the four unsigned words of a counter, which is four words itself. */
  words(out: Uint32Array, first: number, second: number, third: number, fourth: number): void;
}

const MULTIPLIER_0 = 0xd2511f53;
const MULTIPLIER_1 = 0xcd9e8d57;
const KEY_STEP_0 = 0x9e3779b9;
const KEY_STEP_1 = 0xbb67ae85;
const ROUND_COUNT = 10;

/** Upper 32 bits of the 64-bit product of two unsigned words; every partial product is below 2^53. */
export function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const middle = aHigh * bLow + (((aLow * bLow) / 65536) >>> 0);
  const cross = aLow * bHigh + (middle & 0xffff);
  return (aHigh * bHigh + Math.floor(middle / 65536) + Math.floor(cross / 65536)) >>> 0;
}

/** The generator of one 64-bit key, given as two unsigned words. */
export function philox(keyLow: number, keyHigh: number): Philox {
  return {
    words(out, first, second, third, fourth) {
      let c0 = first >>> 0;
      let c1 = second >>> 0;
      let c2 = third >>> 0;
      let c3 = fourth >>> 0;
      let k0 = keyLow >>> 0;
      let k1 = keyHigh >>> 0;
      for (let round = 0; round < ROUND_COUNT; round++) {
        const high0 = multiplyHigh(MULTIPLIER_0, c0);
        const low0 = Math.imul(MULTIPLIER_0, c0) >>> 0;
        const high1 = multiplyHigh(MULTIPLIER_1, c2);
        const low1 = Math.imul(MULTIPLIER_1, c2) >>> 0;
        c0 = (high1 ^ c1 ^ k0) >>> 0;
        c1 = low1;
        c2 = (high0 ^ c3 ^ k1) >>> 0;
        c3 = low0;
        k0 = (k0 + KEY_STEP_0) >>> 0;
        k1 = (k1 + KEY_STEP_1) >>> 0;
      }
      out[0] = c0;
      out[1] = c1;
      out[2] = c2;
      out[3] = c3;
    },
  };
}

/** The generator of a seed, a non-negative safe integer: its low and high 32 bits are the key. */
export function philoxOfSeed(seed: number): Philox {
  return philox(seed % 0x1_0000_0000, Math.floor(seed / 0x1_0000_0000));
}

/** A word scaled to 0 … range − 1 by its upper bits; `range` is at most 2^32 − 1. */
export function scaleWord(word: number, range: number): number {
  return multiplyHigh(word, range);
}
