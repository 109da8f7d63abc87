/** What checkers find; its first word names the checker. */
export class Failure extends Error {
  override readonly name = "Failure";
  constructor(
    readonly checker: CheckerName,
    what: string,
  ) {
    super(`${checker}: ${what}`);
  }
}

/** What is checked in every simulation. */
export const checkerNames = [
  /** At most one leader in a term. */
  "one-leader",
  /** Who is elected has every entry that was committed in older terms. */
  "leader-complete",
  /** At most one vote of a node in a term. */
  "one-vote",
  /** Nothing is said that the disk does not hold. */
  "durable-first",
  /** An idle disk holds what its node believes. */
  "disk-is-belief",
  /** Logs with an equal entry are equal before it. */
  "log-matching",
  /** Committed entries are never lost, changed or reordered. */
  "committed-stays",
  /** Nobody who lacks a committed entry could win an election. */
  "committed-is-safe",
  /** Equal state digests at equal index. */
  "equal-digests",
  /** What was answered is what the log says, each command once. */
  "answers-true",
  /** Reads and writes look as if each happened at one moment between asking and answer. */
  "linearizable",
  /** Memberships change by one node, one change after the other. */
  "one-member-change",
  /** Once faults stop, commands are committed and all members have equal state. */
  "liveness",
  /** Once its duties are done a leader has an odd number of voters, none of whom could be replaced. */
  "voters-odd",
  /** What a node was asked for is applied at most once, and is where it says; else nowhere. */
  "asked-once",
  /** A command stands in the log only in the name of the node that was asked. */
  "author-true",
  /** A coordinator's duties are done with a fence of the term in which they are written. */
  "fence-fresh",
  /** What a mesh promises holds after every event, in every node. */
  "mesh-holds",
  /** Each window is opened, sealed and ended once. */
  "window-once",
  /** What was given in time counts once, and nothing else does. */
  "counted-once",
  /** Slots that count are never lost and never double. */
  "slots-tile",
  /** No revision without the verdicts on what is in it, and the quorum that made it. */
  "promotion-proven",
  /** A revision is what was accepted, in its order, and the same wherever it is held. */
  "revision-true",
  /** Nobody finds a proof of a lie where nobody lied. */
  "honest-kept",
  /** A worker's private state is that of its latest work that counts. */
  "private-chain",
  /** What nodes say is signed, names what they said before, and vouches for the history that stands. */
  "statement-true",
  /** A run's chain moves with every event, and no two histories have one. */
  "run-chain",
  /** Every number that decides who is validated was drawn anew. */
  "draw-fresh",
  /** Once faults stop, every run that goes on comes to its end. */
  "runs-end",
  /** The program's own assertions. */
  "assertions",
] as const;

export type CheckerName = (typeof checkerNames)[number];

export function ensure(
  condition: boolean,
  checker: CheckerName,
  what: () => string,
): asserts condition {
  if (!condition) throw new Failure(checker, what());
}
