import { digestJson } from "#src/codec/digest.ts";
import { deny } from "./deny.ts";
import type { CommandOf } from "./event.ts";
import { isLive, type Manifest, type MeshState } from "./state.ts";

/** Takes the operator's description in. Members outside it stay, and are shown as drift. */
export function describeMesh(state: MeshState, { manifest }: CommandOf<"manifest-set">): MeshState {
  const nodes = manifest.nodes.toSorted((a, b) => (a.node < b.node ? -1 : 1));
  const twice = nodes.find(({ node }, place) => node === nodes[place + 1]?.node);
  if (twice !== undefined)
    deny("manifest_outside", `${twice.node} stands twice in the manifest`, "name each node once");
  const described = { nodes, policies: manifest.policies.toSorted() };
  return { ...state, manifest: { ...described, digest: digestJson(described) } };
}

export interface Drift {
  /** Members that the manifest does not name with their key and roles. */
  readonly outside: readonly string[];
  /** Nodes it names that are no members. */
  readonly absent: readonly string[];
}

/** How the mesh differs from its description. */
export function driftOf({ members }: MeshState, { nodes }: Manifest): Drift {
  const live = members.filter(isLive);
  const isNamed = ({ node, key, roles }: (typeof live)[number]) =>
    nodes.some(
      (each) =>
        each.node === node && each.key === key && roles.every((role) => each.roles.includes(role)),
    );
  const isThere = (node: string) => live.some((member) => member.node === node);
  return {
    outside: live.filter((member) => !isNamed(member)).map(({ node }) => node),
    absent: nodes.filter(({ node }) => !isThere(node)).map(({ node }) => node),
  };
}

/** Sets what the mesh says of itself; never more than it can show. */
export function pose(
  state: MeshState,
  { posture: name, discovery, claims }: CommandOf<"posture-set">,
): MeshState {
  const posture = { posture: name, discovery, claims };
  const { manifest } = state;
  if (name === "compute-market")
    deny(
      "compute_market_refused",
      "strangers' results are neither attested nor settled here, and nothing isolates their work",
      "say what it is: trusted-lan, configured-peers or attested-peers",
    );
  if (name === "trusted-lan") return { ...state, posture };
  const drift = manifest === null ? null : driftOf(state, manifest);
  if (drift === null || drift.outside.length > 0)
    deny(
      "posture_unfounded",
      `${name} asks that a manifest names every member`,
      "set a manifest first, and evict who is not in it",
    );
  if (name === "attested-peers" && claims.length === 0)
    deny("posture_unfounded", "attested-peers asks for claims, and none is named", "name one");
  return { ...state, posture };
}
