import { trustTiers, type Trust } from "#src/command/caller.ts";
import type { ReceiptService } from "#src/command/services.ts";
import type { Clock } from "#src/port/clock.ts";
import type { Row, Store } from "#src/port/store.ts";
import type { Receipt } from "#src/receipt/receipt.ts";
import {
  currentKey,
  historyEndingIn,
  keyStanding,
  longerHistory,
  type KeyHistory,
} from "#src/receipt/rotation.ts";
import { Refusal } from "#src/refusal/refusal.ts";

/** Peers one node may have an opinion of. */
export const trustMaximum = 10_000;

/** What the owner of this node thinks of one other node. */
export interface TrustEntry {
  readonly nodeId: string;
  /** Its present key as far as this node knows, 64 hexadecimal characters. */
  readonly publicKey: string;
  readonly tier: Trust;
  readonly note: string;
  /** When it was first entered, and last changed. */
  readonly sinceMs: number;
  readonly updatedMs: number;
  /** Rotations of its key that were accepted, oldest first. */
  readonly history: readonly Receipt[];
}

const rank = (tier: Trust) => trustTiers.indexOf(tier);

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

  /**
   * How far the owner of a key is trusted. The key must be one that has just proved itself; the
   * rotations that came with it lead from a key that was entered to this one, and are remembered.
   * A key that was rotated away counts until its overlap ends, then as nobody's: provisional, or
   * blocked where its node is. Refused as `readHistory` where the rotations do not hold, with
   * `trust_bundle_wrong` where they part from the history that is known.
   */
  lookup(publicKey: string, rotations: readonly Receipt[] = []): KnownPeer {
    const entry = this.#entryOf(publicKey, rotations);
    if (entry === null) {
      const { nodeId } = historyEndingIn(publicKey, rotations);
      return { nodeId, registered: "provisional" };
    }
    const { nodeId, tier } = entry;
    const { standing } = keyStanding(historyOf(entry), publicKey, this.parts.clock.wallMs());
    const counts = standing === "current" || standing === "overlapping" || tier === "blocked";
    return { nodeId, registered: counts ? tier : "provisional" };
  }

  /** The entry of a public key, of now or before, or of a node id; null for a stranger. */
  find(nodeOrKey: string): TrustEntry | null {
    const row = this.parts
      .store()
      .get(
        "SELECT * FROM trust WHERE node_id = coalesce((SELECT node_id FROM trust_key WHERE public_key = ?1), ?1)",
        nodeOrKey,
      );
    return row === null ? null : asEntry(row);
  }

  #entryOf(publicKey: string, rotations: readonly Receipt[]): TrustEntry | null {
    if (rotations.length === 0) return this.find(publicKey);
    const history = historyEndingIn(publicKey, rotations);
    const known = new Map<string, TrustEntry>();
    for (const { key } of history.keys) {
      const entry = this.find(key);
      if (entry !== null) known.set(entry.nodeId, entry);
    }
    const [least] = [...known.values()].sort((one, other) => rank(one.tier) - rank(other.tier));
    if (least === undefined) return null;
    let longest = history;
    // An entry made with a later key knows no rotations; what was presented contains that key.
    for (const entry of known.values())
      if (entry.history.length > 0) longest = longerHistory(historyOf(entry), longest);
    const isNews = known.size > 1 || longest.rotations.length > least.history.length;
    return isNews ? this.#remember(least, [...known.values()], longest) : least;
  }

  /**
   * Takes over a peer's newer keys. Entries made under several of its keys become one, trusted as
   * the least of them.
   */
  #remember(least: TrustEntry, entries: readonly TrustEntry[], history: KeyHistory): TrustEntry {
    const { store, receipts, clock } = this.parts;
    return store().transaction(() => {
      const { nodeId } = history;
      const entry: TrustEntry = {
        ...least,
        ...{ nodeId, publicKey: currentKey(history), history: history.rotations },
        updatedMs: Math.floor(clock.wallMs()),
      };
      this.#write(entries, entry);
      receipts.opened().append("trust.rotated", nodeId, {
        ...{ publicKey: entry.publicKey, before: least.publicKey, tier: entry.tier },
      });
      return entry;
    });
  }

  #write(replaced: readonly TrustEntry[], entry: TrustEntry): void {
    const store = this.parts.store();
    for (const each of replaced) this.#erase(each);
    const { publicKey, nodeId, tier, note, sinceMs, updatedMs, history } = entry;
    store.run(
      "INSERT INTO trust (public_key, node_id, tier, note, since_ms, updated_ms, history) VALUES (?, ?, ?, ?, ?, ?, ?)",
      ...[publicKey, nodeId, tier, note, sinceMs, updatedMs, JSON.stringify(history)],
    );
    for (const { key } of historyOf(entry).keys)
      store.run(
        "INSERT OR REPLACE INTO trust_key (public_key, node_id) VALUES (?, ?)",
        key,
        nodeId,
      );
  }

  #erase({ nodeId }: TrustEntry): void {
    const store = this.parts.store();
    store.run("DELETE FROM trust WHERE node_id = ?", nodeId);
    store.run("DELETE FROM trust_key WHERE node_id = ?", nodeId);
  }

  /** Enters a peer or changes what is thought of it; the receipt is written with it. */
  set(change: {
    readonly publicKey: string;
    readonly tier: Trust;
    readonly note?: string;
    /** The peer's rotations up to `publicKey`, verified here. */
    readonly rotations?: readonly Receipt[];
  }): TrustEntry {
    const { store, receipts, clock } = this.parts;
    return store().transaction(() => {
      const log = receipts.opened();
      const before = this.#entryOf(change.publicKey, change.rotations ?? []);
      if (before === null) this.#refuseBeyondMaximum();
      const presented = historyEndingIn(change.publicKey, change.rotations ?? []);
      const nodeId = before?.nodeId ?? presented.nodeId;
      if (nodeId === log.author.nodeId) throw ownKey(nodeId);
      const nowMs = Math.floor(clock.wallMs());
      const entry: TrustEntry = {
        nodeId,
        publicKey: before?.publicKey ?? change.publicKey,
        tier: change.tier,
        note: change.note ?? before?.note ?? "",
        sinceMs: before?.sinceMs ?? nowMs,
        updatedMs: nowMs,
        history: before?.history ?? presented.rotations,
      };
      this.#write(before === null ? [] : [before], entry);
      const { publicKey, tier } = entry;
      // The note stays out: receipts are shown to others.
      log.append("trust.set", nodeId, { publicKey, tier, before: before?.tier ?? null });
      return entry;
    });
  }

  /** Takes an entry back: the peer is provisional again. Refused with `not_found`. */
  forget(nodeOrKey: string): TrustEntry {
    const store = this.parts.store();
    return store.transaction(() => {
      const entry = this.find(nodeOrKey);
      if (entry === null) throw unknownPeer(nodeOrKey);
      this.#erase(entry);
      this.parts.receipts.opened().append("trust.set", entry.nodeId, {
        ...{ publicKey: entry.publicKey, tier: "provisional", before: entry.tier },
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

/** The keys of a peer, as far as this node knows them. */
export function historyOf(entry: TrustEntry): KeyHistory {
  return historyEndingIn(entry.publicKey, entry.history);
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
