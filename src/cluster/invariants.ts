import { brokenRuns, brokenRunStep } from "#src/window/invariants.ts";
import {
  blobMaximum,
  holderMaximum,
  linkMaximum,
  memberMaximum,
  orderMaximum,
  ownerMaximum,
  provenanceMaximum,
  tokenMaximum,
} from "./bounds.ts";
import { linkName } from "./facts.ts";
import { compareFences } from "./orders.ts";
import { isLive, type MeshState } from "./state.ts";

/** What must hold of every state, whatever events led to it. Null where it does, else what does not. */
export function brokenState(state: MeshState): string | null {
  for (const check of stateChecks) {
    const broken = check(state);
    if (broken !== null) return broken;
  }
  return null;
}

const stateChecks: readonly ((state: MeshState) => string | null)[] = [
  hasBounds,
  hasOneForm,
  usesTokensOnce,
  leasesOnlyTheReady,
  leavesNothingToTheGone,
  ordersAscend,
  hasOwners,
  ({ runs }) => brokenRuns(runs),
];

function hasBounds(state: MeshState): string | null {
  const { members, tokens, leases, orders, links, nodes, residency } = state;
  const isSmall =
    members.length <= memberMaximum &&
    tokens.length <= tokenMaximum &&
    leases.length <= members.length &&
    orders.length <= orderMaximum &&
    links.length <= linkMaximum &&
    nodes.length <= members.length &&
    state.provenance.length <= provenanceMaximum &&
    residency.length <= blobMaximum &&
    residency.every(({ holders }) => holders.length > 0 && holders.length <= holderMaximum);
  return isSmall ? null : "a list has passed its bound";
}

/** Ascending without repetition: no two members, leases or facts of one name. */
function hasOneForm(state: MeshState): string | null {
  const isOne =
    ascends(state.members, ({ node }) => node) &&
    ascends(state.tokens, ({ token }) => token) &&
    ascends(state.leases, ({ node }) => node) &&
    ascends(state.links, linkName) &&
    ascends(state.provenance, ({ subject }) => subject) &&
    ascends(state.nodes, ({ node }) => node) &&
    ascends(state.residency, ({ blob }) => blob) &&
    state.residency.every(({ holders }) => ascends(holders, (each) => each));
  return isOne ? null : "a list does not ascend: a name stands in it twice, or in the wrong place";
}

function ascends<T>(list: readonly T[], nameOf: (each: T) => string): boolean {
  for (let place = 1; place < list.length; place++)
    if (nameOf(list[place - 1]!) >= nameOf(list[place]!)) return false;
  return true;
}

/** Each use has one member at most: who came with the token stays on record with it. */
function usesTokensOnce({ tokens, members }: MeshState): string | null {
  const broken = tokens.find(
    ({ token, isReusable, useCount }) =>
      (useCount > 1 && !isReusable) ||
      members.filter((member) => member.token === token).length > useCount,
  );
  return broken === undefined ? null : `token ${broken.token} was used more often than it may`;
}

function leasesOnlyTheReady({ leases, members }: MeshState): string | null {
  const isReady = (name: string) =>
    members.some(({ node, standing }) => node === name && standing === "ready");
  const broken = leases.find(({ node }) => !isReady(node));
  return broken === undefined ? null : `${broken.node} has a lease and is not ready`;
}

function leavesNothingToTheGone({ members, leases, links, nodes, residency }: MeshState) {
  const live = new Set(members.filter(isLive).map(({ node }) => node));
  const named = [
    ...leases.map(({ node }) => node),
    ...nodes.map(({ node }) => node),
    ...links.flatMap(({ from, to }) => [from, to]),
    ...residency.flatMap(({ holders }) => holders),
  ];
  const broken = named.find((node) => !live.has(node));
  return broken === undefined ? null : `${broken} is gone and holds something`;
}

function ordersAscend({ orders, fence }: MeshState): string | null {
  const fences = orders.map((order) => order.fence);
  if (fence !== null) fences.push(fence);
  const isBroken = fences.some(
    (each, place) => place > 0 && compareFences(each, fences[place - 1]!) < 0,
  );
  return isBroken ? "an order has an older fence than the one before it" : null;
}

/** Somebody who belongs to it can always change a mesh. */
function hasOwners({ mesh, owners, members }: MeshState): string | null {
  if (mesh === "") return null;
  const live = new Set(members.filter(isLive).map(({ node }) => node));
  const isOne = owners.length > 0 && owners.length <= ownerMaximum && ascends(owners, String);
  if (!isOne) return "the owners are none, too many or out of order";
  const gone = owners.find((node) => !live.has(node));
  return gone === undefined ? null : `${gone} owns the mesh and is no member`;
}

/** What must hold of every step from one state to the next. */
export function brokenStep(before: MeshState, after: MeshState): string | null {
  if (before.mesh !== "" && (before.mesh !== after.mesh || before.founder !== after.founder))
    return "a mesh became another";
  if (after.timeMs < before.timeMs || after.term < before.term) return "time went back";
  if (
    before.fence !== null &&
    (after.fence === null || compareFences(after.fence, before.fence) < 0)
  )
    return "the fence went back";
  const epochs = new Map(after.members.map(({ node, epoch }) => [node, epoch]));
  const broken = before.members.find(({ node, epoch }) => (epochs.get(node) ?? epoch) < epoch);
  if (broken !== undefined) return `the epoch of ${broken.node} went back`;
  return brokenRunStep(before.runs, after.runs);
}
