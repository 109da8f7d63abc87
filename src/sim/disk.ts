import { assert } from "#src/refusal/refusal.ts";
import type { Durable, Write } from "#src/log/durable.ts";
import type { Ballot, Entry, Membership, Snapshot } from "#src/log/entry.ts";

/**
 * What survives on one node's simulated disk. A write is a row of small steps; a crash may leave any prefix
 * of the write under way, and nothing of those behind it.
 */
export class SimulatedDisk implements Durable {
  ballot: Ballot;
  snapshot: Snapshot;
  entries: Entry[];

  constructor(durable: Durable) {
    this.ballot = durable.ballot;
    this.snapshot = durable.snapshot;
    this.entries = [...durable.entries];
  }

  get lastIndex(): number {
    return this.snapshot.index + this.entries.length;
  }

  get lastTerm(): number {
    return this.entries.at(-1)?.term ?? this.snapshot.term;
  }

  /** The term of an index, or null where it is not held; what a snapshot covers has the term asked for. */
  holds(index: number, term: number): boolean {
    if (index <= this.snapshot.index) return true;
    return this.entries[index - this.snapshot.index - 1]?.term === term;
  }

  /** The latest membership, committed or not. */
  get membership(): Membership {
    for (let place = this.entries.length - 1; place >= 0; place--) {
      const entry = this.entries[place]!;
      if (entry.kind === "membership") return entry.membership;
    }
    return this.snapshot.membership;
  }

  /** Carries out the first steps of a write, all of them unless told otherwise. */
  carryOut(write: Write, stepCount = Infinity): void {
    stepsOf(write).forEach((step, place) => {
      if (place < stepCount) step(this);
    });
  }
}

/** How many steps a write has, between which power may fail. */
export function stepCount(write: Write): number {
  return stepsOf(write).length;
}

function stepsOf({
  ballot,
  truncateFrom,
  snapshot,
  entries,
}: Write): ((disk: SimulatedDisk) => void)[] {
  const steps: ((disk: SimulatedDisk) => void)[] = [];
  if (ballot !== null) steps.push((disk) => (disk.ballot = ballot));
  if (truncateFrom > 0)
    steps.push((disk) => disk.entries.splice(Math.max(0, truncateFrom - disk.snapshot.index - 1)));
  if (snapshot !== null)
    steps.push((disk) => {
      disk.entries = disk.entries.filter(({ index }) => index > snapshot.index);
      disk.snapshot = snapshot;
    });
  for (const entry of entries)
    steps.push((disk) => {
      assert(entry.index === disk.lastIndex + 1, "entries on a disk have no holes");
      disk.entries.push(entry);
    });
  return steps;
}
