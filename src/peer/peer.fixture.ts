import { Database } from "bun:sqlite";
import { canonicalText } from "#src/codec/digest.ts";
import type { Trust } from "#src/command/caller.ts";
import type { Row, Store } from "#src/port/store.ts";
import type { Random } from "#src/port/random.ts";
import {
  noDigest,
  rotationKind,
  signReceipt,
  type Receipt,
  type ReceiptContent,
} from "#src/receipt/receipt.ts";
import {
  nodeIdOf,
  signBytes,
  signingKeyFromSeed,
  type SigningKey,
} from "#src/receipt/signature.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { peerTables } from "./call-ids.ts";
import { sealCall, type PeerTrust, type Signer } from "./envelope.ts";
import type { JsonObject } from "./signed-document.ts";

/** Two nodes with real keys, and what stands around them. */

export function keyOf(seed: number): SigningKey {
  return signingKeyFromSeed(new Uint8Array(32).fill(seed));
}

export function nodeOf(seed: number): Signer {
  const key = keyOf(seed);
  return { nodeId: nodeIdOf(key.publicKey), key };
}

export const alice = nodeOf(1);
export const bob = nodeOf(2);
export const mallory = nodeOf(3);

/** A moment of the tests. */
export const nowMs = 1_800_000_000_000;

export const random: Random = { bytes: (count) => crypto.getRandomValues(new Uint8Array(count)) };

/** Trusts the keys it is told of; everybody else is provisional. */
export function trustOf(
  tiers: Readonly<Record<string, Trust>> = {},
  history: readonly Receipt[] = [],
): PeerTrust {
  return {
    lookup(publicKey, rotations = []) {
      const nodeId = nodeIdOf(rotations[0]?.key ?? publicKey);
      return { nodeId, registered: tiers[nodeId] ?? "provisional" };
    },
    find: (nodeId) => (history[0]?.author === nodeId ? { history } : null),
  };
}

/** The tables of the room in memory, or in a file that several open. */
export function openTables(path = ":memory:"): Store & { close(): void } {
  const database = new Database(path);
  database.run("PRAGMA busy_timeout = 5000");
  if (database.query("SELECT 1 FROM sqlite_master WHERE name = 'peer_call'").get() === null)
    for (const migration of peerTables.migrations) database.run(migration);
  return {
    all: (sql, ...values) => database.query(sql).all(...values) as Row[],
    get: (sql, ...values) => database.query(sql).get(...values) as Row | null,
    run: (sql, ...values) => ({ changes: database.query(sql).run(...values).changes }),
    transaction: (work) => database.transaction(work).immediate(),
    close: () => database.close(),
  };
}

/** A call from alice to bob, with changes. */
export function call(changes: Partial<Parameters<typeof sealCall>[1]> = {}, sender = alice) {
  return sealCall(sender, {
    ...{ recipient: bob.nodeId, name: "version", parameters: {}, grant: null, rotations: [] },
    ...{ nowMs, random },
    ...changes,
  });
}

export function parsed(bytes: Uint8Array): Record<string, unknown> {
  return JSON.parse(new TextDecoder().decode(bytes)) as Record<string, unknown>;
}

/** A document's canonical bytes with some members changed and the signature left as it was. */
export function changed(bytes: Uint8Array, changes: JsonObject): Uint8Array {
  return Buffer.from(canonicalText({ ...parsed(bytes), ...changes }));
}

/** As `changed`, but signed again by a key. */
export function resigned(bytes: Uint8Array, changes: JsonObject, key: SigningKey): Uint8Array {
  const { signature: _signature, ...content } = { ...parsed(bytes), ...changes };
  const signature = Buffer.from(signBytes(key, Buffer.from(canonicalText(content)))).toString(
    "hex",
  );
  return Buffer.from(canonicalText({ ...content, signature }));
}

/** A rotation of a node's key, signed by both. */
export function rotation(
  author: string,
  from: SigningKey,
  to: SigningKey,
  { sequence = 1, atMs = nowMs - 10_000, overlapUntilMs = nowMs + 10_000 } = {},
): Receipt {
  const content: ReceiptContent = {
    ...{ type: "psionic-receipt", version: 1, author, key: from.publicKey, sequence, atMs },
    ...{ previous: noDigest, kind: rotationKind, subject: author },
    body: { from: from.publicKey, to: to.publicKey, overlapUntilMs },
  };
  return signReceipt(content, from, to);
}

/** The refusal that work ends in; anything else fails the test. */
export function refusalOf(work: () => unknown): Refusal {
  try {
    work();
  } catch (error) {
    if (error instanceof Refusal) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}
