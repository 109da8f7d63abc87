/**
 * Mistakes the simulator can plant in a node of a mesh, as `log/flaw.ts` has them for the log. A node made
 * without one, as everything but the simulator makes them, has none; a test holds everyone to that.
 */
export const nodeFlaws = [
  /** A command is repeated in another session, which does not know that it was applied. */
  "repeat-in-new-session",
  /** A session's number serves for a second command, which is answered with the first one's result. */
  "number-used-again",
  /** A command that was sent and not answered counts as not written. */
  "sent-is-leaderless",
  /** The coordinator takes commands in the name of others. */
  "author-unchecked",
  /** The coordinator says done when it has written a command down, before it is committed. */
  "done-before-commit",
  /** The coordinator orders with the fence that it had first. */
  "fence-of-once",
  /** The coordinator never takes a voter back to learning. */
  "voters-stay",
  /** The coordinator draws one number, and orders with it from then on. */
  "draw-of-once",
] as const;

export type NodeFlaw = (typeof nodeFlaws)[number];
