import * as v from "valibot";
import { claimsPolicies, linkStates, proofPostures, type LinkView } from "#src/peer/link.ts";
import { shortId } from "./command-parts.ts";
import { roles } from "./event.ts";
import type { ClusterService, ClusterStanding } from "./services.ts";
import { isLive, type Member, type MeshState } from "./state.ts";

/** What is known of each member, from the state all share and the links of this node alone. */

const digestOrNull = v.nullable(v.string());
const numberOrNull = v.nullable(v.number());

/** What is known of the claims of the other end (I-5). */
export const claimsResult = v.strictObject({
  policy: v.picklist(claimsPolicies),
  result: v.picklist(["verified", "unavailable", "refused"]),
  identityDigest: digestOrNull,
  manifestDigest: digestOrNull,
  profile: v.nullable(v.string()),
  proofPosture: v.picklist(proofPostures),
  reason: v.nullable(v.string()),
});

export const reasonResult = v.strictObject({
  code: v.string(),
  message: v.string(),
  hint: v.string(),
});

/** A link as this node has it now. */
export const linkResult = v.strictObject({
  node: v.string(),
  state: v.picklist(linkStates),
  path: v.nullable(v.picklist(["direct", "relayed"])),
  relay: v.nullable(v.string()),
  place: v.nullable(v.string()),
  reason: v.nullable(reasonResult),
  epoch: numberOrNull,
  silentMs: numberOrNull,
  failureCount: v.number(),
  nextDialMs: numberOrNull,
  roundTripUs: numberOrNull,
  clockSkewMs: numberOrNull,
  bytesPerSecond: numberOrNull,
  lossPerMillion: v.number(),
  sentBytes: v.number(),
  receivedBytes: v.number(),
  claims: v.nullable(claimsResult),
});
export type LinkRow = v.InferOutput<typeof linkResult>;

/** What a node measured of itself, and how long ago that came into the log. */
const factsResult = v.strictObject({
  device: v.string(),
  memoryBytes: v.number(),
  loadPerMille: v.number(),
  exactTokensPerSecond: v.number(),
  fastTokensPerSecond: v.number(),
  clockSkewMs: v.number(),
  isReady: v.boolean(),
  ageMs: v.number(),
});

export const standings = ["joining", "ready", "draining", "offline", "left", "evicted"] as const;
/** What a member does in the agreement; `none` for whom the log's membership does not have. */
const parts = ["leader", "voter", "learner", "none"] as const;

export const nodeResult = v.strictObject({
  node: v.string(),
  /** The beginning of the id that no other member has. */
  shortId: v.string(),
  isSelf: v.boolean(),
  isFounder: v.boolean(),
  /** Whether its owner answers for the mesh: makes tokens, evicts, sets what it is. */
  isOwner: v.boolean(),
  standing: v.picklist(standings),
  sinceMs: v.number(),
  part: v.picklist(parts),
  roles: v.array(v.picklist(roles)),
  labels: v.array(v.strictObject({ label: v.string(), value: v.string() })),
  epoch: v.number(),
  places: v.array(v.string()),
  /** The join token it came with, by name; null for the founder. */
  token: v.nullable(v.string()),
  /** When its lease ends, by the coordinator's clock; null without one. */
  leaseUntilMs: numberOrNull,
  /** Null until it has told of itself. */
  facts: v.nullable(factsResult),
  /** Of its clock against this node's, by the link's pings, else by what it said of itself. */
  clockSkewMs: numberOrNull,
  /** Artifact pieces that it said it holds. */
  blobCount: v.number(),
  /** Silent for longer than the mesh's `stale`, seen from here; the log may not know it yet. */
  isSuspected: v.boolean(),
  /** Null for this node itself and where there is no link. */
  link: v.nullable(linkResult),
});
export type NodeRow = v.InferOutput<typeof nodeResult>;

/** One link as one of its ends measured it, out of the state. */
export const measuredLink = v.strictObject({
  from: v.string(),
  to: v.string(),
  roundTripUs: v.number(),
  bytesPerSecond: v.number(),
  lossPerMillion: v.number(),
  path: v.picklist(["direct", "relayed"]),
  class: v.picklist(["local", "near", "far"]),
  atMs: v.number(),
});

/** What either end of a link put into the log, of all links of the mesh. */
export function measuredLinks(
  cluster: Pick<ClusterService, "state">,
): v.InferOutput<typeof measuredLink>[] {
  return cluster.state().links.map(({ kind: _kind, ...link }) => link);
}

/** A link as plain data of its own. */
export function linkRow(view: LinkView): LinkRow {
  const { claims, reason, ...rest } = view;
  return {
    ...rest,
    reason: reason === null ? null : { ...reason },
    claims: claims === null ? null : { ...claims },
  };
}

/** All members in the state's order, those that are gone last. */
export function nodeRows(cluster: ClusterService, nowMs: number): NodeRow[] {
  const state = cluster.state();
  const context = {
    ...{ state, nowMs, standing: cluster.standing() },
    links: new Map(cluster.links().map((view) => [view.node, view])),
    blobCounts: blobCounts(state),
  };
  const rows = state.members.map((member) => nodeRow(member, context));
  const isGone = ({ standing }: NodeRow) => standing === "left" || standing === "evicted";
  return [...rows.filter((row) => !isGone(row)), ...rows.filter(isGone)];
}

interface Context {
  readonly state: MeshState;
  readonly standing: ClusterStanding;
  readonly nowMs: number;
  readonly links: ReadonlyMap<string, LinkView>;
  readonly blobCounts: ReadonlyMap<string, number>;
}

function nodeRow(member: Member, context: Context): NodeRow {
  const { state, standing } = context;
  const { node } = member;
  const isSelf = node === standing.node;
  const link = isSelf ? undefined : context.links.get(node);
  const facts = factsOf(node, context);
  return {
    ...{ node, shortId: shortId(node, state), isSelf, isFounder: node === state.founder },
    isOwner: state.owners.includes(node),
    ...{ standing: member.standing, sinceMs: member.sinceMs, part: partOf(member, standing) },
    ...{ roles: [...member.roles], labels: member.labels.map((label) => ({ ...label })) },
    ...{ epoch: member.epoch, places: [...member.contact.places], token: member.token },
    leaseUntilMs: state.leases.find((lease) => lease.node === node)?.untilMs ?? null,
    facts,
    clockSkewMs: isSelf ? null : (link?.clockSkewMs ?? facts?.clockSkewMs ?? null),
    blobCount: context.blobCounts.get(node) ?? 0,
    isSuspected: !isSelf && isLive(member) && isSilent(link, state.configuration.staleMs),
    link: link === undefined ? null : linkRow(link),
  };
}

function partOf({ node }: Member, { leader, voters, learners }: ClusterStanding): NodeRow["part"] {
  if (node === leader) return "leader";
  if (voters.includes(node)) return "voter";
  return learners.includes(node) ? "learner" : "none";
}

function factsOf(node: string, { state, nowMs }: Context): NodeRow["facts"] {
  const known = state.nodes.find((each) => each.node === node);
  if (known === undefined) return null;
  const { device, memoryBytes, loadPerMille, clockSkewMs, isReady, atMs } = known;
  const { exactTokensPerSecond, fastTokensPerSecond } = known;
  return {
    ...{ device, memoryBytes, loadPerMille, exactTokensPerSecond, fastTokensPerSecond },
    ...{ clockSkewMs, isReady, ageMs: Math.max(0, Math.floor(nowMs) - atMs) },
  };
}

/** Whether nothing was heard for longer than may be: a link that never was is silent once it is given up. */
export function isSilent(link: LinkView | undefined, staleMs: number): boolean {
  if (link === undefined) return false;
  if (link.silentMs !== null) return link.silentMs > staleMs;
  return link.state === "unreachable" || link.state === "refused";
}

function blobCounts({ residency }: MeshState): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { holders } of residency)
    for (const node of holders) counts.set(node, (counts.get(node) ?? 0) + 1);
  return counts;
}
