import type { Digest } from "#src/codec/digest.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { RateBound } from "./rate-bound.ts";

/** Digests that are folded from the disk within `windowMs`; each reads the log and keeps the node busy meanwhile. */
export const foldMaximum = 16;
const windowMs = 10_000;
/** Answers that are kept: all members ask for one index at a time. */
const keptMaximum = 16;

/**
 * Answers what the state was at an index. What is committed does not change, so one answer serves all who ask
 * for the same index; of different ones so many are worked out, for any member may ask.
 */
export class DigestDesk {
  readonly #kept = new Map<number, Digest>();
  readonly #bound = new RateBound(foldMaximum, windowMs);

  constructor(readonly parts: { fold(index: number): Digest; monotonicMs(): number }) {}

  /** Refused with `cluster_busy`, and as folding is. */
  digestAt(index: number): Digest {
    const known = this.#kept.get(index);
    if (known !== undefined) return known;
    if (!this.#bound.take(this.parts.monotonicMs()))
      throw new Refusal(
        "cluster_busy",
        `more than ${foldMaximum} states were asked for within ${windowMs / 1000} s`,
        "try again in a few seconds",
        { maximum: foldMaximum },
      );
    const digest = this.parts.fold(index);
    this.#kept.set(index, digest);
    if (this.#kept.size > keptMaximum) this.#kept.delete(this.#kept.keys().next().value!);
    return digest;
  }
}
