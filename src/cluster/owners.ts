import { ownerMaximum } from "./bounds.ts";
import { deny } from "./deny.ts";
import type { CommandOf } from "./event.ts";
import { liveMember, memberOf } from "./members.ts";
import type { MeshState } from "./state.ts";

/** Makes a member one of those whose owners answer for the mesh, or takes that away; never the last one's. */
export function setOwner(state: MeshState, { node, isOwner }: CommandOf<"owner-set">): MeshState {
  const { owners } = state;
  if (owners.includes(node) === isOwner) {
    if (memberOf(state, node) === undefined) liveMember(state, node);
    return state;
  }
  if (!isOwner) {
    if (owners.length === 1)
      deny("owner_last", `${node} is the only owner of this mesh`, "make another one first");
    return { ...state, owners: owners.filter((each) => each !== node) };
  }
  liveMember(state, node);
  if (owners.length >= ownerMaximum)
    deny("mesh_full", `the mesh has ${ownerMaximum} owners`, "take that from another first");
  return { ...state, owners: [...owners, node].toSorted() };
}

/** The one that went on when the deciders were lost owns the mesh, whoever owned it before. */
export function recover(state: MeshState, { node }: CommandOf<"mesh-recovered">): MeshState {
  liveMember(state, node);
  const others = state.owners.filter((each) => each !== node).slice(0, ownerMaximum - 1);
  return { ...state, owners: [...others, node].toSorted() };
}
