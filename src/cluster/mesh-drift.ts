import type { Manifest, MeshState } from "./state.ts";
import { driftOf } from "./posture.ts";

/** One difference between a mesh and its description, and why it is one. */
export interface DriftLine {
  readonly node: string;
  readonly why: "not_described" | "other_key" | "more_roles" | "not_member";
  /** Roles it has beyond its description. */
  readonly roles: readonly string[];
}

/** How the mesh differs from a description, node by node. */
export function driftLines(
  state: MeshState,
  manifest: Pick<Manifest, "nodes" | "policies" | "digest">,
): readonly DriftLine[] {
  const { outside, absent } = driftOf(state, manifest);
  return [
    ...outside.map((node) => outsideLine(node, state, manifest)),
    ...absent.map((node) => ({ node, why: "not_member" as const, roles: [] })),
  ];
}

function outsideLine(
  node: string,
  { members }: MeshState,
  { nodes }: Pick<Manifest, "nodes">,
): DriftLine {
  const member = members.find((each) => each.node === node)!;
  const described = nodes.find((each) => each.node === node);
  if (described === undefined) return { node, why: "not_described", roles: [] };
  if (described.key !== member.key) return { node, why: "other_key", roles: [] };
  const roles = member.roles.filter((role) => !described.roles.includes(role));
  return { node, why: "more_roles", roles };
}
