import type { MemberStanding } from "#src/cluster/state.ts";
import { linkStates } from "#src/peer/link.ts";
import type { MetricFamily, MetricSample } from "#src/surface/http/parts.ts";
import { family } from "../metric-family.ts";
import type { ClusterRuntime } from "./runtime.ts";

const standings: readonly MemberStanding[] = [
  ...(["joining", "ready", "draining", "offline", "left", "evicted"] as const),
];

/** What a scrape learns of the mesh, as this node sees it. */
export function clusterFamilies(cluster: ClusterRuntime): readonly MetricFamily[] {
  const { role, term, commitIndex, appliedIndex, snapshotIndex } = cluster.standing();
  const { members } = cluster.state();
  const links = cluster.links();
  const count = <T>(list: readonly T[], keep: (each: T) => boolean) => list.filter(keep).length;
  const one = (value: number): readonly MetricSample[] => [{ labels: {}, value }];
  return [
    family(
      "gauge",
      "psionic_cluster_members",
      "Members of the mesh, by standing.",
      standings.map((standing) => ({
        labels: { standing },
        value: count(members, (member) => member.standing === standing),
      })),
    ),
    family(
      "gauge",
      "psionic_cluster_leader",
      "1 where this node leads its mesh.",
      one(role === "leader" ? 1 : 0),
    ),
    family("gauge", "psionic_cluster_term", "Term of the mesh's log.", one(term)),
    family(
      "gauge",
      "psionic_cluster_commit_index",
      "Entries known to be committed.",
      one(commitIndex),
    ),
    family(
      "gauge",
      "psionic_cluster_applied_index",
      "Entries in this node's state.",
      one(appliedIndex),
    ),
    family(
      "gauge",
      "psionic_cluster_snapshot_index",
      "Entries that a snapshot replaced.",
      one(snapshotIndex),
    ),
    family(
      "gauge",
      "psionic_cluster_links",
      "Links to other members, by state.",
      linkStates.map((state) => ({
        labels: { state },
        value: count(links, (link) => link.state === state),
      })),
    ),
    family(
      "counter",
      "psionic_cluster_messages_refused_total",
      "Messages and dials between members that were refused, by code.",
      Object.entries(cluster.refusedMessages()).map(([code, value]) => ({
        ...{ labels: { code }, value },
      })),
    ),
    family(
      "counter",
      "psionic_cluster_newcomers_refused_total",
      "Nodes that asked to join and were refused here.",
      one(cluster.refusalCount),
    ),
  ];
}
