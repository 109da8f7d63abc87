/** How often each of a fixed set of named things happened. */
export class Count<Name extends string> {
  readonly #counts: Map<Name, number>;

  constructor(names: readonly Name[]) {
    this.#counts = new Map(names.map((name) => [name, 0]));
  }

  add(name: Name, times = 1): void {
    this.#counts.set(name, this.#counts.get(name)! + times);
  }

  addAll(counts: Readonly<Record<Name, number>>): void {
    for (const [name, times] of Object.entries(counts)) this.add(name as Name, times as number);
  }

  of(name: Name): number {
    return this.#counts.get(name)!;
  }

  toJSON(): Record<Name, number> {
    return Object.fromEntries(this.#counts) as Record<Name, number>;
  }
}
