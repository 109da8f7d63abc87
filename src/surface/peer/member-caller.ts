import type { PeerCaller } from "#src/command/caller.ts";
import type { Services } from "#src/command/define.ts";

/**
 * The caller with the trust that its place in this node's mesh gives it: a member counts as one, under the
 * key the mesh knows of it, unless this node's owner registered it as something else. Who left or was
 * evicted is a stranger again.
 */
export function asMember(caller: PeerCaller, { cluster }: Pick<Services, "cluster">): PeerCaller {
  if (caller.registered !== "provisional" || cluster === null) return caller;
  const member = cluster.state().members.find(({ node }) => node === caller.nodeId);
  const isGone = member?.standing === "left" || member?.standing === "evicted";
  const isKnown = member !== undefined && member.key === caller.publicKey && !isGone;
  return isKnown ? { ...caller, registered: "member" } : caller;
}
