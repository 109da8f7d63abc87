import type { LinkState, LinkView } from "./link.ts";

/**
 * How well a member is reached, and when it is dialled next: a machine of times and draws that the
 * one who holds the sockets asks. Times are monotonic milliseconds.
 */

/** Why a link is not up, as the refusal of the last attempt. */
export type LinkReason = NonNullable<LinkView["reason"]>;

export interface BackOffPolicy {
  /** Delay after the first failure; each further one doubles it. */
  readonly firstMs: number;
  readonly maximumMs: number;
  /** The same where the other end was reached and one of the two refused: that seldom passes in moments. */
  readonly refusedFirstMs: number;
  readonly refusedMaximumMs: number;
  /** A link that stood for so long makes earlier failures forgotten. */
  readonly steadyMs: number;
}

export const backOffPolicy: BackOffPolicy = {
  firstMs: 250,
  maximumMs: 30_000,
  refusedFirstMs: 1_000,
  refusedMaximumMs: 60_000,
  steadyMs: 10_000,
};

/** What the link itself shows while it is up. */
export interface LinkSigns {
  readonly isUp: boolean;
  /** Milliseconds since anything signed came; null before the first. */
  readonly silentMs: number | null;
  readonly staleMs: number;
  /** Pings went unanswered of late. */
  readonly isLossy: boolean;
}

/** Health of one link. */
export class LinkHealth {
  #reason: LinkReason | null = null;
  #isRefused = false;
  #failureCount = 0;
  /** Failures that the back-off counts: those that no steady link has ended. */
  #step = 0;
  #upSinceMs: number | null = null;
  #nextDialMs: number;

  constructor(
    private readonly policy: BackOffPolicy,
    /** From 0 to less than 1. */
    private readonly draw: () => number,
    nowMs: number,
  ) {
    this.#nextDialMs = nowMs;
  }

  get reason(): LinkReason | null {
    return this.#reason;
  }

  /** Dials that failed since the last that did not. */
  get failureCount(): number {
    return this.#failureCount;
  }

  /** When the next dial is due. */
  get nextDialMs(): number {
    return this.#nextDialMs;
  }

  /** Dials at once: something about the other end changed, such as its address. */
  hurry(nowMs: number): void {
    this.#step = 0;
    this.#nextDialMs = nowMs;
  }

  /** The link is up. */
  met(nowMs: number): void {
    this.#upSinceMs ??= nowMs;
    this.#reason = null;
    this.#isRefused = false;
    this.#failureCount = 0;
  }

  /** The link ended that was up; it is dialled again at once where it had stood for a while. */
  lost(nowMs: number, reason: LinkReason): void {
    const stoodMs = nowMs - (this.#upSinceMs ?? nowMs);
    this.#upSinceMs = null;
    this.#reason = plain(reason);
    this.#isRefused = false;
    if (stoodMs >= this.policy.steadyMs) this.#step = 0;
    const { firstMs, maximumMs } = this.policy;
    // Many links end at one moment when a node does; they do not all come back at one.
    if (this.#step === 0) this.#nextDialMs = nowMs + (this.draw() * firstMs) / 2;
    else this.#nextDialMs = nowMs + this.#delayMs(firstMs, maximumMs);
    this.#step++;
  }

  /** A dial or a meeting failed; `isRefused` where the other end answered and one of the two refused. */
  failed(nowMs: number, reason: LinkReason, isRefused: boolean): void {
    this.#reason = plain(reason);
    this.#isRefused = isRefused;
    this.#failureCount++;
    this.#step++;
    const { firstMs, maximumMs, refusedFirstMs, refusedMaximumMs } = this.policy;
    this.#nextDialMs =
      nowMs +
      (isRefused
        ? this.#delayMs(refusedFirstMs, refusedMaximumMs)
        : this.#delayMs(firstMs, maximumMs));
  }

  state({ isUp, silentMs, staleMs, isLossy }: LinkSigns): LinkState {
    if (isUp) return isLossy || (silentMs ?? 0) > staleMs ? "degraded" : "connected";
    if (this.#reason === null) return "connecting";
    return this.#isRefused ? "refused" : "unreachable";
  }

  /** Doubled at each step up to the maximum, then between half and all of it. */
  #delayMs(firstMs: number, maximumMs: number): number {
    const doublings = Math.min(Math.max(this.#step - 1, 0), 30);
    return Math.min(maximumMs, firstMs * 2 ** doublings) * (0.5 + this.draw() / 2);
  }
}

/** A refusal is an error, of which copies and JSON would lose the message. */
function plain({ code, message, hint }: LinkReason): LinkReason {
  return { code, message, hint };
}
