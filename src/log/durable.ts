import type { Ballot, Entry, Membership, Snapshot } from "./entry.ts";

/**
 * One change of what a node keeps on its disk. Its parts are carried out in the order of the fields, in one
 * transaction where the disk has such; a disk that stops in between has carried out a prefix, from which a
 * node restarts as well, for nothing was said yet that relies on the rest.
 */
export interface Write {
  readonly ballot: Ballot | null;
  /** Entries from this index on are dropped; 0 for none. */
  readonly truncateFrom: number;
  /** Takes the place of every entry up to its index. */
  readonly snapshot: Snapshot | null;
  readonly entries: readonly Entry[];
}

/** What a node keeps on its disk, and finds there when it starts. */
export interface Durable {
  readonly ballot: Ballot;
  readonly snapshot: Snapshot;
  /** The entries after the snapshot. */
  readonly entries: readonly Entry[];
}

/**
 * What a node begins with that has kept nothing yet. Every node of a cluster begins with the same
 * founders, also one that joins later.
 */
export function founding(membership: Membership, state: string): Durable {
  return {
    ballot: { term: 0, vote: "" },
    snapshot: { index: 0, term: 0, membership, state },
    entries: [],
  };
}

export function isEmptyWrite({ ballot, truncateFrom, snapshot, entries }: Write): boolean {
  return ballot === null && truncateFrom === 0 && snapshot === null && entries.length === 0;
}
