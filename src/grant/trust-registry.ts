import type { Trust } from "#src/command/caller.ts";
import type { ReceiptService } from "#src/command/services.ts";
import type { Clock } from "#src/port/clock.ts";
import type { Row, Store } from "#src/port/store.ts";
import type { Receipt } from "#src/receipt/receipt.ts";
import { nodeIdOf } from "#src/receipt/signature.ts";
import { Refusal } from "#src/refusal/refusal.ts";

/** Peers one node may have an opinion of. */
export const trustMaximum = 10_000;

/** What the owner of this node thinks of one other node. */
export interface TrustEntry {
  readonly nodeId: string;
  /** The key by which it is known, 64 hexadecimal characters. */
  readonly publicKey: string;
  readonly tier: Trust;
  readonly note: string;
  /** When it was first entered, and last changed. */
  readonly sinceMs: number;
  readonly updatedMs: number;
  /** Rotations of its key that were accepted, oldest first. */
  readonly history: readonly Receipt[];
}

/** What an authenticated key amounts to. */
export interface KnownPeer {
  readonly nodeId: string;
  readonly registered: Trust;
}

/**
 * Whom this node trusts how far. An entry is made by the owner alone and every change leaves
 * the receipt `trust.set`. A key nobody entered is `provisional`. What is stored as `owner` counts as
 * `trusted` when it calls (the gate sees to it); the word only says whose grants are honoured here.
 */
export class TrustRegistry {
  constructor(
    readonly parts: {
      readonly store: () => Store;
      readonly clock: Pick<Clock, "wallMs">;
      readonly receipts: Pick<ReceiptService, "opened">;
    },
  ) {}

  /** How far the owner of a key is trusted. The key must be one that has just proved itself. */
  lookup(publicKey: string, _rotations: readonly Receipt[] = []): KnownPeer {
    const entry = this.find(publicKey);
    if (entry !== null) return { nodeId: entry.nodeId, registered: entry.tier };
    return { nodeId: nodeIdOf(publicKey), registered: "provisional" };
  }

  /** The entry of a public key or node id, or null. */
  find(nodeOrKey: string): TrustEntry | null {
    const row = this.parts
      .store()
      .get("SELECT * FROM trust WHERE public_key = ?1 OR node_id = ?1", nodeOrKey);
    return row === null ? null : asEntry(row);
  }

  /** Enters a peer or changes what is thought of it; the receipt is written with it. */
  set(change: {
    readonly publicKey: string;
    readonly nodeId?: string;
    readonly tier: Trust;
    readonly note?: string;
    readonly history?: readonly Receipt[];
  }): TrustEntry {
    const store = this.parts.store();
    return store.transaction(() => {
      const receipts = this.parts.receipts.opened();
      const nodeId = change.nodeId ?? nodeIdOf(change.publicKey);
      if (nodeId === receipts.author.nodeId) throw ownKey(nodeId);
      const before = this.find(change.publicKey) ?? this.find(nodeId);
      if (before === null) this.#refuseBeyondMaximum();
      const nowMs = Math.floor(this.parts.clock.wallMs());
      const entry: TrustEntry = {
        nodeId: before?.nodeId ?? nodeId,
        publicKey: change.publicKey,
        tier: change.tier,
        note: change.note ?? before?.note ?? "",
        sinceMs: before?.sinceMs ?? nowMs,
        updatedMs: nowMs,
        history: change.history ?? before?.history ?? [],
      };
      if (before !== null) store.run("DELETE FROM trust WHERE public_key = ?", before.publicKey);
      const { publicKey, tier, note, sinceMs, updatedMs, history } = entry;
      store.run(
        "INSERT INTO trust (public_key, node_id, tier, note, since_ms, updated_ms, history) VALUES (?, ?, ?, ?, ?, ?, ?)",
        ...[publicKey, entry.nodeId, tier, note, sinceMs, updatedMs, JSON.stringify(history)],
      );
      receipts.append("trust.set", entry.nodeId, {
        ...{ publicKey, tier, note },
        before: before?.tier ?? null,
      });
      return entry;
    });
  }

  /** Takes an entry back: the peer is provisional again. Refused with `not_found`. */
  forget(nodeOrKey: string): TrustEntry {
    const store = this.parts.store();
    return store.transaction(() => {
      const entry = this.find(nodeOrKey);
      if (entry === null) throw unknownPeer(nodeOrKey);
      store.run("DELETE FROM trust WHERE public_key = ?", entry.publicKey);
      this.parts.receipts.opened().append("trust.set", entry.nodeId, {
        ...{ publicKey: entry.publicKey, tier: "provisional", note: "", before: entry.tier },
      });
      return entry;
    });
  }

  /** Every entry, the longest known first. */
  list(): TrustEntry[] {
    return this.parts.store().all("SELECT * FROM trust ORDER BY since_ms, node_id").map(asEntry);
  }

  #refuseBeyondMaximum(): void {
    const row = this.parts.store().get("SELECT count(*) AS count FROM trust");
    if (Number(row!["count"]) < trustMaximum) return;
    throw new Refusal(
      "trust_full",
      `this node knows ${trustMaximum} peers already`,
      "forget some with `psionic trust forget NODE`",
      { maximum: trustMaximum },
    );
  }
}

function ownKey(nodeId: string): Refusal {
  return new Refusal(
    "usage",
    `${nodeId} is this node itself, which trusts itself`,
    "name another node's key; `psionic identity show` there prints it",
    { nodeId },
  );
}

/** The refusal of a peer that was never entered. */
export function unknownPeer(nodeOrKey: string): Refusal {
  return new Refusal(
    "not_found",
    `no peer ${nodeOrKey} was entered`,
    "`psionic trust list` shows those that were; a new one is named by its public key",
    { peer: nodeOrKey },
  );
}

function asEntry(row: Row): TrustEntry {
  return {
    nodeId: String(row["node_id"]),
    publicKey: String(row["public_key"]),
    tier: String(row["tier"]) as Trust,
    note: String(row["note"]),
    sinceMs: Number(row["since_ms"]),
    updatedMs: Number(row["updated_ms"]),
    history: JSON.parse(String(row["history"])) as Receipt[],
  };
}
