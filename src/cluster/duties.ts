import type { Digest } from "#src/codec/digest.ts";
import { ordersOfRuns } from "#src/window/orders.ts";
import type { Command, Fence } from "./event.ts";
import { memberOf } from "./members.ts";
import {
  candidatesOf,
  isReadyCoordinator,
  keepsMajority,
  placingOf,
  type LogView,
  type Placing,
} from "./placing.ts";
import { surroundingsOf } from "./runs.ts";
import { authorityDigest, isLive, type Member } from "./state.ts";

/** Orders that a coordinator gives in one round of its duties. */
export const orderMaximumPerRound = 4;

/** What a leader looks at. */
export interface DutyView extends LogView {
  /** The leader's own clock, which counts for the whole mesh. */
  readonly nowMs: number;
  /** Since when it leads, by the same clock. */
  readonly ledSinceMs: number;
  readonly term: number;
  /** Whether it was asked to put or let itself out of the mesh, for which another must lead. */
  readonly isParting: boolean;
  /** Whom it had lead last, which came to nothing if it still leads; empty for nobody. */
  readonly lastHeir: string;
  /** When each node last answered since this one leads, by its clock. */
  readonly heardMs: ReadonlyMap<string, number>;
  /** A number that nobody can know before it is drawn. */
  readonly draw: () => Digest;
}

/** What is to be done now; each again at the next look, as long as the state asks for it. */
export interface Duties {
  readonly orders: readonly Command[];
  /** One change of those who keep the log: there is never a second under way. */
  readonly placing: Placing | null;
  /** Whether another is to lead. */
  readonly isHandedOver: boolean;
}

const nothing: Duties = { orders: [], placing: null, isHandedOver: false };

/**
 * What the coordinator owes the mesh: ends of leases and overdue members, and that the log is kept by who
 * belongs to the mesh and decided by its ready coordinators. Pure: the same view and the same
 * draws give the same duties.
 */
export function dutiesOf(view: DutyView): Duties {
  const own = memberOf(view.mesh, view.id);
  if (own === undefined) return nothing;
  const isForGood = view.isParting || !isLive(own) || hasDrained(own, view);
  if (isForGood && heirOf(view) === null) return { ...nothing, placing: heirPlacingOf(view) };
  if (isForGood || own.standing !== "ready")
    return { ...nothing, isHandedOver: isForGood || isGoing(own) };
  const isCoordinator = own.roles.includes("coordinator");
  const orders = isCoordinator ? [...ordersOf(view), ...runOrdersOf(view)] : [];
  return { orders, placing: placingOf(view), isHandedOver: false };
}

/** A leader that goes for good and decides alone makes another a voter first, and then has it lead. */
function heirPlacingOf(view: DutyView): Placing | null {
  const [next] = candidatesOf(view);
  if (next === undefined) return null;
  const placing = { id: next, place: "voter" } as const;
  return keepsMajority(view, placing) ? placing : null;
}

/** Of a leader whose time to drain is over: its daemon runs on, and no other leads. */
function hasDrained({ standing, sinceMs }: Member, { mesh, nowMs }: DutyView): boolean {
  return standing === "draining" && sinceMs + mesh.configuration.drainMs <= nowMs;
}

function isGoing({ standing }: Member): boolean {
  return standing === "draining" || standing === "left" || standing === "evicted";
}

/** The voter who would lead best: one that answers, a ready coordinator; null where no other is live. */
export function heirOf(view: DutyView): string | null {
  const { id, mesh, membership, matches, heard, lastHeir } = view;
  const rank = (member: Member) =>
    (heard.has(member.node) ? 8 : 0) +
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

/** What is due for the runs: a new leader waits there itself, wherever its ears or its clock decide. */
function runOrdersOf(view: DutyView): readonly Command[] {
  const { id, mesh, nowMs, ledSinceMs, draw } = view;
  if (mesh.runs.length === 0) return [];
  const heardMs = new Map(view.heardMs).set(id, nowMs);
  const hearing = { nowMs, ledSinceMs, heardMs };
  const due = ordersOfRuns(mesh.runs, surroundingsOf(mesh), hearing, draw);
  if (due.length === 0) return [];
  const fence = fenceOf(view);
  return due.map((order) => ({ ...order, fence }));
}
