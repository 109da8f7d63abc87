import * as v from "valibot";
import { Refusal } from "#src/refusal/refusal.ts";
import type { ReceiveWindows } from "./counters.ts";
import type { Signer } from "./envelope.ts";
import { keyShape, meshIdShape, nodeIdShape, objectShape, signatureShape } from "./shapes.ts";
import {
  isSigned,
  shaped,
  readCanonical,
  signDocument,
  type JsonObject,
} from "./signed-document.ts";

/** Characters of a kind of message. */
export const kindMaximum = 32;

/** Epochs and counters: from 1, and exact as JSON numbers. */
const countShape = v.pipe(v.number(), v.safeInteger(), v.minValue(1));

const messageSchema = v.strictObject({
  type: v.literal("psionic-message"),
  version: v.literal(1),
  /** The mesh both belong to: a message of one mesh means nothing in another. */
  mesh: meshIdShape,
  sender: nodeIdShape,
  /** The key that signs; the reader knows from elsewhere that it is the sender's. */
  key: keyShape,
  recipient: nodeIdShape,
  /** Which start of the sender's this is. */
  epoch: countShape,
  /** Ascends with each message of that epoch to that recipient, whichever way it goes. */
  counter: countShape,
  kind: v.pipe(v.string(), v.maxLength(kindMaximum), v.regex(/^[a-z-]+$/, "must be a kind")),
  body: objectShape,
  /** What the sender says of the process it is (src/peer/claims.ts). */
  claims: v.optional(objectShape),
  /** What the recipient's owner granted, as it was presented. */
  grant: v.optional(objectShape),
  /** Ed25519 over the canonical text of everything above. */
  signature: signatureShape,
});

/** One message between members of a mesh (docs/FORMATS.md, Messages between members). */
export type MessageEnvelope = v.InferOutput<typeof messageSchema>;

/** A message of the right shape, for this node and mesh, signed by the key it names. */
export interface SignedMessage {
  readonly envelope: MessageEnvelope;
  readonly sizeBytes: number;
}

/** Whom a message may come from, as was proven elsewhere. */
export interface ProvenSender {
  readonly node: string;
  /**
   * The key in use: over a direct link the one its hello proved (`keyInUse`), through others the one the
   * mesh's state has for the member.
   */
  readonly key: string;
  /** The highest epoch the mesh has seen of it. */
  readonly epoch: number;
}

/**
 * A message signed for one recipient, ready to travel. Its counter comes from `SendCounters`. Refused with
 * `message_too_large` where it does not fit a document; `splitBody` makes several of such a body.
 */
export function sealMessage(
  identity: Signer,
  message: {
    readonly mesh: string;
    readonly recipient: string;
    readonly epoch: number;
    readonly counter: number;
    readonly kind: string;
    readonly body: JsonObject;
    readonly claims: JsonObject | null;
    readonly grant: JsonObject | null;
  },
): Uint8Array {
  const { mesh, recipient, epoch, counter, kind, body, claims, grant } = message;
  return signDocument(
    {
      ...{ type: "psionic-message", version: 1, mesh, recipient, epoch, counter, kind, body },
      sender: identity.nodeId,
      key: identity.key.publicKey,
      ...(claims === null ? {} : { claims }),
      ...(grant === null ? {} : { grant }),
    },
    identity.key,
  );
}

/** True for a document between members, well-formed or not. */
export function isMessage(document: JsonObject): boolean {
  return document["type"] === "psionic-message";
}

/**
 * Reads a message and checks what needs nothing but its bytes: the shape, that it is for this node and
 * mesh, and the signature. It says nothing of whose the key is, nor whether the message came before:
 * `admitMessage` does. Refusals: `envelope_malformed`, `envelope_misdirected`, `mesh_wrong`,
 * `envelope_forged`.
 */
export function readMessage(
  bytes: Uint8Array,
  self: { readonly nodeId: string; readonly mesh: string },
): SignedMessage {
  const document = readCanonical(bytes);
  const envelope = shaped(messageSchema, document);
  if (envelope.recipient !== self.nodeId)
    throw new Refusal(
      "envelope_misdirected",
      `the message is for ${envelope.recipient}, this is ${self.nodeId}`,
      "send it to the member it was sealed for",
      { recipient: envelope.recipient, nodeId: self.nodeId },
    );
  if (envelope.mesh !== self.mesh)
    throw new Refusal(
      "mesh_wrong",
      `the message is of the mesh ${envelope.mesh}, this node belongs to ${self.mesh}`,
      "both nodes must be members of one mesh; `psionic cluster status` shows which each belongs to",
      { mesh: envelope.mesh, own: self.mesh },
    );
  if (!isSigned(document)) throw forged("its signature is not of the key it names", envelope);
  return { envelope, sizeBytes: bytes.length };
}

/**
 * Lets a signed message in once: it must be of the proven sender and its key, of an epoch no lower than any
 * that is known, with a counter that did not come before. When this returns, no later process on this home
 * lets it in again. Not to be called within a transaction that may be rolled back.
 *
 * Refusals: `envelope_forged`, `epoch_stale`, `envelope_replayed`, `peer_busy`, those of the store.
 */
export function admitMessage(
  { envelope }: SignedMessage,
  { proven, windows }: { readonly proven: ProvenSender; readonly windows: ReceiveWindows },
): void {
  const { sender, key, epoch, counter } = envelope;
  if (sender !== proven.node) throw forged(`it came from ${proven.node}`, envelope);
  if (key !== proven.key) throw forged("the key that signed is not the one in use", envelope);
  windows.admit(sender, { epoch, counter }, proven.epoch);
}

function forged(why: string, { sender, key }: MessageEnvelope): Refusal {
  return new Refusal(
    "envelope_forged",
    `the message is not what ${sender} signed: ${why}`,
    "a member signs with the key of its last start; something between the nodes may change what passes",
    { sender, key },
  );
}
