import { assert } from "#src/refusal/refusal.ts";
import type { Philox } from "#src/codec/philox.ts";

const ROUND_COUNT = 8;

/** A bijection of 32-bit words whose output bits all depend on all input bits (MurmurHash3's finaliser). */
export function mixWord(word: number): number {
  let mixed = word >>> 0;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

/**
 * A seeded permutation of 0 … size − 1, evaluated at single places without a table: a balanced
 * Feistel network over the next even power of two, walked along its cycle until it falls inside.
 * Fewer than four evaluations are needed on average, whatever the size (at most 2^52).
 */
export class Permutation {
  readonly #halfSize: number;
  readonly #roundKeys = new Uint32Array(ROUND_COUNT);

  /** `purpose` and `stream` tell the permutations of one seed apart, such as those of two epochs. */
  constructor(
    readonly size: number,
    generator: Philox,
    purpose: number,
    stream: number,
  ) {
    assert(
      Number.isInteger(size) && size >= 1 && size <= 2 ** 52,
      "permutation size is out of range",
    );
    let halfSize = 2;
    while (halfSize * halfSize < size) halfSize *= 2;
    this.#halfSize = halfSize;
    const words = new Uint32Array(4);
    for (let block = 0; block < ROUND_COUNT / 4; block++) {
      generator.words(words, block, 0, purpose, stream);
      this.#roundKeys.set(words, block * 4);
    }
  }

  /** The element at `index`. */
  at(index: number): number {
    assert(index >= 0 && index < this.size, "permutation index is out of range");
    const halfSize = this.#halfSize;
    let value = index;
    do {
      let left = Math.floor(value / halfSize);
      let right = value % halfSize;
      for (let round = 0; round < ROUND_COUNT; round++) {
        // halfSize is a power of two of at most 2^26, so bitwise arithmetic is exact.
        const mixed = mixWord(right ^ this.#roundKeys[round]!);
        const next = (left ^ (mixed & (halfSize - 1))) >>> 0;
        left = right;
        right = next;
      }
      value = left * halfSize + right;
    } while (value >= this.size);
    return value;
  }
}
