import * as v from "valibot";
import type { PeerCaller, Trust } from "#src/command/caller.ts";
import { digestBytes, type Digest } from "#src/codec/digest.ts";
import type { Random } from "#src/port/random.ts";
import type { Store } from "#src/port/store.ts";
import type { NodeIdentity } from "#src/receipt/identity.ts";
import type { Receipt } from "#src/receipt/receipt.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { callIdMaximum, rememberCall, strangerIdMaximum } from "./call-ids.ts";
import { keyInUse } from "./key-in-use.ts";
import {
  callIdShape,
  keyShape,
  nodeIdShape,
  objectShape,
  rotationsShape,
  signatureShape,
  timeShape,
} from "./shapes.ts";
import {
  isSigned,
  shaped,
  readCanonical,
  signDocument,
  type JsonObject,
} from "./signed-document.ts";

/**
 * A call may be so much older or younger than the receiver's clock: room for a slow line and for
 * clocks that nobody sets, short enough that few call ids are fresh at once.
 */
export const freshnessMs = 120_000;

const callSchema = v.strictObject({
  type: v.literal("psionic-call"),
  version: v.literal(1),
  callId: callIdShape,
  /** Node id of who calls; follows from the key and its rotations. */
  sender: nodeIdShape,
  /** The key that signs. */
  key: keyShape,
  /** The sender's rotation receipts, oldest first; empty for a node that kept its first key. */
  rotations: rotationsShape,
  recipient: nodeIdShape,
  sentMs: timeShape,
  /** The command, as the registry names it. */
  name: v.pipe(v.string(), v.minLength(1), v.maxLength(200)),
  parameters: objectShape,
  /** What the recipient's owner granted, as it was presented; the gate judges it. */
  grant: v.nullable(objectShape),
  /** Ed25519 over the canonical text of everything above. */
  signature: signatureShape,
});

/** One call, as it travels (docs/FORMATS.md, Calls between nodes). */
export type CallEnvelope = v.InferOutput<typeof callSchema>;

/** What of a node's identity signs documents. */
export type Signer = Pick<NodeIdentity, "nodeId" | "key">;

/** Who this node's owner says a key is, as the trust registry of the room `grant` answers. */
export interface PeerTrust {
  lookup(
    publicKey: string,
    rotations?: readonly Receipt[],
  ): { readonly nodeId: string; readonly registered: Trust };
  /** What is known of a node: the rotations it has shown before, oldest first. */
  find(nodeId: string): { readonly history: readonly Receipt[] } | null;
}

/** A call whose sender is certain: of the right shape, for this node, signed. */
export interface SignedCall {
  readonly envelope: CallEnvelope;
  /** SHA-256 of the bytes it came in; the first reply names it. */
  readonly digest: Digest;
}

/** A call as the gate may see it. */
export interface OpenedCall {
  readonly caller: PeerCaller;
  readonly callId: string;
  readonly name: string;
  readonly parameters: JsonObject;
}

/** A call signed for one recipient, ready to travel. */
export function sealCall(
  identity: Signer,
  call: {
    readonly recipient: string;
    readonly name: string;
    readonly parameters: JsonObject;
    readonly grant: JsonObject | null;
    readonly rotations: readonly Receipt[];
    readonly nowMs: number;
    readonly random: Random;
  },
): Uint8Array {
  const { recipient, name, parameters, grant, rotations, nowMs, random } = call;
  return signDocument(
    {
      ...{ type: "psionic-call", version: 1 },
      callId: Buffer.from(random.bytes(16)).toString("hex"),
      sender: identity.nodeId,
      key: identity.key.publicKey,
      sentMs: Math.floor(nowMs),
      ...{ rotations, recipient, name, parameters, grant },
    },
    identity.key,
  );
}

/**
 * Reads a call and checks what needs nothing but its bytes: the shape, that it is for this node, and
 * the signature. Refusals: `envelope_malformed`, `envelope_misdirected`, `envelope_forged`.
 */
export function readCall(bytes: Uint8Array, self: Pick<Signer, "nodeId">): SignedCall {
  const document = readCanonical(bytes);
  const envelope = shaped(callSchema, document);
  if (envelope.recipient !== self.nodeId)
    throw new Refusal(
      "envelope_misdirected",
      `the call is for ${envelope.recipient}, this is ${self.nodeId}`,
      "seal the call for the node that answers",
      { recipient: envelope.recipient, nodeId: self.nodeId },
    );
  if (!isSigned(document)) throw forged("its signature is not of the key it names", envelope);
  return { envelope, digest: digestBytes(bytes) };
}

function forged(why: string, { sender, key }: CallEnvelope): Refusal {
  return new Refusal(
    "envelope_forged",
    `the call is not what ${sender} signed: ${why}`,
    "send the call again; something between the nodes may change what passes",
    { sender, key },
  );
}

/**
 * Admits a signed call once: it must be fresh, its key the sender's and in use, its id new. The id is
 * remembered in the same transaction, durable when this returns, so a store that fails denies.
 *
 * Refusals: `envelope_stale`, `envelope_forged`, `envelope_replayed`, `key_retired`, `peer_busy`,
 * those of the store.
 */
export function admitCall(
  { envelope }: SignedCall,
  parts: { readonly trust: PeerTrust; readonly store: Store; readonly nowMs: number },
): OpenedCall {
  const { callId, sender, key, sentMs, name, parameters, grant } = envelope;
  const { trust, store, nowMs } = parts;
  return store.transaction(() => {
    if (Math.abs(nowMs - sentMs) > freshnessMs) throw stale(envelope, nowMs);
    const known = trust.find(sender)?.history ?? [];
    const { nodeId, registered } = trust.lookup(key, keyInUse(envelope, known, nowMs));
    if (nodeId !== sender) throw forged(`its key belongs to ${nodeId}`, envelope);
    const maximum = registered === "provisional" ? strangerIdMaximum : callIdMaximum;
    rememberCall(store, { key, callId, sentMs }, nowMs - freshnessMs, maximum);
    return {
      caller: { provenance: "peer", publicKey: key, nodeId, registered, grant },
      ...{ callId, name, parameters },
    };
  });
}

function stale({ sentMs }: CallEnvelope, nowMs: number): Refusal {
  const seconds = Math.round(Math.abs(nowMs - sentMs) / 1000);
  return new Refusal(
    "envelope_stale",
    `the call was sent ${seconds} seconds ${nowMs > sentMs ? "before" : "after"} this node's time`,
    `set the clocks of both machines; ${freshnessMs / 1000} seconds apart are let pass`,
    { sentMs, nowMs: Math.floor(nowMs), freshnessMs },
  );
}

/** Opens a call at once: `readCall`, then `admitCall`. */
export function openCall(
  bytes: Uint8Array,
  parts: {
    readonly self: Pick<Signer, "nodeId">;
    readonly trust: PeerTrust;
    readonly store: Store;
    readonly nowMs: number;
  },
): OpenedCall {
  return admitCall(readCall(bytes, parts.self), parts);
}
