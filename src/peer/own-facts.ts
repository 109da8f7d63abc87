import type { Services } from "#src/command/define.ts";
import { meshIdOf } from "#src/grant/mesh.ts";
import type { Receipt } from "#src/receipt/receipt.ts";
import type { Signer } from "./envelope.ts";
import type { JsonObject } from "./signed-document.ts";

/** What this node tells others of itself: the rotations of its key, and its mesh. */
export function ownFacts(
  _services: Services,
  self: Pick<Signer, "nodeId">,
): { readonly rotations: readonly Receipt[]; readonly mesh: string } {
  return { rotations: [], mesh: meshIdOf(self) };
}

/** The grant a node's owner issued to this one, as it was presented here; null without one. */
export function presentedGrant(_services: Services, _issuer: string): JsonObject | null {
  return null;
}
