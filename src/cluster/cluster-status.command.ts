import * as v from "valibot";
import { defineCommand } from "#src/command/registry.ts";
import { isOwnMachine, parseAddress } from "#src/peer/address.ts";
import { clusterOf, isOwner, shortId } from "./command-parts.ts";
import { driftLines } from "./mesh-drift.ts";
import type { ClusterService } from "./services.ts";
import { isLive, residencyDigest, topologyDigest, type MeshState } from "./state.ts";
import { statusResult, type StatusResult } from "./status-result.ts";
import { heardVoters, neededVoters, survivalText } from "./survival.ts";
import { statusLines } from "./views/status.ts";

/** Subjects of a mesh's settings; members and tokens have their own commands. */
const settingSubjects = ["mesh", "configuration", "manifest", "posture"];

defineCommand({
  name: "cluster/status",
  summary: "Who decides, what the mesh survives, how far its log is.",
  access: "member",
  flow: "cluster",
  place: "daemon",
  parameters: v.strictObject({}),
  result: statusResult,
  examples: ["psionic cluster status", "psionic cluster status --json"],
  run: (_parameters, { services }) => statusOf(clusterOf(services)),
  view: (screen) => ({
    result(status) {
      for (const line of statusLines(status, screen.columns)) screen.print(line);
    },
  }),
});

/** The mesh as this node sees it. */
export function statusOf(cluster: ClusterService): StatusResult {
  const standing = cluster.standing();
  const state = cluster.state();
  const { mesh, term, commitIndex, appliedIndex, snapshotIndex, entryCount } = standing;
  const { manifest, posture, members, founder, owners, timeMs } = state;
  const memberCount = members.filter(isLive).length;
  return {
    ...{ mesh, founder, isFounder: founder === standing.node },
    ...{ owners: [...owners], isOwner: isOwner(cluster), term, leader: standing.leader },
    posture: { ...posture, claims: [...posture.claims] },
    node: nodePart(cluster),
    log: { commitIndex, appliedIndex, snapshotIndex, entryCount },
    digest: standing.digest,
    ...{ topologyDigest: topologyDigest(state), residencyDigest: residencyDigest(state) },
    ...quorumPart(cluster),
    survives:
      standing.standing === "out"
        ? "this node is out: the mesh goes on without it, and what stands here is what it knew last"
        : survivalText(standing.voters.length, memberCount),
    memberCount,
    standings: countStandings(state),
    manifest:
      manifest === null ? null : { digest: manifest.digest, nodeCount: manifest.nodes.length },
    drift:
      manifest === null
        ? []
        : driftLines(state, manifest).map((line) => ({ ...line, roles: [...line.roles] })),
    configuration: { ...state.configuration },
    provenance: state.provenance
      .filter(({ subject }) => settingSubjects.includes(subject))
      .map((each) => ({ ...each })),
    timeMs,
  };
}

function nodePart(cluster: ClusterService): StatusResult["node"] {
  const { node, epoch, standing, role } = cluster.standing();
  const member = cluster.state().members.find((each) => each.node === node);
  const roles = [...(member?.roles ?? [])];
  return { node, epoch, taking: standing, standing: member?.standing ?? null, role, roles };
}

function quorumPart(cluster: ClusterService) {
  const standing = cluster.standing();
  const state = cluster.state();
  const { node, spareCount } = standing;
  // Who is out decides nothing, whatever the last it read of the log says.
  const isIn = (each: string) => standing.standing !== "out" || each !== node;
  const voters = standing.voters.filter(isIn);
  const learners = standing.learners.filter(isIn);
  const { staleMs } = state.configuration;
  const everybody = { node, voters: [...voters, ...learners] };
  const heard = new Set(heardVoters(everybody, cluster.links(), staleMs));
  const shown = (each: string) => ({
    ...{ node: each, shortId: shortId(each, state) },
    ...{ isSelf: each === node, isHeard: heard.has(each) },
  });
  const heardCount = voters.filter((each) => heard.has(each)).length;
  const neededCount = neededVoters({ voters });
  return {
    ...{ voters: voters.map(shown), learners: learners.map(shown) },
    ...{ neededCount, heardCount, hasQuorum: heardCount >= neededCount, spareCount },
    undialled: undialled(voters, state).map(shown),
  };
}

/**
 * Voters with an address of their own machine alone, where others have one that leads there over a network
 * and two or more have not: what the mesh survives depends on those they meet through. Where no voter has
 * another address all are on one machine.
 */
function undialled(voters: readonly string[], { members }: MeshState): readonly string[] {
  const isHidden = (voter: string) => {
    const { places = [] } = members.find(({ node }) => node === voter)?.contact ?? {};
    return places.every((place) => isOwnMachine(parseAddress(place)));
  };
  const hidden = voters.filter(isHidden);
  return hidden.length > 1 && hidden.length < voters.length ? hidden : [];
}

function countStandings({ members }: MeshState): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { standing } of members) counts[standing] = (counts[standing] ?? 0) + 1;
  return counts;
}
