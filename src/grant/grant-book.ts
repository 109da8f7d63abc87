import type { PeerCaller } from "#src/command/caller.ts";
import type { Grants, GrantUse } from "#src/command/grants.ts";
import type { Journal } from "#src/command/journal.ts";
import type { ReceiptService } from "#src/command/services.ts";
import type { Clock } from "#src/port/clock.ts";
import type { Store } from "#src/port/store.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import type { Grant } from "./grant.ts";
import { issuerStanding } from "./issuer-standing.ts";
import { judgeGrant, type GrantFacts, type Spending } from "./judge-grant.ts";
import { meshIdOf } from "./mesh.ts";
import { MeteredUse, reserveTime, type Settlement } from "./metered-use.ts";
import { Spendings } from "./spendings.ts";
import { denyOnFailure } from "./store-failure.ts";
import type { TrustRegistry } from "./trust-registry.ts";
import { Watermarks } from "./watermarks.ts";

/** Refused presentations that enter the journal in a minute; the rest are only counted. */
export const refusedPerMinute = 30;
const minuteMs = 60_000;
const nothingSpent: Spending = { calls: 0, deviceMs: 0, bytes: 0 };

export interface GrantParts {
  readonly store: () => Store;
  readonly clock: Clock;
  readonly receipts: Pick<ReceiptService, "opened">;
  readonly journal: () => Journal;
  readonly trust: TrustRegistry;
}

/**
 * What this node admits by grant. Judging, raising the watermark, counting the call,
 * setting device time aside and the receipt of the use are one immediate transaction, so several
 * processes of one home never admit what a newer epoch has replaced nor overspend a budget.
 */
export class GrantBook implements Grants {
  readonly watermarks: Watermarks;
  readonly spendings: Spendings;
  #minute = { index: 0, written: 0, unwritten: 0 };

  constructor(readonly parts: GrantParts) {
    this.watermarks = new Watermarks(parts.store);
    this.spendings = new Spendings(parts.store);
  }

  judge(caller: PeerCaller, commandName: string, withinUse = false): Refusal | null {
    try {
      const judged = denyOnFailure(() => this.#judged(caller, commandName, withinUse));
      return judged instanceof Refusal ? judged : null;
    } catch (error) {
      if (error instanceof Refusal) return error;
      throw error;
    }
  }

  use(caller: PeerCaller, commandName: string): GrantUse {
    try {
      return denyOnFailure(() => this.#admitted(caller, commandName));
    } catch (error) {
      if (error instanceof Refusal) this.refused(caller, commandName, error);
      throw error;
    }
  }

  /** Tells watchers of a refused presentation, at most `refusedPerMinute` times a minute. */
  refused(caller: PeerCaller, commandName: string, refusal: Refusal): void {
    const index = Math.floor(this.parts.clock.monotonicMs() / minuteMs);
    if (index !== this.#minute.index)
      this.#minute = { index, written: 0, unwritten: this.#minute.unwritten };
    if (this.#minute.written >= refusedPerMinute) {
      this.#minute.unwritten++;
      return;
    }
    const grant = refusal.details["grant"];
    try {
      this.parts.journal().append("grant.refused", typeof grant === "string" ? grant : "", {
        ...{ code: refusal.code, sender: caller.nodeId, command: commandName },
        unwritten: this.#minute.unwritten,
      });
      this.#minute.written++;
      this.#minute.unwritten = 0;
    } catch {
      // The presentation is refused all the same; a store that fails is told of by its own refusal.
      this.#minute.unwritten++;
    }
  }

  #judged(caller: PeerCaller, commandName: string, withinUse = false): Grant | Refusal {
    return judgeGrant(caller.grant, caller.publicKey, commandName, this.#facts(withinUse));
  }

  #facts(withinUse: boolean): GrantFacts {
    const { author } = this.parts.receipts.opened();
    return {
      nowMs: Math.floor(this.parts.clock.wallMs()),
      mesh: meshIdOf(author),
      standingOf: (issuer, issuerKey) => issuerStanding(this.parts, issuer, issuerKey),
      horizonMs: (issuer) => this.watermarks.horizonMs(issuer),
      watermarkOf: (grant) =>
        grant.issuer === author.nodeId && !this.#isRecorded(grant)
          ? takenBack(grant)
          : this.watermarks.of(grant),
      spendingOf: (grant) => (withinUse ? nothingSpent : this.spendings.of(grant.id)),
    };
  }

  /**
   * Whether this node's record has a grant of its own: it has every one that is not long over. What was
   * issued before the record was lost is not honoured, for what was revoked was lost with it.
   */
  #isRecorded({ id }: Grant): boolean {
    return this.parts.store().get("SELECT 1 FROM grant_issued WHERE id = ?", id) !== null;
  }

  /** The use is metered once the transaction that admits it is durable. */
  #admitted(caller: PeerCaller, command: string): GrantUse {
    const { store, clock } = this.parts;
    const { grant, reservedMs, digest } = store().transaction(() => this.#entered(caller, command));
    const settle = (settlement: Settlement) => {
      const body = { use: digest, command, ...settlement };
      this.parts.receipts.opened().append("grant.settled", grant.id, body);
      this.parts.journal().append("grant.settled", grant.id, body);
    };
    // What is replaced or over ends no work that was admitted in time; what is revoked does.
    const revocation = () => {
      const refusal = this.judge(caller, command, true);
      return refusal?.code === "grant_revoked" ? refusal : null;
    };
    const meter = { store, clock, spendings: this.spendings, settle, revocation };
    return new MeteredUse(grant, meter, reservedMs);
  }

  /** Judges and accounts for a call, inside a transaction; throws the refusal of what is not admitted. */
  #entered(caller: PeerCaller, command: string) {
    const grant = this.#judged(caller, command);
    if (grant instanceof Refusal) throw grant;
    const { id, grantee, epoch } = grant;
    const nowMs = Math.floor(this.parts.clock.wallMs());
    this.watermarks.advance(grant, nowMs);
    this.spendings.countCall(grant, nowMs);
    const reservedMs = reserveTime(grant, this.spendings);
    const { calls } = this.spendings.of(id);
    const used = { grantee, command, epoch, calls };
    const { digest } = this.parts.receipts.opened().append("grant.used", id, {
      ...used,
      reservedMs,
    });
    this.parts.journal().append("grant.used", id, used);
    return { grant, reservedMs, digest };
  }
}

/** A watermark under which a grant counts as revoked. */
const takenBack = ({ epoch }: Grant) => ({ epoch: epoch + 1, revokedBelow: epoch + 1 });
