import type { Digest } from "#src/codec/digest.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import type { Holder } from "./holder.ts";

/** Failures in a row after which a holder is asked for nothing more in this pull. */
export const failureMaximum = 3;
/** A holder that says for so long that it is busy, and gives nothing meanwhile, has failed. */
export const busyMaximumMs = 60_000;
/** How long a busy holder is let be: this, then twice that, up to the maximum. */
const restMs = 100;
const restMaximumMs = 4_000;
/** Requests open at one holder. */
const requestMaximum = 8;

/** How a holder did in a pull, for events, receipts and refusals. */
export interface HolderReport {
  readonly holder: string;
  readonly chunks: number;
  readonly bytes: number;
  /** The code of what it was dropped for, or null. */
  readonly dropped: string | null;
  readonly reason: string | null;
}

/** A holder as one pull has come to know it. */
export class RankedHolder {
  chunks = 0;
  bytes = 0;
  requests = 0;
  failures = 0;
  #busySinceMs: number | null = null;
  #restUntilMs = 0;
  #restCount = 0;
  /** Requests it is given at once: fewer while it is busy. */
  #width = requestMaximum;
  dropped: Refusal | null = null;
  #lastFailure: Refusal | null = null;
  /** Milliseconds per byte, smoothed; null before the first chunk. */
  #pace: number | null = null;
  readonly #lacking = new Set<Digest>();

  constructor(readonly holder: Holder) {}

  /** What the next chunk would take here; holders nobody has tried come first. */
  cost(): number {
    return (this.#pace ?? 0) * (this.requests + 1);
  }

  canTake(digest: Digest, nowMs: number): boolean {
    return this.mayHave(digest) && this.requests < this.#width && nowMs >= this.#restUntilMs;
  }

  mayHave(digest: Digest): boolean {
    return this.dropped === null && !this.#lacking.has(digest);
  }

  gave(byteCount: number, elapsedMs: number): void {
    this.chunks += 1;
    this.bytes += byteCount;
    this.failures = 0;
    this.#busySinceMs = null;
    this.#restCount = 0;
    this.#width = Math.min(requestMaximum, this.#width + 1);
    const pace = Math.max(elapsedMs, 0.01) / Math.max(byteCount, 1);
    this.#pace = this.#pace === null ? pace : 0.7 * this.#pace + 0.3 * pace;
  }

  /**
   * What a refusal means: without the blob it is only not asked for it again; a lie or a wrong certificate
   * ends its part at once, other failures and silences do when they come several times in a row. A busy one
   * is let be for a while and gets half as many requests at once.
   */
  failed(digest: Digest, refusal: Refusal, nowMs: number): void {
    if (refusal.code === "artifact_unknown") {
      this.#lacking.add(digest);
      return;
    }
    this.#lastFailure = refusal;
    if (refusal.code === "holder_busy") return this.#rest(refusal, nowMs);
    this.failures += 1;
    // Whoever fails is slow as well, so the others are asked first.
    this.#pace = (this.#pace ?? 0.001) * 4;
    const isFinal = refusal.code === "holder_lied" || refusal.code === "holder_pin_wrong";
    if (isFinal || this.failures >= failureMaximum) this.dropped = refusal;
  }

  #rest(refusal: Refusal, nowMs: number): void {
    this.#busySinceMs ??= nowMs;
    if (nowMs - this.#busySinceMs > busyMaximumMs) this.dropped = refusal;
    // Of several requests that were under way, one counts.
    if (nowMs < this.#restUntilMs) return;
    this.#width = Math.max(1, Math.floor(this.#width / 2));
    this.#restUntilMs = nowMs + Math.min(restMs * 2 ** this.#restCount++, restMaximumMs);
  }

  report(): HolderReport {
    const { dropped, chunks, bytes } = this;
    const shown = dropped ?? this.#lastFailure;
    return {
      ...{ holder: this.holder.name, chunks, bytes },
      ...{ dropped: dropped?.code ?? null, reason: shown?.message ?? null },
    };
  }
}

/**
 * The best holder to ask for a chunk now; null while those that may have it have enough to do. Of equals the one with
 * less to do: before anything came all are, and all are asked at once.
 */
export function chooseHolder(
  holders: readonly RankedHolder[],
  digest: Digest,
  nowMs: number,
): RankedHolder | null {
  let best: RankedHolder | null = null;
  for (const each of holders)
    if (each.canTake(digest, nowMs) && (best === null || isBetter(each, best))) best = each;
  return best;
}

function isBetter(one: RankedHolder, other: RankedHolder): boolean {
  const difference = one.cost() - other.cost();
  return difference < 0 || (difference === 0 && one.requests < other.requests);
}
