import { assert } from "#src/refusal/refusal.ts";
import type { Entry, Membership, Snapshot } from "./entry.ts";

/**
 * The part of the log a node holds: a snapshot and the entries after it. Changed in place by the
 * one core that owns it.
 */
export class History {
  #snapshot: Snapshot;
  #entries: Entry[];

  constructor(snapshot: Snapshot, entries: readonly Entry[]) {
    this.#snapshot = snapshot;
    this.#entries = [...entries];
    entries.forEach((entry, offset) =>
      assert(entry.index === snapshot.index + 1 + offset, "the log has no holes"),
    );
  }

  get snapshot(): Snapshot {
    return this.#snapshot;
  }

  get lastIndex(): number {
    return this.#snapshot.index + this.#entries.length;
  }

  get lastTerm(): number {
    return this.#entries.at(-1)?.term ?? this.#snapshot.term;
  }

  /** The membership that counts: the latest in the log, committed or not. */
  get membership(): Membership {
    return this.membershipAt(this.lastIndex);
  }

  /** The membership in force at an index that is held. */
  membershipAt(index: number): Membership {
    for (let offset = index - this.#snapshot.index - 1; offset >= 0; offset--) {
      const entry = this.#entries[offset]!;
      if (entry.kind === "membership") return entry.membership;
    }
    return this.#snapshot.membership;
  }

  /** Where the latest membership stands; the snapshot's index when it is in there. */
  get membershipIndex(): number {
    return (
      this.#entries.findLast(({ kind }) => kind === "membership")?.index ?? this.#snapshot.index
    );
  }

  /** The term of an index, or null where it is neither held nor the snapshot's. */
  termAt(index: number): number | null {
    if (index === this.#snapshot.index) return this.#snapshot.term;
    return this.#entries[index - this.#snapshot.index - 1]?.term ?? null;
  }

  /** Entries from an index on, at most `count`. */
  from(index: number, count: number): readonly Entry[] {
    const start = index - this.#snapshot.index - 1;
    assert(start >= 0, "entries in the snapshot are gone");
    return this.#entries.slice(start, start + count);
  }

  /** True where a log that ends so is at least as good as this one. */
  isBehind(lastIndex: number, lastTerm: number): boolean {
    return lastTerm > this.lastTerm || (lastTerm === this.lastTerm && lastIndex >= this.lastIndex);
  }

  push(entry: Entry): void {
    assert(entry.index === this.lastIndex + 1, "entries are appended in order");
    assert(entry.term >= this.lastTerm, "terms in the log never go down");
    this.#entries.push(entry);
  }

  /** Drops everything from an index on. */
  truncate(fromIndex: number): void {
    assert(fromIndex > this.#snapshot.index, "what a snapshot holds is never dropped");
    this.#entries.length = fromIndex - this.#snapshot.index - 1;
  }

  /** Replaces the entries up to an index by a snapshot of the state after it. */
  compact(index: number, state: string): Snapshot {
    const term = this.termAt(index);
    assert(term !== null && index >= this.#snapshot.index, "only what is held can be compacted");
    const snapshot = { index, term, membership: this.membershipAt(index), state };
    this.#entries = this.#entries.slice(index - this.#snapshot.index);
    this.#snapshot = snapshot;
    return snapshot;
  }

  /** Begins anew from a snapshot. True where entries after it fit it and stay. */
  restore(snapshot: Snapshot): boolean {
    const fits = this.termAt(snapshot.index) === snapshot.term;
    this.#entries = fits ? this.#entries.slice(snapshot.index - this.#snapshot.index) : [];
    this.#snapshot = snapshot;
    return fits;
  }
}
