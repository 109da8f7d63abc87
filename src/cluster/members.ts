import { labelMaximum, memberMaximum } from "./bounds.ts";
import { deny } from "./deny.ts";
import type { CommandOf } from "./event.ts";
import { withElement } from "./list.ts";
import { isLive, type Member, type MemberStanding, type MeshState } from "./state.ts";

export function memberOf({ members }: MeshState, node: string): Member | undefined {
  return members.find((member) => member.node === node);
}

/** The member of that id, or a refusal where there is none or it is gone. */
export function liveMember(state: MeshState, node: string): Member {
  const member = memberOf(state, node);
  if (member !== undefined && isLive(member)) return member;
  return deny(
    "member_unknown",
    `${node} is not a member of this mesh`,
    "it joins with a token of its own",
  );
}

/** Puts a member in. Where there is no room, the one that left longest ago is forgotten. */
export function withMember(state: MeshState, member: Member): MeshState {
  let { members } = state;
  if (members.length >= memberMaximum && memberOf(state, member.node) === undefined) {
    const gone = members.filter(({ standing }) => standing === "left");
    if (gone.length === 0)
      deny("mesh_full", `the mesh has ${memberMaximum} nodes`, "found another mesh");
    const oldest = gone.reduce((a, b) => (b.sinceMs < a.sinceMs ? b : a));
    members = members.filter((each) => each !== oldest);
  }
  return { ...state, members: withElement(members, ({ node }) => node, member) };
}

export function withStanding(
  state: MeshState,
  member: Member,
  standing: MemberStanding,
  epoch = member.epoch,
): MeshState {
  return withMember(state, { ...member, standing, epoch, sinceMs: state.timeMs });
}

export function withoutLease(state: MeshState, node: string): MeshState {
  return { ...state, leases: state.leases.filter((lease) => lease.node !== node) };
}

/** Takes everything that is known of a node out, but that it was there and its epoch. */
function withoutHoldings(state: MeshState, gone: string): MeshState {
  const residency = state.residency
    .map(({ blob, holders }) => ({ blob, holders: holders.filter((each) => each !== gone) }))
    .filter(({ holders }) => holders.length > 0);
  return {
    ...withoutLease(state, gone),
    links: state.links.filter(({ from, to }) => from !== gone && to !== gone),
    nodes: state.nodes.filter(({ node }) => node !== gone),
    residency,
  };
}

/** Refuses an epoch below the highest that was seen: a copy of the node, or an old message. */
export function requireEpoch({ node, epoch: known }: Member, epoch: number): void {
  if (epoch >= known) return;
  deny(
    "epoch_stale",
    `${node} was seen in epoch ${known}, and this is of epoch ${epoch}`,
    "two processes run with one identity, or a home was restored from an old copy: end the other",
  );
}

export function ready(state: MeshState, command: CommandOf<"node-ready">): MeshState {
  const { node, epoch, key, contact } = command;
  const known = liveMember(state, node);
  requireEpoch(known, epoch);
  const member = { ...known, key, contact };
  const untilMs = state.timeMs + state.configuration.leaseMs;
  const leases = withElement(state.leases, (lease) => lease.node, { node, untilMs });
  return { ...withStanding(state, member, "ready", epoch), leases };
}

export function drain(state: MeshState, { node }: CommandOf<"node-draining">): MeshState {
  const member = liveMember(state, node);
  if (member.standing !== "ready")
    deny("member_standing_wrong", `${node} is ${member.standing}`, "only who is ready can drain");
  return withoutLease(withStanding(state, member, "draining"), node);
}

/** A farewell: nobody waits for its lease to run out. */
export function leave(state: MeshState, { node, epoch }: CommandOf<"node-left">): MeshState {
  const member = liveMember(state, node);
  requireEpoch(member, epoch);
  requireNotOwner(state, node);
  return withoutHoldings(withStanding(state, member, "left", epoch), node);
}

export function evict(state: MeshState, { node }: CommandOf<"node-evicted">): MeshState {
  const member = liveMember(state, node);
  requireNotOwner(state, node);
  return withoutHoldings(withStanding(state, member, "evicted"), node);
}

/** Owners neither leave nor are evicted: a mesh without one could never change again. */
function requireNotOwner({ owners }: MeshState, node: string): void {
  if (!owners.includes(node)) return;
  deny(
    "member_standing_wrong",
    `${node} is an owner of this mesh`,
    owners.length === 1
      ? "make another node an owner, then take that from this one: `psionic node own NODE`"
      : "take that from it first: `psionic node own NODE --no` on an owner",
  );
}

/** Of one that was never ready, or drains, once its time is over. Who is ready has a lease instead. */
export function offline(state: MeshState, { node }: CommandOf<"node-offline">): MeshState {
  const member = liveMember(state, node);
  const { drainMs, expiryMs } = state.configuration;
  if (member.standing !== "joining" && member.standing !== "draining")
    deny("member_standing_wrong", `${node} is ${member.standing}`, "leases end who is ready");
  const untilMs = member.sinceMs + (member.standing === "draining" ? drainMs : expiryMs);
  if (state.timeMs < untilMs)
    deny("lease_live", `${node} has until ${untilMs}, and it is ${state.timeMs}`, "wait for it");
  return withStanding(state, member, "offline");
}

export function seeEpoch(state: MeshState, { node, epoch }: CommandOf<"epoch-seen">): MeshState {
  const member = liveMember(state, node);
  requireEpoch(member, epoch);
  return withMember(state, { ...member, epoch });
}

/** Puts a word to a node, or takes it away where its value is empty. */
export function label(
  state: MeshState,
  { node, label: name, value }: CommandOf<"node-labelled">,
): MeshState {
  const member = liveMember(state, node);
  const others = member.labels.filter((each) => each.label !== name);
  if (value !== "" && others.length >= labelMaximum)
    deny("mesh_full", `${node} has ${labelMaximum} labels`, "take one away first");
  const added = { label: name, value };
  const labels = value === "" ? others : withElement(others, (each) => each.label, added);
  return withMember(state, { ...member, labels });
}
