import type { Claims, LinkRow, MeasuredLink, MeshStatus, NodeRow } from "./mesh-answers.ts";

/** A mesh as one of its nodes answers: five members in every state a link can have, and one evicted. */

const meshId = `psm${"k7q2".repeat(8)}`;
const idOf = (letters: string) => `psn${letters.repeat(32).slice(0, 32)}`;
export const fixtureIds = {
  self: idOf("ab3c"),
  relayed: idOf("dq7f"),
  degraded: idOf("hm5k"),
  refused: idOf("pr2t"),
  offline: idOf("vz6x"),
  evicted: idOf("yw4b"),
};
const atMs = Date.UTC(2026, 10, 21, 14, 0, 0);
const digest = (letter: string) => letter.repeat(64);

const claims: Claims = {
  ...{ policy: "best_effort", result: "verified", profile: "runtime/1" },
  ...{ identityDigest: digest("a"), manifestDigest: digest("b") },
  ...{ proofPosture: "best_effort", reason: null },
};

const linkTo = (node: string, changes: Partial<LinkRow>): LinkRow => ({
  ...{ node, state: "connected", path: "direct", relay: null, place: "10.0.0.7:7420" },
  ...{ reason: null, epoch: 3, silentMs: 800, failureCount: 0, nextDialMs: null },
  ...{ roundTripUs: 240, clockSkewMs: 2, bytesPerSecond: 112_000_000, lossPerMillion: 0 },
  ...{ sentBytes: 48_000, receivedBytes: 51_000, claims, ...changes },
});

const row = (node: string, changes: Partial<NodeRow>): NodeRow => ({
  ...{ node, shortId: node.slice(0, 9), isSelf: false, isFounder: false, isOwner: false },
  standing: "ready",
  ...{ sinceMs: atMs, part: "voter", roles: ["host", "coordinator", "trainer", "validator"] },
  ...{ labels: [], epoch: 3, places: ["10.0.0.7:7420"], token: "k3x7qpab" },
  leaseUntilMs: atMs + 60_000,
  facts: {
    ...{ device: "AMD EPYC 7763, 8 cores", memoryBytes: 33_554_432_000, loadPerMille: 420 },
    ...{ exactTokensPerSecond: 5_120, fastTokensPerSecond: 0, clockSkewMs: 2 },
    ...{ isReady: true, ageMs: 4_000 },
  },
  ...{ clockSkewMs: 2, blobCount: 3, isSuspected: false, link: linkTo(node, {}), ...changes },
});

export const fixtureRows: readonly NodeRow[] = [
  row(fixtureIds.self, {
    ...{ isSelf: true, isFounder: true, isOwner: true, token: null, link: null },
    ...{ clockSkewMs: null, epoch: 7 },
    labels: [{ label: "rack", value: "b4" }],
  }),
  row(fixtureIds.relayed, {
    part: "leader",
    link: linkTo(fixtureIds.relayed, {
      ...{ path: "relayed", relay: fixtureIds.degraded, place: null, roundTripUs: 41_000 },
      claims: { ...claims, result: "unavailable", identityDigest: null, manifestDigest: null },
    }),
  }),
  row(fixtureIds.degraded, {
    link: linkTo(fixtureIds.degraded, {
      ...{ state: "degraded", roundTripUs: 188_000, lossPerMillion: 70_000 },
      reason: {
        code: "link_lossy",
        message: "7 of the last hundred pings were lost",
        hint: "look at the network between the two",
      },
    }),
  }),
  row(fixtureIds.refused, {
    ...{ isSuspected: true, part: "learner", roles: ["trainer"] },
    link: linkTo(fixtureIds.refused, {
      ...{ state: "refused", path: null, roundTripUs: null, clockSkewMs: null },
      ...{ silentMs: null, bytesPerSecond: null, failureCount: 4, nextDialMs: 12_000 },
      reason: {
        code: "claims_missing",
        message: "it sends no claims, and this node requires them",
        hint: "start it with its claims, or ask for less here",
      },
      claims: {
        ...{ policy: "required", result: "refused", profile: null, proofPosture: "none" },
        ...{ identityDigest: null, manifestDigest: null, reason: "no claims came" },
      },
    }),
  }),
  row(fixtureIds.offline, {
    ...{ standing: "offline", isSuspected: true, leaseUntilMs: null, facts: null },
    link: linkTo(fixtureIds.offline, {
      ...{ state: "unreachable", path: null, roundTripUs: null, silentMs: 93_000, claims: null },
      ...{ bytesPerSecond: null, failureCount: 9, nextDialMs: 30_000, epoch: null },
      reason: {
        code: "peer_unreachable",
        message: "nobody answers at 10.0.0.7:7420",
        hint: "look whether it runs",
      },
    }),
  }),
  row(fixtureIds.evicted, { standing: "evicted", part: "none", link: null, leaseUntilMs: null }),
];

const told = (from: string, to: string, path: "direct" | "relayed"): MeasuredLink => ({
  ...{ from, to, path, class: "near", roundTripUs: 900, bytesPerSecond: 90_000_000 },
  ...{ lossPerMillion: 0, atMs },
});

export const fixtureLinks: readonly MeasuredLink[] = [
  told(fixtureIds.relayed, fixtureIds.degraded, "direct"),
  told(fixtureIds.degraded, fixtureIds.relayed, "direct"),
  told(fixtureIds.relayed, fixtureIds.refused, "relayed"),
  told(fixtureIds.self, fixtureIds.degraded, "direct"),
];

const voters = fixtureRows.slice(0, 3).map(({ node, shortId, isSelf }) => ({
  ...{ node, shortId, isSelf, isHeard: true },
}));

export const fixtureStatus = {
  ...{ mesh: meshId, founder: fixtureIds.self, isFounder: true },
  ...{ owners: [fixtureIds.self], isOwner: true },
  posture: { posture: "trusted-lan", discovery: "off", claims: [] },
  node: {
    ...{ node: fixtureIds.self, epoch: 7, taking: "member", standing: "ready" },
    ...{ role: "follower", roles: ["host", "coordinator"] },
  },
  ...{ leader: fixtureIds.relayed, term: 4 },
  log: { commitIndex: 1_204, appliedIndex: 1_204, snapshotIndex: 1_000, entryCount: 204 },
  ...{ digest: digest("c"), topologyDigest: digest("d"), residencyDigest: digest("e") },
  ...{
    voters,
    learners: [],
    neededCount: 2,
    heardCount: 3,
    hasQuorum: true,
    spareCount: 1,
    undialled: [],
  },
  survives: "3 decide: any one of them may be down or lost, and the mesh goes on",
  ...{ memberCount: 5, standings: { ready: 4, offline: 1, evicted: 1 } },
  ...{ manifest: null, drift: [], provenance: [], timeMs: atMs },
  configuration: {
    ...{ intervalMs: 5_000, staleMs: 15_000, expiryMs: 30_000, leaseMs: 60_000 },
    ...{ drainMs: 15_000, skewMs: 60_000 },
  },
} satisfies MeshStatus & Record<string, unknown>;

export const fixtureNodes = {
  ...{ mesh: meshId, node: fixtureIds.self, leader: fixtureIds.relayed, index: 1_204 },
  ...{ isFresh: false, posture: "trusted-lan", discovery: "off" },
  ...{ topologyDigest: digest("d"), residencyDigest: digest("e") },
  ...{ nodes: fixtureRows, links: fixtureLinks, hiddenCount: 0 },
};

/** A mesh of so many members that all reach each other, this node leading. */
export function manyRows(count: number): NodeRow[] {
  const letters = "abcdefghijklmnopqrstuvwxyz234567";
  return Array.from({ length: count }, (_, index) => {
    const node = idOf(`${letters[index % 32]!}${letters[Math.floor(index / 32)]!}x${index % 8}`);
    const isSelf = index === 0;
    const part = isSelf ? "leader" : index < 7 ? "voter" : "learner";
    const link = isSelf ? null : linkTo(node, {});
    return row(node, { isSelf, isFounder: isSelf, isOwner: isSelf, part, link });
  });
}
