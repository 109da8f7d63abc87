import { deny } from "./deny.ts";
import type { CommandOf } from "./event.ts";
import { withElement } from "./list.ts";
import { liveMember, requireEpoch, withoutLease, withMember, withStanding } from "./members.ts";
import type { MeshState } from "./state.ts";

/** A heartbeat that counts: the member is there until a lease's length from now. */
export function renew(state: MeshState, { node, epoch }: CommandOf<"lease-renewed">): MeshState {
  const member = liveMember(state, node);
  requireEpoch(member, epoch);
  if (member.standing !== "ready")
    deny(
      "member_standing_wrong",
      `${node} is ${member.standing}`,
      "it says that it is ready first",
    );
  const untilMs = state.timeMs + state.configuration.leaseMs;
  const leases = withElement(state.leases, (lease) => lease.node, { node, untilMs });
  return { ...withMember(state, { ...member, epoch }), leases };
}

/** Ends a lease that ran out. The member may come back by saying that it is ready, after any time. */
export function expire(state: MeshState, { node }: CommandOf<"lease-expired">): MeshState {
  const member = liveMember(state, node);
  const lease = state.leases.find((each) => each.node === node);
  if (lease === undefined)
    return deny("lease_absent", `${node} has no lease`, "there is nothing to end");
  if (state.timeMs < lease.untilMs)
    deny("lease_live", `${node} has until ${lease.untilMs}`, "wait until it has run out");
  return withoutLease(withStanding(state, member, "offline"), node);
}
