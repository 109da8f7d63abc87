import type { Membership, Place } from "#src/log/entry.ts";
import type { Command, Fence } from "./event.ts";
import { memberOf } from "./members.ts";
import { authorityDigest, isLive, type Member, type MeshState } from "./state.ts";

/** Those who decide, unless the caller says otherwise. */
export const defaultVoterMaximum = 7;
/** Orders that a coordinator gives in one round of its duties. */
export const orderMaximumPerRound = 4;
/** Entries that a learner may lack and still be taken for one that has caught up. */
export const catchUpMaximum = 64;

/** What a leader looks at. */
export interface DutyView {
  readonly id: string;
  readonly mesh: MeshState;
  /** The leader's own clock, which counts for the whole mesh. */
  readonly nowMs: number;
  /** Since when it leads, by the same clock. */
  readonly ledSinceMs: number;
  readonly term: number;
  readonly commitIndex: number;
  readonly membership: Membership;
  /** The last index that each other node of the log surely has. */
  readonly matches: ReadonlyMap<string, number>;
  readonly voterMaximum: number;
  /** Whom it had lead last, which came to nothing if it still leads; empty for nobody. */
  readonly lastHeir: string;
}

/** What is to be done now; each again at the next look, as long as the state asks for it. */
export interface Duties {
  readonly orders: readonly Command[];
  /** One change of those who keep the log: there is never a second under way. */
  readonly placing: { readonly id: string; readonly place: Place } | null;
  /** Whether another is to lead. */
  readonly isHandedOver: boolean;
}

const nothing: Duties = { orders: [], placing: null, isHandedOver: false };

/**
 * What the coordinator owes the mesh: ends of leases and overdue members, and that the log is kept by who
 * belongs to the mesh and decided by its ready coordinators. Pure: the same view gives the same duties.
 */
export function dutiesOf(view: DutyView): Duties {
  const own = memberOf(view.mesh, view.id);
  if (own === undefined) return nothing;
  if (own.standing !== "ready") return { ...nothing, isHandedOver: isGoing(own) };
  const orders = own.roles.includes("coordinator") ? ordersOf(view) : [];
  const members = new Map(view.mesh.members.map((member) => [member.node, member]));
  return { orders, placing: placingOf(view, members), isHandedOver: false };
}

function isGoing({ standing }: Member): boolean {
  return standing === "draining" || standing === "left" || standing === "evicted";
}

/** The voter who would lead best: a ready coordinator with most of the log; null where no other is live. */
export function heirOf({ id, mesh, membership, matches, lastHeir }: DutyView): string | null {
  const rank = (member: Member) =>
    (member.node === lastHeir ? 0 : 4) +
    (isReadyCoordinator(member) ? 2 : 0) +
    (isGoing(member) ? 0 : 1);
  const heirs = membership.voters
    .filter((voter) => voter !== id)
    .map((voter) => memberOf(mesh, voter))
    .filter((member): member is Member => member !== undefined && isLive(member))
    .map((member) => ({
      node: member.node,
      rank: rank(member),
      matchIndex: matches.get(member.node) ?? 0,
    }))
    .toSorted((a, b) => b.rank - a.rank || b.matchIndex - a.matchIndex);
  return heirs[0]?.node ?? null;
}

function isReadyCoordinator({ standing, roles }: Member): boolean {
  return standing === "ready" && roles.includes("coordinator");
}

/** The proof of when an order was given, and by whose authority. */
export function fenceOf({ term, commitIndex, mesh }: DutyView): Fence {
  return { term, index: commitIndex, authority: authorityDigest(mesh) };
}

function ordersOf(view: DutyView): readonly Command[] {
  const { id, mesh, nowMs, ledSinceMs } = view;
  const { staleMs, drainMs, expiryMs } = mesh.configuration;
  // While nobody led, nobody could renew: a new leader lets them come first.
  if (nowMs < ledSinceMs + staleMs) return [];
  const expired = mesh.leases
    .filter(({ node, untilMs }) => node !== id && untilMs <= nowMs)
    .map(({ node }) => ({ kind: "lease-expired" as const, node }));
  const overdue = mesh.members
    .filter(({ standing, sinceMs }) => {
      if (standing === "draining") return sinceMs + drainMs <= nowMs;
      return standing === "joining" && sinceMs + expiryMs <= nowMs;
    })
    .map(({ node }) => ({ kind: "node-offline" as const, node }));
  const due = [...expired, ...overdue].slice(0, orderMaximumPerRound);
  if (due.length === 0) return [];
  const fence = fenceOf(view);
  return due.map((order) => ({ ...order, fence }));
}

type Members = ReadonlyMap<string, Member>;

/** The next change of who keeps the log: who went comes out, then voters are made, then learners. */
function placingOf(view: DutyView, members: Members): Duties["placing"] {
  return outOf(view, members) ?? voterOf(view, members) ?? learnerOf(view);
}

function outOf(
  { id, membership: { voters, learners } }: DutyView,
  members: Members,
): Duties["placing"] {
  const isGone = (node: string) => {
    const member = members.get(node);
    return node !== id && member !== undefined && !isLive(member);
  };
  const learner = learners.find(isGone);
  const voter = voters.length > 1 ? voters.find(isGone) : undefined;
  const gone = learner ?? voter;
  return gone === undefined ? null : { id: gone, place: "out" };
}

function voterOf(
  { membership, matches, commitIndex, voterMaximum }: DutyView,
  members: Members,
): Duties["placing"] {
  if (membership.voters.length >= voterMaximum) return null;
  const hasCaughtUp = (node: string) =>
    (matches.get(node) ?? 0) > 0 && matches.get(node)! + catchUpMaximum >= commitIndex;
  const next = membership.learners.find((node) => {
    const member = members.get(node);
    return member !== undefined && isReadyCoordinator(member) && hasCaughtUp(node);
  });
  return next === undefined ? null : { id: next, place: "voter" };
}

function learnerOf({ mesh, membership: { voters, learners } }: DutyView): Duties["placing"] {
  const kept = new Set([...voters, ...learners]);
  const next = mesh.members.find((member) => isLive(member) && !kept.has(member.node));
  return next === undefined ? null : { id: next.node, place: "learner" };
}
