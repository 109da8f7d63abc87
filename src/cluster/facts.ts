import { blobMaximum, holderMaximum, linkMaximum } from "./bounds.ts";
import { deny } from "./deny.ts";
import type { CommandOf } from "./event.ts";
import { withElement } from "./list.ts";
import { liveMember } from "./members.ts";
import type { MeshState } from "./state.ts";

/** Digits and letters only stand in ids, so a space divides two without doubt. */
export const linkName = ({ from, to }: { readonly from: string; readonly to: string }) =>
  `${from} ${to}`;

/** What one end of a link measured of it. */
export function measureLink(state: MeshState, link: CommandOf<"link-measured">): MeshState {
  liveMember(state, link.from);
  liveMember(state, link.to);
  const links = withElement(state.links, linkName, { ...link, atMs: state.timeMs });
  if (links.length > linkMaximum)
    deny("mesh_full", `${linkMaximum} links are known`, "measure fewer of them");
  return { ...state, links };
}

export function measureNode(state: MeshState, facts: CommandOf<"node-measured">): MeshState {
  liveMember(state, facts.node);
  const nodes = withElement(state.nodes, ({ node }) => node, { ...facts, atMs: state.timeMs });
  return { ...state, nodes };
}

/** A member says that it holds a blob, or no more. A blob nobody holds is not listed. */
export function hold(
  state: MeshState,
  { node, blob, isHeld }: CommandOf<"residency-set">,
): MeshState {
  liveMember(state, node);
  const known = state.residency.find((each) => each.blob === blob)?.holders ?? [];
  const others = known.filter((each) => each !== node);
  const holders = isHeld ? withElement(others, (each) => each, node) : others;
  const rest = state.residency.filter((each) => each.blob !== blob);
  if (holders.length === 0) return { ...state, residency: rest };
  if (holders.length > holderMaximum || rest.length >= blobMaximum)
    deny("mesh_full", "as many holders or blobs are known as may be", "holders enough are known");
  return { ...state, residency: withElement(rest, (each) => each.blob, { blob, holders }) };
}
