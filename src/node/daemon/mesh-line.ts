import * as v from "valibot";
import type { Services } from "#src/command/define.ts";
import { statusResult, type StatusResult } from "#src/cluster/status-result.ts";
import type { DaemonFile } from "./daemon-file.ts";

/** How long a daemon may take to say how its mesh stands. */
const patienceMs = 2_000;

export const meshSummary = v.object({
  mesh: v.string(),
  memberCount: v.number(),
  /** How the mesh has this node; null where it does not. */
  standing: v.nullable(v.string()),
  taking: v.picklist(["member", "joining", "out"]),
  leader: v.nullable(v.string()),
  isLeader: v.boolean(),
  hasQuorum: v.boolean(),
});
export type MeshSummary = v.InferOutput<typeof meshSummary>;

/** The mesh of a running daemon at a glance; null where it does not say. */
export async function summarizeMesh(
  services: Services,
  { socket }: Pick<DaemonFile, "socket">,
  signal: AbortSignal,
): Promise<MeshSummary | null> {
  try {
    if (services.cluster !== null) {
      const { statusOf } = await import("#src/cluster/cluster-status.command.ts");
      return summaryOf(statusOf(services.cluster));
    }
    const { callDaemon } = await import("#src/surface/socket/client.ts");
    const within = AbortSignal.any([signal, AbortSignal.timeout(patienceMs)]);
    const answer = await callDaemon(socket, "cluster/status", {}, { signal: within, emit() {} });
    return summaryOf(v.parse(statusResult, answer));
  } catch {
    signal.throwIfAborted();
    // It stops, enters another mesh just now, or is of another version: its other facts are told.
    return null;
  }
}

function summaryOf({ mesh, memberCount, node, leader, hasQuorum }: StatusResult): MeshSummary {
  const { standing, taking } = node;
  const isLeader = leader === node.node;
  return { mesh, memberCount, standing, taking, leader, isLeader, hasQuorum };
}

/** The same in a line. */
export function meshText(summary: MeshSummary): string {
  const { mesh, memberCount, standing, taking, leader, isLeader, hasQuorum } = summary;
  if (taking === "out") return `out of ${mesh}: it left or was evicted; a new token takes it in`;
  if (taking === "joining") return `joining ${mesh}`;
  if (memberCount === 1) return `${mesh}, this node alone`;
  const leads = isLeader ? "leads" : `${leader?.slice(0, 9)} leads`;
  const decided =
    leader !== null && hasQuorum
      ? leads
      : "NOBODY LEADS: psionic cluster status says who is missing";
  return `${mesh}, ${memberCount} members, ${standing ?? "not in the log yet"}, ${decided}`;
}
