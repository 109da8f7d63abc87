/**
 * Mistakes the simulator can plant, to prove that its checkers would find them. A core or a replica made
 * without one, as everything but the simulator makes them, has none; a test holds everyone to that.
 */
export const flaws = [
  /** A vote given in a term does not bind. */
  "vote-twice",
  /** Votes go to candidates whose log lacks entries. */
  "vote-for-shorter-log",
  /** Term and vote are kept in memory only. */
  "ballot-not-persisted",
  /** Messages leave before what they rely on is durable. */
  "acknowledge-before-sync",
  /** A write that failed counts as done. */
  "continue-after-failed-write",
  /** Entries of older terms are committed by counting (figure 8 of the paper). */
  "count-old-terms",
  /** Entries are applied as soon as they are held. */
  "apply-before-commit",
  /** A follower takes entries without looking at the term of the entry before. */
  "ignore-previous-term",
  /** A command submitted again is applied again. */
  "skip-duplicate-check",
  /** Snapshots leave out what was answered to whom. */
  "snapshot-without-sessions",
  /** Entries after a snapshot are dropped with those before it. */
  "snapshot-drops-tail",
  /** A leader answers reads without asking whether it still leads. */
  "read-without-quorum",
  /** A membership change does not wait for the one before. */
  "two-members-at-once",
] as const;

export type Flaw = (typeof flaws)[number];
