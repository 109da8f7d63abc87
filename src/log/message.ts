import type { Entry, Snapshot } from "./entry.ts";

/** What nodes say to each other to agree on the log (Ongaro 2014, chapters 3, 4, 6 and 9.6). */
export type Message = {
  readonly from: string;
  readonly to: string;
  /** The sender's term; in a pre-vote the term it would ask for. */
  readonly term: number;
} & MessageBody;

export type MessageBody =
  /** Would you vote for me? Changes nothing at the receiver. */
  | { readonly kind: "pre-vote"; readonly lastIndex: number; readonly lastTerm: number }
  | { readonly kind: "pre-vote-reply"; readonly granted: boolean }
  /** `transfer`: the leader asked for this election, so its lease is no reason to refuse. */
  | {
      readonly kind: "vote";
      readonly lastIndex: number;
      readonly lastTerm: number;
      readonly transfer: boolean;
    }
  | { readonly kind: "vote-reply"; readonly granted: boolean }
  | {
      readonly kind: "append";
      /** The entry before the first one sent; the receiver must have it. */
      readonly previousIndex: number;
      readonly previousTerm: number;
      readonly entries: readonly Entry[];
      readonly commitIndex: number;
      /** The leader's round of heartbeats, echoed: proves contact for lease and reads. */
      readonly round: number;
    }
  | {
      readonly kind: "append-reply";
      readonly accepted: boolean;
      /** Accepted: the last index known to match. Refused: where the leader should try next. */
      readonly index: number;
      /** Refused: the term of the receiver's entry at `index`. */
      readonly indexTerm: number;
      readonly round: number;
    }
  | { readonly kind: "snapshot"; readonly snapshot: Snapshot; readonly round: number }
  /** The leader hands over: start an election at once. */
  | { readonly kind: "elect-now" };

export type MessageOf<Kind extends MessageBody["kind"]> = Message & { readonly kind: Kind };
