/**
 * A heap of token pairs, the most frequent first and the smaller pair first among equals, which
 * makes training independent of the order in which pairs were met. Entries are never updated in
 * place: the owner pushes a new one and recognises a stale one by its count when it comes up.
 */
export class PairHeap {
  readonly #counts: number[] = [];
  readonly #pairs: number[] = [];

  get size(): number {
    return this.#pairs.length;
  }

  push(pair: number, count: number): void {
    let index = this.#pairs.length;
    this.#pairs.push(pair);
    this.#counts.push(count);
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!this.#before(index, parent)) break;
      this.#swap(index, parent);
      index = parent;
    }
  }

  /** Removes the first entry; null when there is none. */
  pop(): { readonly pair: number; readonly count: number } | null {
    const last = this.#pairs.length - 1;
    if (last < 0) return null;
    const first = { pair: this.#pairs[0]!, count: this.#counts[0]! };
    this.#swap(0, last);
    this.#pairs.pop();
    this.#counts.pop();
    let index = 0;
    for (;;) {
      let best = index;
      for (const child of [2 * index + 1, 2 * index + 2]) {
        if (child < last && this.#before(child, best)) best = child;
      }
      if (best === index) return first;
      this.#swap(index, best);
      index = best;
    }
  }

  #before(a: number, b: number): boolean {
    const difference = this.#counts[a]! - this.#counts[b]!;
    return difference === 0 ? this.#pairs[a]! < this.#pairs[b]! : difference > 0;
  }

  #swap(a: number, b: number): void {
    const pair = this.#pairs[a]!;
    const count = this.#counts[a]!;
    this.#pairs[a] = this.#pairs[b]!;
    this.#counts[a] = this.#counts[b]!;
    this.#pairs[b] = pair;
    this.#counts[b] = count;
  }
}
