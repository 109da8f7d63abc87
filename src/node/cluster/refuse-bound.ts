import type { ClusterStanding } from "#src/cluster/services.ts";
import { isLive, type MeshState } from "#src/cluster/state.ts";
import { Refusal } from "#src/refusal/refusal.ts";

/** Refuses a node that may not leave its mesh for the wanted one by joining, with `cluster_member`. */
export function refuseBound(
  { mesh, standing, node }: ClusterStanding,
  { members }: MeshState,
  founder: string,
  wanted: string,
): void {
  const isOwn = founder === node;
  if (mesh === wanted && isOwn && standing !== "out")
    throw new Refusal(
      "cluster_member",
      `${mesh} is this node's own mesh`,
      "type the line on the machine that is to join it",
      { mesh },
    );
  const others = members.filter((each) => isLive(each) && each.node !== node);
  if (standing !== "member" || others.length === 0) return;
  throw new Refusal(
    "cluster_member",
    `this node is a member of the mesh ${mesh}, with ${others.length} other${others.length === 1 ? "" : "s"}`,
    isOwn
      ? "it founded that mesh: the others leave it first (`psionic cluster leave` there), or one of them is made an owner and this one leaves (`psionic node own NODE`)"
      : "`psionic cluster leave` takes it out of that one first",
    { mesh, others: others.length },
  );
}
