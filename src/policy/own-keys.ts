import type { ReceiptLog } from "#src/receipt/receipt-log.ts";
import { historyEndingIn } from "#src/receipt/rotation.ts";

/**
 * The public keys of this node: the one it signs with now, and those it had before, as its rotations
 * prove them. Refused as the rotation that does not hold.
 */
export function ownKeys(log: ReceiptLog): ReadonlySet<string> {
  const { nodeId, key } = log.author;
  const { keys } = historyEndingIn(key.publicKey, log.rotations(nodeId));
  return new Set(keys.map((each) => each.key));
}
