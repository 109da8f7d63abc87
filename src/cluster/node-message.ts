import type { Message } from "#src/log/message.ts";
import type { Outcome } from "#src/log/replica.ts";
import type { Request } from "./event.ts";

/** What the nodes of a mesh say to each other, over whatever carries it; who sent it is proven there. */
export type NodeMessage =
  | { readonly kind: "log"; readonly message: Message }
  /** A command for the coordinator; `ticket` is the sender's own number for it. */
  | {
      readonly kind: "submit";
      readonly ticket: number;
      /** Null opens a session: the answer names it. */
      readonly session: { readonly id: number; readonly number: number } | null;
      readonly request: Request | null;
    }
  /** Asks the coordinator up to which index the state must go to be as new as now. */
  | { readonly kind: "read"; readonly ticket: number }
  | { readonly kind: "outcome"; readonly ticket: number; readonly outcome: NodeOutcome };

/** What became of a command or a read. `denied`: the coordinator did not take it, and nothing was written. */
export type NodeOutcome =
  | Outcome
  | {
      readonly kind: "denied";
      readonly code: string;
      readonly message: string;
      readonly hint: string;
    };

/** The kinds as envelopes name them. */
export const nodeMessageKinds = ["log", "submit", "read", "outcome"] as const;
