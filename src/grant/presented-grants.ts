import type { Clock } from "#src/port/clock.ts";
import type { Row, Store } from "#src/port/store.ts";
import { keyStanding } from "#src/receipt/rotation.ts";
import { nodeIdOf } from "#src/receipt/signature.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { grantRefusals } from "./grant-refusals.ts";
import { isIntact, readGrant, type Grant } from "./grant.ts";
import { historyOf, type TrustRegistry } from "./trust-registry.ts";

/** Grants of others one node holds, the newest of each issuer. */
export const presentedMaximum = 1_000;

/** A grant this node holds, and since when. */
export interface HeldGrant {
  readonly grant: Grant;
  readonly presentedMs: number;
}

/**
 * The grants other owners gave this node. One is stamped on every call to the owner who issued it
 * and on no other: a grant is nobody else's business.
 */
export class PresentedGrants {
  constructor(
    readonly parts: {
      readonly store: () => Store;
      readonly clock: Pick<Clock, "wallMs">;
      readonly trust: TrustRegistry;
    },
  ) {}

  /**
   * Keeps a grant that was handed over, for this node's key `ownKey`. Refused with the code under
   * which its issuer would refuse it: `grant_malformed`, `grant_issuer_unknown` (the key is not the
   * issuer's), `grant_issuer_stale`, `grant_tampered`, `grant_stolen`, `grant_expired`, `grant_superseded`.
   */
  add(document: unknown, ownKey: string): HeldGrant {
    const { store, clock } = this.parts;
    const nowMs = Math.floor(clock.wallMs());
    const grant = readGrant(document);
    if ("wrong" in grant) throw grantRefusals.malformed(grant.wrong);
    this.#checkIssuer(grant, nowMs);
    if (!isIntact(grant)) throw grantRefusals.tampered(grant);
    if (grant.grantee !== ownKey) throw grantRefusals.stolen(grant, ownKey);
    if (grant.expiresMs <= nowMs) throw grantRefusals.expired(grant, nowMs);
    return store().transaction(() => {
      store().run("DELETE FROM grant_presented WHERE expires_ms <= ?", nowMs);
      const held = this.#newest(grant.issuer);
      if (held !== null && held.grant.epoch > grant.epoch)
        throw grantRefusals.superseded(grant, held.grant.epoch);
      store().run("DELETE FROM grant_presented WHERE issuer = ?", grant.issuer);
      this.#refuseBeyondMaximum();
      store().run(
        "INSERT INTO grant_presented (id, issuer, mesh, epoch, presented_ms, expires_ms, text) VALUES (?, ?, ?, ?, ?, ?, ?)",
        ...[grant.id, grant.issuer, grant.mesh, grant.epoch, nowMs, grant.expiresMs],
        JSON.stringify(grant),
      );
      return { grant, presentedMs: nowMs };
    });
  }

  /** What to stamp on calls to a node: the grant of its owner, or null without one that is alive. */
  forIssuer(nodeId: string): Grant | null {
    const grant = this.#newest(nodeId)?.grant;
    if (grant === undefined || grant.capabilities.length === 0) return null;
    return grant.expiresMs > this.parts.clock.wallMs() ? grant : null;
  }

  /** Every grant this node holds, the last presented first. */
  list(): HeldGrant[] {
    return this.parts
      .store()
      .all("SELECT * FROM grant_presented ORDER BY presented_ms DESC, id")
      .map(asHeld);
  }

  /** The grant whose id begins so, where exactly one does. */
  find(idPrefix: string): HeldGrant | null {
    const found = this.list().filter(({ grant }) => grant.id.startsWith(idPrefix));
    return found.length === 1 ? found[0]! : null;
  }

  #newest(issuer: string): HeldGrant | null {
    const row = this.parts
      .store()
      .get("SELECT * FROM grant_presented WHERE issuer = ? ORDER BY epoch DESC LIMIT 1", issuer);
    return row === null ? null : asHeld(row);
  }

  /** A first key proves itself by the node id; a later one by rotations entered with `trust add`. */
  #checkIssuer(grant: Grant, nowMs: number): void {
    const entry = this.parts.trust.find(grant.issuer);
    if (entry === null || entry.history.length === 0) {
      if (nodeIdOf(grant.issuerKey) === grant.issuer) return;
      throw grantRefusals.issuerUnknown(grant);
    }
    const { standing } = keyStanding(historyOf(entry), grant.issuerKey, nowMs);
    if (standing === "unknown") throw grantRefusals.issuerUnknown(grant);
    if (standing === "retired") throw grantRefusals.issuerStale(grant);
  }

  #refuseBeyondMaximum(): void {
    const row = this.parts.store().get("SELECT count(*) AS count FROM grant_presented");
    if (Number(row!["count"]) < presentedMaximum) return;
    throw new Refusal(
      "grants_full",
      `this node holds grants of ${presentedMaximum} owners already`,
      "they make room as they expire",
      { maximum: presentedMaximum },
    );
  }
}

const asHeld = (row: Row): HeldGrant => ({
  grant: JSON.parse(String(row["text"])) as Grant,
  presentedMs: Number(row["presented_ms"]),
});
