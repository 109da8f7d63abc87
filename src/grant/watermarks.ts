import type { Row, Store } from "#src/port/store.ts";
import { grantRefusals } from "./grant-refusals.ts";
import { clockSkewMs, lifetimeMaximumMs, type Grant } from "./grant.ts";
import type { Watermark } from "./judge-grant.ts";

/** Watermarks one node keeps; beyond it only grantees it already knows are admitted. */
export const watermarkMaximum = 100_000;

type Place = Pick<Grant, "issuer" | "grantee" | "mesh">;

/**
 * The newest epoch seen of each issuer for each grantee and mesh (A-7), durable. Every change is
 * made inside the caller's transaction, which is immediate: who reads here, then writes, has no
 * other writer between.
 *
 * A row is forgotten when no grant it could refuse is alive. A grant of a lower epoch was issued
 * before the one that set the row (issuers' times never go back), so it began by `begin + skew` at
 * the latest and ends 90 days later: that moment is the row's `live_until_ms`. When the row goes,
 * the issuer's horizon takes its place: what expires before the horizon is refused whatever the
 * clock says, so that a clock put back readmits nothing.
 */
export class Watermarks {
  constructor(readonly store: () => Store) {}

  of({ issuer, grantee, mesh }: Place): Watermark | null {
    const row = this.store().get(
      "SELECT epoch, revoked_below FROM grant_watermark WHERE issuer = ? AND grantee = ? AND mesh = ?",
      ...[issuer, grantee, mesh],
    );
    return row === null ? null : asWatermark(row);
  }

  /** Up to when the issuer's watermarks were forgotten; 0 when none was. */
  horizonMs(issuer: string): number {
    const row = this.store().get("SELECT until_ms FROM grant_horizon WHERE issuer = ?", issuer);
    return Number(row?.["until_ms"] ?? 0);
  }

  /** Raises the watermark to a grant's epoch; a lower one leaves it as it is. */
  advance(grant: Grant, nowMs: number, isRevocation = false): void {
    const known = this.of(grant);
    if (known !== null && known.epoch >= grant.epoch) return;
    this.evict(nowMs);
    // Taking back is never refused for want of room.
    if (known === null && !isRevocation) this.#refuseBeyondMaximum();
    const { issuer, grantee, mesh, epoch } = grant;
    const liveUntilMs = Math.max(nowMs, grant.issuedMs) + lifetimeMaximumMs + clockSkewMs;
    this.store().run(
      `INSERT INTO grant_watermark (issuer, grantee, mesh, epoch, revoked_below, live_until_ms)
       VALUES (?, ?, ?, ?, ?, ?)
       ON CONFLICT (issuer, grantee, mesh) DO UPDATE SET
         epoch = excluded.epoch,
         revoked_below = max(revoked_below, excluded.revoked_below),
         live_until_ms = max(live_until_ms, excluded.live_until_ms)
       WHERE excluded.epoch > epoch`,
      ...[issuer, grantee, mesh, epoch, isRevocation ? epoch : 0, liveUntilMs],
    );
  }

  /** Forgets what no live grant can reference; the horizon remembers that it did. */
  evict(nowMs: number): number {
    const store = this.store();
    store.run(
      `INSERT INTO grant_horizon (issuer, until_ms)
       SELECT issuer, max(live_until_ms) FROM grant_watermark WHERE live_until_ms < ? GROUP BY issuer
       ON CONFLICT (issuer) DO UPDATE SET until_ms = max(until_ms, excluded.until_ms)`,
      nowMs,
    );
    return store.run("DELETE FROM grant_watermark WHERE live_until_ms < ?", nowMs).changes;
  }

  #refuseBeyondMaximum(): void {
    const row = this.store().get("SELECT count(*) AS count FROM grant_watermark");
    if (Number(row!["count"]) >= watermarkMaximum)
      throw grantRefusals.storeUnavailable("every place for a watermark is taken");
  }
}

const asWatermark = (row: Row): Watermark => ({
  epoch: Number(row["epoch"]),
  revokedBelow: Number(row["revoked_below"]),
});
