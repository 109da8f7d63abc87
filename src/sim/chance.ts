import { philoxOfSeed, scaleWord, type Philox } from "#src/codec/philox.ts";

/**
 * All the chance of a simulation. Counter-based, so a seed means the same everywhere; streams of one seed
 * are independent, so that a draw more in one does not move the others.
 */
export class Chance {
  readonly #philox: Philox;
  readonly #words = new Uint32Array(4);
  #counter = 0;
  #left = 0;

  constructor(
    seed: number,
    readonly stream: number,
  ) {
    this.#philox = philoxOfSeed(seed);
  }

  #word(): number {
    if (this.#left === 0) {
      this.#philox.words(this.#words, this.#counter++, this.stream, 0, 0);
      this.#left = 4;
    }
    return this.#words[--this.#left]!;
  }

  /** In [0, 1). */
  fraction(): number {
    return this.#word() / 0x1_0000_0000;
  }

  /** A whole number in [0, range). */
  below(range: number): number {
    return scaleWord(this.#word(), range);
  }

  /** A whole number in [first, last]. */
  between(first: number, last: number): number {
    return first + this.below(last - first + 1);
  }

  happens(probability: number): boolean {
    return this.fraction() < probability;
  }

  /** Every order equally likely (Fisher and Yates); always as many draws as elements. */
  shuffled<T>(list: readonly T[]): readonly T[] {
    const order = [...list];
    for (let last = order.length - 1; last > 0; last--) {
      const place = this.below(last + 1);
      [order[last], order[place]] = [order[place]!, order[last]!];
    }
    return order;
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)]!;
  }
}
