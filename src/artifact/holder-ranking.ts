import type { Digest } from "#src/codec/digest.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import type { Holder } from "./holder.ts";

/** Failures in a row after which a holder is asked for nothing more in this pull. */
export const failureMaximum = 3;
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

  canTake(digest: Digest): boolean {
    return this.mayHave(digest) && this.requests < requestMaximum;
  }

  mayHave(digest: Digest): boolean {
    return this.dropped === null && !this.#lacking.has(digest);
  }

  gave(byteCount: number, elapsedMs: number): void {
    this.chunks += 1;
    this.bytes += byteCount;
    this.failures = 0;
    const pace = Math.max(elapsedMs, 0.01) / Math.max(byteCount, 1);
    this.#pace = this.#pace === null ? pace : 0.7 * this.#pace + 0.3 * pace;
  }

  /**
   * What a refusal means: without the blob it is only not asked for it again; a lie or a wrong certificate
   * ends its part at once, other failures and silences do when they come several times in a row.
   */
  failed(digest: Digest, refusal: Refusal): void {
    if (refusal.code === "artifact_unknown") {
      this.#lacking.add(digest);
      return;
    }
    this.failures += 1;
    this.#lastFailure = refusal;
    // Whoever fails is slow as well, so the others are asked first.
    this.#pace = (this.#pace ?? 0.001) * 4;
    const isFinal = refusal.code === "holder_lied" || refusal.code === "holder_pin_wrong";
    if (isFinal || this.failures >= failureMaximum) this.dropped = refusal;
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

/** The best holder to ask for a chunk now; null while those that may have it are busy. */
export function chooseHolder(
  holders: readonly RankedHolder[],
  digest: Digest,
): RankedHolder | null {
  let best: RankedHolder | null = null;
  for (const each of holders)
    if (each.canTake(digest) && (best === null || each.cost() < best.cost())) best = each;
  return best;
}
