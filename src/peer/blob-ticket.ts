import * as v from "valibot";
import { Refusal } from "#src/refusal/refusal.ts";
import { freshnessMs, type Signer } from "./envelope.ts";
import { keyShape, meshIdShape, nodeIdShape, signatureShape, timeShape } from "./shapes.ts";
import { isSigned, malformed, readCanonical, signDocument } from "./signed-document.ts";

/** Characters of a ticket as it stands in a header; one has some 600. */
const ticketMaximum = 2_048;

/** The word before a ticket in the `authorization` header. */
const scheme = "Psionic ";

/**
 * How long a ticket is used before another is signed: well within the freshness its recipient asks for, so
 * that clocks may differ by the rest.
 */
export const ticketUseMs = 30_000;

const ticketSchema = v.strictObject({
  type: v.literal("psionic-blob-ticket"),
  version: v.literal(1),
  /** The mesh both belong to. */
  mesh: meshIdShape,
  sender: nodeIdShape,
  /** The key that signs; the recipient has the same in the mesh's state. */
  key: keyShape,
  recipient: nodeIdShape,
  sentMs: timeShape,
  /** Ed25519 over the canonical text of everything above. */
  signature: signatureShape,
});

/** With which a member asks another for blobs (docs/FORMATS.md, Blobs of members). */
export type BlobTicket = v.InferOutput<typeof ticketSchema>;

/** The signed document: it opens the blobs of one member to another, for a while and as often as wanted. */
export function sealTicket(
  identity: Signer,
  ticket: { readonly mesh: string; readonly recipient: string; readonly nowMs: number },
): Uint8Array {
  const { mesh, recipient, nowMs } = ticket;
  return signDocument(
    {
      ...{ type: "psionic-blob-ticket", version: 1, mesh, recipient },
      ...{ sender: identity.nodeId, key: identity.key.publicKey, sentMs: Math.floor(nowMs) },
    },
    identity.key,
  );
}

/** A ticket as the `authorization` header of a request carries it. */
export function ticketHeader(ticket: Uint8Array): string {
  return scheme + Buffer.from(ticket).toString("base64url");
}

/**
 * The ticket in an `authorization` header, if it opens this node's blobs: for this node and its mesh, fresh,
 * of a live member and signed by the key the mesh's state has for it. It is not used up: what it opens can
 * be asked for again, and it travels only over a line that ends at its recipient.
 *
 * Refusals: `envelope_malformed`, `envelope_misdirected`, `mesh_wrong`, `envelope_stale`, `member_unknown`,
 * `envelope_forged`.
 */
export function openTicket(
  header: string,
  self: {
    readonly nodeId: string;
    readonly mesh: string;
    readonly nowMs: number;
    /** The key of a live member; null for everybody else. */
    keyOf(node: string): string | null;
  },
): BlobTicket {
  if (header.length > ticketMaximum || !/^Psionic [A-Za-z0-9_-]+$/.test(header))
    throw malformed("there is no ticket in the header");
  const document = readCanonical(Buffer.from(header.slice(scheme.length), "base64url"));
  const parsed = v.safeParse(ticketSchema, document);
  if (!parsed.success) throw malformed(`it is no ticket: ${parsed.issues[0].message}`);
  const ticket = parsed.output;
  const { mesh, sender, key, recipient, sentMs } = ticket;
  if (recipient !== self.nodeId) throw refused("envelope_misdirected", `it is for ${recipient}`);
  if (mesh !== self.mesh) throw refused("mesh_wrong", `it is of the mesh ${mesh}`);
  if (Math.abs(self.nowMs - sentMs) > freshnessMs)
    throw refused("envelope_stale", "it is not of this time");
  // Looked up before the signature is checked, which costs more: strangers are turned away cheaply.
  const known = self.keyOf(sender);
  if (known === null) throw refused("member_unknown", `${sender} is no member`);
  if (known !== key || !isSigned(document))
    throw refused("envelope_forged", `it is not what ${sender} signed`);
  return ticket;
}

function refused(
  code:
    "envelope_misdirected" | "mesh_wrong" | "envelope_stale" | "member_unknown" | "envelope_forged",
  why: string,
): Refusal {
  return new Refusal(
    code,
    `a ticket for blobs was refused: ${why}`,
    "a member asks with a ticket it has just signed for the member that holds the blob",
  );
}
