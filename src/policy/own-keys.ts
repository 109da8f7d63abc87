import type { ReceiptLog } from "#src/receipt/receipt-log.ts";
import { receiptText, type Receipt } from "#src/receipt/receipt.ts";
import { verifyBytes } from "#src/receipt/signature.ts";

/** Most rotations that are followed back; a key is rotated a few times in a node's life. */
const rotationMaximum = 1_000;

/**
 * The public keys of this node: the one it signs with now, and those it had before. A rotation is
 * one receipt signed by the old key and the new one, so it is followed from the present backwards;
 * a receipt that neither key proves adds nothing.
 */
export function ownKeys(log: ReceiptLog): ReadonlySet<string> {
  const { nodeId, key } = log.author;
  const keys = new Set([key.publicKey]);
  const filter = { author: nodeId, kind: "key.rotated", limit: rotationMaximum };
  for (const { receipt } of log.list(filter)) {
    const second = receipt.countersignature;
    if (second === undefined || !bothSigned(receipt, second)) continue;
    if (keys.has(receipt.key)) keys.add(second.key);
    else if (keys.has(second.key)) keys.add(receipt.key);
  }
  return keys;
}

function bothSigned(
  receipt: Receipt,
  second: { readonly key: string; readonly signature: string },
): boolean {
  const text = Buffer.from(receiptText(receipt));
  return [{ key: receipt.key, signature: receipt.signature }, second].every(({ key, signature }) =>
    verifyBytes(key, text, Buffer.from(signature, "hex")),
  );
}
