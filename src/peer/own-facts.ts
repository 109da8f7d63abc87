import type { Services } from "#src/command/define.ts";
import { meshIdOf } from "#src/grant/mesh.ts";
import type { ReceiptLog } from "#src/receipt/receipt-log.ts";
import { rotationKind, type Receipt } from "#src/receipt/receipt.ts";
import { rotationMaximum } from "#src/receipt/rotation.ts";
import { upToKey } from "./key-in-use.ts";
import type { JsonObject } from "./signed-document.ts";

/** What this node tells others of itself: the rotations of its key, oldest first, and its mesh. */
export function ownFacts(log: ReceiptLog): {
  readonly rotations: readonly Receipt[];
  readonly mesh: string;
} {
  const { nodeId, key } = log.author;
  const filter = { author: nodeId, kind: rotationKind, limit: rotationMaximum };
  const rotations = log.list(filter).map(({ receipt }) => receipt);
  // A process that read its key before another one rotated it goes on as the key it has.
  return { rotations: upToKey(rotations.reverse(), key.publicKey), mesh: meshIdOf(log.author) };
}

/** The grant a node's owner issued to this one, as it was presented here; null without one. */
export function presentedGrant(
  { presented }: Pick<Services, "presented">,
  issuer: string,
): JsonObject | null {
  const grant = presented.forIssuer(issuer);
  return grant === null ? null : { ...grant };
}
