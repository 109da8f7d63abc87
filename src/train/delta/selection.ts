/** Which values of a block count, and the two magnitudes that stand for them. */

const blockMaximum = 4_096;
/** Bits of a float32 without its sign order finite values by magnitude. */
const magnitudeMask = 0x7fff_ffff;
/** Where the three digits of such a magnitude begin, and how many bits each has. */
const digits = [
  { shift: 20, mask: 0x7ff },
  { shift: 10, mask: 0x3ff },
  { shift: 0, mask: 0x3ff },
] as const;

const candidates = new Uint32Array(blockMaximum);
const counts = new Uint16Array(0x800);

/**
 * Writes the places of the `kept` values of largest magnitude, ascending, into `picked`; among equals the
 * first ones are taken. Blocks of at most 4,096 finite values. Three counting passes find the smallest magnitude that is kept, so the
 * time does not depend on the values.
 */
export function pickLargest(block: Float32Array, kept: number, picked: Uint16Array): void {
  const bits = new Uint32Array(block.buffer, block.byteOffset, block.length);
  const { least, equals } = leastKept(bits, kept);
  let count = 0;
  let equalsLeft = equals;
  for (let index = 0; count < kept; index++) {
    const magnitude = bits[index]! & magnitudeMask;
    if (magnitude < least) continue;
    if (magnitude === least && equalsLeft-- <= 0) continue;
    picked[count++] = index;
  }
}

/** The magnitude, as bits, of the last value that is kept, and how many of that magnitude are. */
function leastKept(bits: Uint32Array, kept: number) {
  let count = bits.length;
  for (let index = 0; index < count; index++) candidates[index] = bits[index]! & magnitudeMask;
  let least = 0;
  let equals = kept;
  for (const { shift, mask } of digits) {
    counts.fill(0, 0, mask + 1);
    for (let index = 0; index < count; index++) counts[(candidates[index]! >>> shift) & mask]!++;
    let digit = mask;
    for (; counts[digit]! < equals; digit--) equals -= counts[digit]!;
    least |= digit << shift;
    let remaining = 0;
    for (let index = 0; index < count; index++) {
      const candidate = candidates[index]!;
      if (((candidate >>> shift) & mask) === digit) candidates[remaining++] = candidate;
    }
    count = remaining;
  }
  return { least, equals };
}

export interface Magnitudes {
  /** Float32 each; `low` is at most `high`. */
  readonly high: number;
  readonly low: number;
  /** Values of at least this magnitude are written as the high one. */
  readonly least: number;
}

const sorted = new Float32Array(blockMaximum / 64);

/**
 * The two magnitudes that stand for the picked values with the least sum of squared differences: the means of
 * the largest s and of the others. Sums are binary64 in descending order; of equal splits the smallest s.
 */
export function splitMagnitudes(block: Float32Array, picked: Uint16Array): Magnitudes {
  const kept = picked.length;
  const ascending = sorted.subarray(0, kept);
  for (let nth = 0; nth < kept; nth++) ascending[nth] = Math.abs(block[picked[nth]!]!);
  ascending.sort();
  let total = 0;
  for (let nth = kept - 1; nth >= 0; nth--) total += ascending[nth]!;
  let sum = 0;
  const best = { score: -1, sum: 0, count: 0 };
  for (let count = 1; count <= kept; count++) {
    sum += ascending[kept - count]!;
    const rest = total - sum;
    const score = (sum * sum) / count + (count < kept ? (rest * rest) / (kept - count) : 0);
    if (score <= best.score) continue;
    best.score = score;
    best.sum = sum;
    best.count = count;
  }
  const high = Math.fround(best.sum / best.count);
  const others = kept - best.count;
  const low = others === 0 ? 0 : Math.min(high, Math.fround((total - best.sum) / others));
  return { high, low, least: ascending[kept - best.count]! };
}
