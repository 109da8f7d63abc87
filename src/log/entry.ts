/** What the ordered log holds, and who decides about it. Plain data: every field survives JSON. */

/** Who votes and who only follows. A newcomer learns before it votes. */
export interface Membership {
  /** Node ids in ascending order. */
  readonly voters: readonly string[];
  readonly learners: readonly string[];
}

/** One place of the log. Indexes start at 1 and have no holes; terms never go down. */
export type Entry =
  | {
      readonly index: number;
      readonly term: number;
      readonly kind: "event";
      /** Canonical text of the event; the log does not look inside. */
      readonly payload: string;
    }
  /** Who is in the cluster from here on: counts as soon as it stands in the log. */
  | {
      readonly index: number;
      readonly term: number;
      readonly kind: "membership";
      readonly membership: Membership;
    }
  /** A new leader's first entry: with it everything before is committed. */
  | { readonly index: number; readonly term: number; readonly kind: "empty" };

/** The state after an index, which replaces every entry up to it. */
export interface Snapshot {
  readonly index: number;
  readonly term: number;
  readonly membership: Membership;
  /** Canonical text of the folded state; the log does not look inside. */
  readonly state: string;
}

/** What a node has promised: persisted before any message that relies on it. */
export interface Ballot {
  readonly term: number;
  /** For whom it voted in that term; empty for nobody. */
  readonly vote: string;
}

export const nobody = "";

/** How many of a number of voters decide. */
export function quorum(voterCount: number): number {
  return Math.floor(voterCount / 2) + 1;
}

/** Where a membership change puts a node. */
export type Place = "voter" | "learner" | "out";

/** The membership with one node changed; ids ascending, so that equal ones have one form. */
export function withMember({ voters, learners }: Membership, id: string, place: Place): Membership {
  const others = (ids: readonly string[]) => ids.filter((each) => each !== id);
  const sorted = (ids: readonly string[]) => ids.toSorted();
  return {
    voters: sorted(place === "voter" ? [...others(voters), id] : others(voters)),
    learners: sorted(place === "learner" ? [...others(learners), id] : others(learners)),
  };
}
