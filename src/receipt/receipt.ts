import { canonicalText, digestBytes, type Digest } from "#src/codec/digest.ts";
import { assert } from "#src/refusal/refusal.ts";
import { signBytes, type SigningKey } from "./signature.ts";

/** JSON without floats: what enters a signed document is text, integer, truth, list or object. */
export type Fact =
  string | number | boolean | null | readonly Fact[] | { readonly [name: string]: Fact };
export type Facts = Readonly<Record<string, Fact>>;

/** What one author says happened; the members that its digest and signature cover. */
export interface ReceiptContent {
  readonly type: "psionic-receipt";
  readonly version: 1;
  /** Node id of who says it. */
  readonly author: string;
  /** The author's public key that signs; rotations say which keys an author had. */
  readonly key: string;
  /** Place in the author's chain, from 1. */
  readonly sequence: number;
  /** Digest of the author's receipt before; 64 zeros before the first. */
  readonly previous: Digest;
  readonly atMs: number;
  /** `grant.issued`, `run.checkpoint`. */
  readonly kind: string;
  /** What it is about: a grant's id, a run's id, a node id. */
  readonly subject: string;
  readonly body: Facts;
}

/** A receipt as it is stored, exported and verified (docs/RECEIPTS.md). */
export interface Receipt extends ReceiptContent {
  /** Ed25519 over the canonical text of the content, 128 hexadecimal characters. */
  readonly signature: string;
  /** A second signature over the same text, by another key: a rotation is signed by both. */
  readonly countersignature?: { readonly key: string; readonly signature: string };
}

/** The kind of a key's rotation, the only receipt with two signatures. */
export const rotationKind = "key.rotated";

/** What stands for "nothing before": the `previous` of a chain's first receipt. */
export const noDigest: Digest = "0".repeat(64);

/** The canonical text (RFC 8785) that a receipt's digest and signatures are taken over. */
export function receiptText(receipt: ReceiptContent): string {
  const { type, version, author, key, sequence, previous, atMs, kind, subject, body } = receipt;
  return canonicalText({
    ...{ type, version, author, key, sequence, previous, atMs, kind, subject, body },
  });
}

/** SHA-256 of the canonical text; the next receipt of the chain names it. */
export function receiptDigest(receipt: ReceiptContent): Digest {
  return digestBytes(receiptText(receipt));
}

/** Signs a content with its author's key, and with another where a rotation needs it. */
export function signReceipt(
  content: ReceiptContent,
  key: SigningKey,
  countersigner?: SigningKey,
): Receipt {
  assert(content.key === key.publicKey, "a receipt names the key that signs it");
  assert(isFact(content.body), "a receipt holds no floats and nothing JSON cannot say");
  const text = Buffer.from(receiptText(content));
  const signature = Buffer.from(signBytes(key, text)).toString("hex");
  if (countersigner === undefined) return { ...content, signature };
  const second = Buffer.from(signBytes(countersigner, text)).toString("hex");
  return {
    ...content,
    signature,
    countersignature: { key: countersigner.publicKey, signature: second },
  };
}

/** Lists and objects inside one another in a body; deeper ones are no facts. */
export const factDepthMaximum = 32;

/** True for JSON whose numbers are all safe integers and whose text is whole Unicode. */
export function isFact(value: unknown): value is Fact {
  return isFactWithin(value, factDepthMaximum);
}

function isFactWithin(value: unknown, depth: number): boolean {
  if (value === null || typeof value === "boolean") return true;
  if (typeof value === "string") return value.isWellFormed();
  if (typeof value === "number") return Number.isSafeInteger(value) && !Object.is(value, -0);
  if (typeof value !== "object" || depth === 0) return false;
  if (Array.isArray(value)) return value.every((each) => isFactWithin(each, depth - 1));
  return Object.entries(value).every(
    ([name, each]) => name.isWellFormed() && isFactWithin(each, depth - 1),
  );
}
