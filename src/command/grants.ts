import type { Refusal } from "#src/refusal/refusal.ts";
import type { PeerCaller } from "./caller.ts";

/** One use of a grant, open while the command it admitted runs. */
export interface GrantUse {
  /**
   * Aborted with the refusal `grant_exhausted` when the grant's device-seconds are used up, and with
   * `grant_revoked` within moments of its being taken back.
   */
  readonly signal: AbortSignal;
  /** Counts bytes of answers about to be sent; refused with `grant_exhausted` beyond the budget. */
  countBytes(sizeBytes: number): void;
  /** Charges what was used. Called once, however the command ended. */
  finish(): void;
}

/**
 * What the gate asks about grants. Implemented by the room `grant` over the node's store;
 * a store that fails means denial.
 */
export interface Grants {
  /**
   * Why the grant a peer presented does not admit it to a command now, or null where it does.
   * Changes nothing. `withinUse`: asked for a call that a command makes while a use of the grant is
   * open; that use has its share of the budget, so what is left does not matter.
   */
  judge(caller: PeerCaller, commandName: string, withinUse?: boolean): Refusal | null;
  /**
   * Judges again and, in the same transaction, advances the watermark, counts the call and leaves the
   * receipt. Throws the refusal where the grant does not admit.
   */
  use(caller: PeerCaller, commandName: string): GrantUse;
  /** Tells watchers of a call that was refused although a grant came with it; bounded. */
  refused(caller: PeerCaller, commandName: string, refusal: Refusal): void;
}
