import type { Store } from "#src/port/store.ts";
import { lifetimeMaximumMs, type Grant } from "./grant.ts";
import type { Spending } from "./judge-grant.ts";

/** A share is at most this part of what is left, so that parallel uses all get one. */
const shareOfRest = 8;

/** What a use sets aside before it spends: enough for its need, little of what is left. */
export function shareOf(rest: number, need: number, wanted: number): number {
  return Math.min(rest, Math.max(need, Math.min(wanted, Math.floor(rest / shareOfRest))));
}

/**
 * What of each grant's budget is gone, durable. Device time and bytes are set aside before they are
 * spent and what was not spent is given back at the end, so parallel uses cannot overspend, and a
 * process that is killed gives nothing back.
 */
export class Spendings {
  constructor(readonly store: () => Store) {}

  of(id: string): Spending {
    const row = this.store().get(
      "SELECT calls, device_ms, bytes FROM grant_spending WHERE id = ?",
      id,
    );
    return {
      calls: Number(row?.["calls"] ?? 0),
      deviceMs: Number(row?.["device_ms"] ?? 0),
      bytes: Number(row?.["bytes"] ?? 0),
    };
  }

  /** When a grant was last used here, or null. */
  lastUsedMs(id: string): number | null {
    const row = this.store().get("SELECT used_ms FROM grant_spending WHERE id = ?", id);
    return row === null ? null : Number(row["used_ms"]);
  }

  /** Counts one call. Inside the transaction that judged it. */
  countCall(grant: Grant, nowMs: number): void {
    const store = this.store();
    const { id, issuer, grantee, expiresMs } = grant;
    this.#evict(nowMs);
    store.run(
      `INSERT INTO grant_spending (id, issuer, grantee, calls, device_ms, bytes, used_ms, expires_ms)
       VALUES (?, ?, ?, 1, 0, 0, ?, ?)
       ON CONFLICT (id) DO UPDATE SET calls = calls + 1, used_ms = max(used_ms, excluded.used_ms)`,
      ...[id, issuer, grantee, nowMs, expiresMs],
    );
  }

  /** Forgets grants long over. The horizon keeps them over, so that no budget begins anew. */
  #evict(nowMs: number): void {
    const before = nowMs - lifetimeMaximumMs;
    const store = this.store();
    store.run(
      `INSERT INTO grant_horizon (issuer, until_ms)
       SELECT issuer, max(expires_ms) FROM grant_spending WHERE expires_ms < ? GROUP BY issuer
       ON CONFLICT (issuer) DO UPDATE SET until_ms = max(until_ms, excluded.until_ms)`,
      before,
    );
    store.run("DELETE FROM grant_spending WHERE expires_ms < ?", before);
  }

  /** Adds to what is gone; a negative amount gives back. */
  add(id: string, spent: { readonly deviceMs?: number; readonly bytes?: number }): void {
    this.store().run(
      "UPDATE grant_spending SET device_ms = device_ms + ?, bytes = bytes + ? WHERE id = ?",
      ...[spent.deviceMs ?? 0, spent.bytes ?? 0, id],
    );
  }
}
