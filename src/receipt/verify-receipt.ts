import type { RefusalCode } from "#src/refusal/codes.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { receiptDigest, receiptText, rotationKind, type Receipt } from "./receipt.ts";
import { nodeIdOf, verifyBytes } from "./signature.ts";

export type ReceiptFailure = Extract<
  RefusalCode,
  "receipt_malformed" | "receipt_signature_wrong" | "receipt_chain_broken" | "receipt_author_wrong"
>;

const hints: Readonly<Record<ReceiptFailure, string>> = {
  receipt_malformed: "take it from its author again; docs/RECEIPTS.md describes the form",
  receipt_signature_wrong: "it was changed after it was signed; take it from its author again",
  receipt_chain_broken: "a receipt is missing, doubled or out of place; export the chain again",
  receipt_author_wrong: "ask the author for the whole chain, rotations included",
};

/** The refusal of a receipt: it names the receipt by place and digest, and says why. */
export function receiptWrong(
  code: ReceiptFailure,
  receipt: Receipt,
  why: string,
  details: Readonly<Record<string, unknown>> = {},
): Refusal {
  const { author, sequence } = receipt;
  const digest = receiptDigest(receipt);
  return new Refusal(
    code,
    `receipt ${sequence} of ${author} (${digest.slice(0, 12)}) does not hold: ${why}`,
    hints[code],
    { author, sequence, digest, ...details },
  );
}

/**
 * Checks the signature of a receipt by the key it names, and the second one where it has one. Says
 * nothing about whose key that is: see `verifyReceipt`. Refused with `receipt_signature_wrong`.
 */
export function verifySignatures(receipt: Receipt): void {
  const text = Buffer.from(receiptText(receipt));
  if (!verifyBytes(receipt.key, text, Buffer.from(receipt.signature, "hex")))
    throw receiptWrong(
      "receipt_signature_wrong",
      receipt,
      "its signature is not by the key it names",
    );
  verifyCountersignature(receipt, text);
}

/** A rotation is signed by the new key as well; nothing else has a second signature. */
function verifyCountersignature(receipt: Receipt, text: Uint8Array): void {
  const { countersignature, kind, body } = receipt;
  if (kind !== rotationKind) {
    if (countersignature === undefined) return;
    throw receiptWrong("receipt_malformed", receipt, "only a rotation is signed twice");
  }
  const isByNewKey =
    countersignature !== undefined &&
    countersignature.key === body["to"] &&
    verifyBytes(countersignature.key, text, Buffer.from(countersignature.signature, "hex"));
  if (!isByNewKey)
    throw receiptWrong(
      "receipt_signature_wrong",
      receipt,
      "the new key has not signed the rotation",
    );
}

/**
 * Checks one receipt alone: its signatures, and that its key is its author's. `keys` are further keys
 * known to be the author's (from its rotations); without them only its first key is. Refusals:
 * `receipt_signature_wrong`, `receipt_author_wrong`.
 */
export function verifyReceipt(receipt: Receipt, keys: readonly string[] = []): void {
  verifySignatures(receipt);
  if (nodeIdOf(receipt.key) === receipt.author || keys.includes(receipt.key)) return;
  throw receiptWrong("receipt_author_wrong", receipt, "its key is not its author's first key", {
    key: receipt.key,
  });
}
