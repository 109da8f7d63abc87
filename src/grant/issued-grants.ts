import type { Row } from "#src/port/store.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { confers } from "./confers.ts";
import type { GrantParts } from "./grant-book.ts";
import { lifetimeMaximumMs, signGrant, type Grant, type GrantBudget } from "./grant.ts";
import { meshIdOf } from "./mesh.ts";
import { Spendings } from "./spendings.ts";
import { Watermarks } from "./watermarks.ts";

/** Grants of its own a node keeps; the longest expired make room. */
export const issuedMaximum = 10_000;

/** How a grant stands with the node that looks. */
export type Standing =
  "live" | "not_begun" | "expired" | "revoked" | "superseded" | "exhausted" | "empty";

/** What an owner asks for. */
export interface GrantRequest {
  readonly grantee: string;
  readonly capabilities: readonly string[];
  readonly lifetimeMs: number;
  readonly budget: GrantBudget;
}

/** The grants this node signed: issuing, taking back, looking. */
export class IssuedGrants {
  readonly watermarks: Watermarks;
  readonly spendings: Spendings;

  constructor(readonly parts: GrantParts) {
    this.watermarks = new Watermarks(parts.store);
    this.spendings = new Spendings(parts.store);
  }

  /**
   * Signs a grant and leaves the receipt `grant.issued`. Refused with `grants_full`, and with `usage`
   * where it would end before the horizon, which is ahead of time only after a clock was.
   */
  issue({ lifetimeMs, ...request }: GrantRequest): Grant {
    return this.parts.store().transaction(() => {
      const issuedMs = this.#beginning(request.grantee);
      const expiresMs = issuedMs + lifetimeMs;
      const { nodeId } = this.parts.receipts.opened().author;
      const horizonMs = this.watermarks.horizonMs(nodeId);
      if (expiresMs <= horizonMs) throw beforeHorizon(horizonMs);
      const grant = this.#sign({ ...request, issuedMs, expiresMs });
      this.#tell("grant.issued", grant.id, bodyOf(grant));
      return grant;
    });
  }

  /**
   * Takes back everything granted to a key but `keep`: a grant of a higher epoch, which counts from
   * now on whether or not it is ever presented. What is kept keeps the end and the rest of the
   * budget of the newest grant.
   *
   * Refusals: `not_found` where nothing was issued to the key; `usage` where something is to be kept
   * that the newest grant does not confer, or of which nothing is left.
   */
  revoke(grantee: string, keep: readonly string[]): { grant: Grant; revoked: readonly string[] } {
    return this.parts.store().transaction(() => {
      const issued = this.#issuedTo(grantee);
      const newest = issued.at(-1);
      if (newest === undefined) throw nothingIssued(grantee);
      const nowMs = this.#nowMs();
      const issuedMs = this.#beginning(grantee);
      const grant = this.#sign(
        keep.length === 0
          ? {
              ...{ grantee, capabilities: [], issuedMs, budget: {} },
              expiresMs: issuedMs + lifetimeMaximumMs,
            }
          : { ...{ grantee, issuedMs }, ...this.#kept(newest, keep, nowMs) },
      );
      const live = issued.filter((each) => this.standingOf(each) === "live");
      const revoked = (live.length > 0 ? live : [newest]).map(({ id }) => id);
      this.watermarks.advance(grant, nowMs, true);
      for (const id of revoked)
        this.#tell("grant.revoked", id, {
          ...{ grantee, by: grant.id, epoch: grant.epoch, kept: [...keep] },
        });
      if (keep.length > 0) this.#tell("grant.issued", grant.id, bodyOf(grant));
      return { grant, revoked };
    });
  }

  /** Grants of this node, newest first. */
  list(count: number): Grant[] {
    return this.#read("SELECT text FROM grant_issued ORDER BY epoch DESC LIMIT ?", count);
  }

  /** The grant whose id begins so, where exactly one does. */
  find(idPrefix: string): Grant | null {
    const found = this.#read(
      "SELECT text FROM grant_issued WHERE substr(id, 1, length(?1)) = ?1 LIMIT 2",
      idPrefix,
    );
    return found.length === 1 ? found[0]! : null;
  }

  /** How a grant stands here. */
  standingOf(grant: Grant): Standing {
    const nowMs = this.#nowMs();
    const newest = this.watermarks.of(grant);
    if (newest !== null && grant.epoch < newest.epoch)
      return grant.epoch < newest.revokedBelow ? "revoked" : "superseded";
    if (grant.expiresMs <= Math.max(nowMs, this.watermarks.horizonMs(grant.issuer)))
      return "expired";
    if (grant.capabilities.length === 0) return "empty";
    if (grant.issuedMs > nowMs) return "not_begun";
    return restOf(grant.budget, this.spendings.of(grant.id)) === null ? "exhausted" : "live";
  }

  #sign(content: {
    readonly grantee: string;
    readonly capabilities: readonly string[];
    readonly issuedMs: number;
    readonly expiresMs: number;
    readonly budget: GrantBudget;
  }): Grant {
    const store = this.parts.store();
    this.#makeRoom();
    const { author } = this.parts.receipts.opened();
    const mesh = meshIdOf(author);
    const row = store.get(
      "INSERT INTO grant_counter (one, epoch) VALUES (1, 1) ON CONFLICT (one) DO UPDATE SET epoch = epoch + 1 RETURNING epoch",
    );
    const epoch = Number(row!["epoch"]);
    const grant = signGrant({ ...content, issuer: author.nodeId, mesh, epoch }, author.key);
    store.run(
      "INSERT INTO grant_issued (id, grantee, mesh, epoch, issued_ms, expires_ms, text) VALUES (?, ?, ?, ?, ?, ?, ?)",
      ...[grant.id, grant.grantee, mesh, epoch, grant.issuedMs, grant.expiresMs],
      JSON.stringify(grant),
    );
    return grant;
  }

  /** Never before what the grantee was issued last: watermarks rely on it (watermarks.ts). */
  #beginning(grantee: string): number {
    const row = this.parts
      .store()
      .get("SELECT max(issued_ms) AS last FROM grant_issued WHERE grantee = ?", grantee);
    return Math.max(this.#nowMs(), Number(row?.["last"] ?? 0));
  }

  #kept(newest: Grant, keep: readonly string[], nowMs: number) {
    const foreign = keep.find((each) => !newest.capabilities.some((held) => confers(held, each)));
    if (foreign !== undefined) throw notHeld(newest, foreign);
    const budget = restOf(newest.budget, this.spendings.of(newest.id));
    if (budget === null || newest.expiresMs <= nowMs) throw nothingLeft(newest);
    return { capabilities: [...keep], expiresMs: newest.expiresMs, budget };
  }

  #issuedTo(grantee: string): Grant[] {
    return this.#read("SELECT text FROM grant_issued WHERE grantee = ? ORDER BY epoch", grantee);
  }

  #makeRoom(): void {
    const store = this.parts.store();
    const row = store.get("SELECT count(*) AS count FROM grant_issued");
    if (Number(row!["count"]) < issuedMaximum) return;
    const freed = store.run(
      `DELETE FROM grant_issued WHERE id IN
         (SELECT id FROM grant_issued WHERE expires_ms < ? ORDER BY expires_ms LIMIT 100)`,
      this.#nowMs() - lifetimeMaximumMs,
    );
    if (freed.changes === 0) throw full();
  }

  #read(sql: string, value: string | number): Grant[] {
    return this.parts.store().all(sql, value).map(asGrant);
  }

  #nowMs(): number {
    return Math.floor(this.parts.clock.wallMs());
  }

  #tell(kind: "grant.issued" | "grant.revoked", id: string, body: Parameters<typeof write>[3]) {
    write(this.parts, kind, id, body);
  }
}

function write(
  parts: GrantParts,
  kind: string,
  id: string,
  body: Parameters<ReturnType<GrantParts["receipts"]["opened"]>["append"]>[2],
): void {
  parts.receipts.opened().append(kind, id, body);
  parts.journal().append(kind, id, body);
}

/** What is left of a budget, or null where some part of it is used up. */
export function restOf(
  budget: GrantBudget,
  spent: { readonly calls: number; readonly deviceMs: number; readonly bytes: number },
): GrantBudget | null {
  const rest = {
    calls: (budget.calls ?? Infinity) - spent.calls,
    deviceSeconds: Math.floor((budget.deviceSeconds ?? Infinity) - spent.deviceMs / 1000),
    bytes: (budget.bytes ?? Infinity) - spent.bytes,
  };
  if (Object.values(rest).some((each) => each <= 0)) return null;
  return Object.fromEntries(Object.entries(rest).filter(([, each]) => Number.isFinite(each)));
}

function bodyOf({ grantee, mesh, epoch, capabilities, issuedMs, expiresMs, budget }: Grant) {
  const limits = Object.fromEntries(
    Object.entries(budget).flatMap(([name, limit]) => (limit === undefined ? [] : [[name, limit]])),
  );
  return {
    ...{ grantee, mesh, epoch, issuedMs, expiresMs },
    ...{ capabilities: [...capabilities], budget: limits },
  };
}

const asGrant = (row: Row) => JSON.parse(String(row["text"])) as Grant;

function nothingIssued(grantee: string): Refusal {
  return new Refusal(
    "not_found",
    `nothing was issued to key ${grantee}`,
    "`psionic grant list` shows what was; `psionic trust set KEY --tier blocked` shuts a key out",
    { grantee },
  );
}

function notHeld(newest: Grant, capability: string): Refusal {
  return new Refusal(
    "usage",
    `the newest grant of that key does not confer ${capability}, so it cannot be kept`,
    "keep less, or revoke and issue a new grant",
    { grant: newest.id, capability, capabilities: newest.capabilities },
  );
}

function nothingLeft(newest: Grant): Refusal {
  return new Refusal(
    "usage",
    "the newest grant of that key is over or used up, so nothing of it can be kept",
    "revoke without --keep, then issue a new grant",
    { grant: newest.id },
  );
}

function beforeHorizon(horizonMs: number): Refusal {
  const until = new Date(horizonMs).toISOString();
  return new Refusal(
    "usage",
    `this node's clock has been ahead: it honours no grant that expires before ${until}`,
    "issue it for longer with --expires; 90d is the longest",
    { horizonMs },
  );
}

function full(): Refusal {
  return new Refusal(
    "grants_full",
    `this node keeps ${issuedMaximum} grants and none of them is long over`,
    "issue grants with more capabilities instead of many",
    { maximum: issuedMaximum },
  );
}
