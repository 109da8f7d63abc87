import type { GrantUse } from "#src/command/grants.ts";
import type { Clock } from "#src/port/clock.ts";
import type { Store } from "#src/port/store.ts";
import { grantRefusals } from "./grant-refusals.ts";
import type { Grant } from "./grant.ts";
import { shareOf, type Spendings } from "./spendings.ts";
import type { Refusal } from "#src/refusal/refusal.ts";
import { denyOnFailure } from "./store-failure.ts";

/** Device time set aside at once: what a killed process loses of a budget at most. */
export const timeShareMs = 2_000;
/** The least that is set aside while that much is left. */
const timeNeedMs = 250;
/** The next share is asked for this long before the last is used up. */
const timeLeadMs = 50;
/** How often a running use asks whether its grant was revoked: so long it outlives that at most. */
export const watchMs = 1_000;
/** Bytes set aside at once. */
export const byteShare = 16_384;

/** What a use has cost, as its `grant.settled` receipt says. */
export interface Settlement {
  readonly deviceMs: number;
  /** Time the command went on after the budget was used up and it was told to stop. */
  readonly overrunMs: number;
  readonly bytes: number;
}

export interface MeterParts {
  readonly store: () => Store;
  readonly clock: Clock;
  readonly spendings: Spendings;
  /** The refusal of a grant that was revoked meanwhile, or null. */
  revocation(): Refusal | null;
  /** Writes the receipt, inside the transaction that charges. */
  settle(settlement: Settlement): void;
}

/** Sets device time aside for a use; 0 where nothing is left or nothing is limited. */
export function reserveTime(grant: Grant, spendings: Spendings): number {
  const limit = grant.budget.deviceSeconds;
  if (limit === undefined) return 0;
  const restMs = limit * 1000 - spendings.of(grant.id).deviceMs;
  const shareMs = Math.max(0, shareOf(restMs, timeNeedMs, timeShareMs));
  spendings.add(grant.id, { deviceMs: shareMs });
  return shareMs;
}

/**
 * One use of a grant while its command runs: the clock's time and the bytes of answers, each set
 * aside durably before it is spent. The first share of time was set aside with the call itself.
 */
export class MeteredUse implements GrantUse {
  readonly #exhausted = new AbortController();
  readonly #ended = new AbortController();
  readonly #startMs: number;
  #reservedMs: number;
  #bytes = 0;
  #reservedBytes = 0;

  constructor(
    readonly grant: Grant,
    readonly parts: MeterParts,
    reservedMs: number,
  ) {
    this.#startMs = parts.clock.monotonicMs();
    this.#reservedMs = reservedMs;
    if (grant.budget.deviceSeconds !== undefined) void this.#meter();
    void this.#watch();
  }

  get signal(): AbortSignal {
    return this.#exhausted.signal;
  }

  countBytes(sizeBytes: number): void {
    const need = this.#bytes + sizeBytes - this.#reservedBytes;
    if (this.grant.budget.bytes !== undefined && need > 0) this.#reserveBytes(need);
    this.#bytes += sizeBytes;
  }

  finish(): void {
    if (this.#ended.signal.aborted) return;
    this.#ended.abort();
    const { store, spendings, settle } = this.parts;
    denyOnFailure(() =>
      store().transaction(() => {
        const elapsedMs = Math.ceil(this.#elapsedMs());
        const deviceMs = this.#charged(elapsedMs);
        const isLimited = this.grant.budget.bytes !== undefined;
        spendings.add(this.grant.id, {
          deviceMs: deviceMs - this.#reservedMs,
          bytes: this.#bytes - (isLimited ? this.#reservedBytes : 0),
        });
        settle({ deviceMs, overrunMs: elapsedMs - deviceMs, bytes: this.#bytes });
      }),
    );
  }

  #elapsedMs(): number {
    return this.parts.clock.monotonicMs() - this.#startMs;
  }

  /** Time beyond what was set aside is charged as far as the budget reaches, never further. */
  #charged(elapsedMs: number): number {
    const limit = this.grant.budget.deviceSeconds;
    if (limit === undefined || elapsedMs <= this.#reservedMs) return elapsedMs;
    const restMs = limit * 1000 - this.parts.spendings.of(this.grant.id).deviceMs;
    return this.#reservedMs + Math.min(elapsedMs - this.#reservedMs, Math.max(0, restMs));
  }

  #reserveBytes(need: number): void {
    const { store, spendings } = this.parts;
    const { id, budget } = this.grant;
    const share = denyOnFailure(() =>
      store().transaction(() => {
        const rest = budget.bytes! - spendings.of(id).bytes;
        if (rest < need) return 0;
        const bytes = shareOf(rest, need, byteShare);
        spendings.add(id, { bytes });
        return bytes;
      }),
    );
    if (share === 0) {
      const refusal = grantRefusals.exhausted(this.grant, "bytes");
      this.#exhausted.abort(refusal);
      throw refusal;
    }
    this.#reservedBytes += share;
  }

  /** Ends the use when its grant is taken back while the command runs. */
  async #watch(): Promise<void> {
    const ended = AbortSignal.any([this.#ended.signal, this.#exhausted.signal]);
    try {
      for (;;) {
        await this.parts.clock.sleep(watchMs, ended);
        const revocation = this.parts.revocation();
        if (revocation !== null) throw revocation;
      }
    } catch (reason) {
      if (!ended.aborted) this.#exhausted.abort(reason);
    }
  }

  /** Asks for the next share of time shortly before the last is used up, until the use ends. */
  async #meter(): Promise<void> {
    const { clock, store, spendings } = this.parts;
    const ended = this.#ended.signal;
    try {
      for (;;) {
        const leftMs = this.#reservedMs - this.#elapsedMs();
        if (leftMs > timeLeadMs) {
          await clock.sleep(leftMs - timeLeadMs, ended);
          continue;
        }
        const shareMs = denyOnFailure(() =>
          store().transaction(() => reserveTime(this.grant, spendings)),
        );
        this.#reservedMs += shareMs;
        if (shareMs > 0) continue;
        await clock.sleep(Math.max(0, leftMs), ended);
        throw grantRefusals.exhausted(this.grant, "deviceSeconds");
      }
    } catch (reason) {
      if (!ended.aborted) this.#exhausted.abort(reason);
    }
  }
}
