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
      deny("owner_last", `${node} is the only owner of this mesh`, "Make another one first.");
    return { ...state, owners: owners.filter((each) => each !== node) };
  }
  liveMember(state, node);
  if (owners.length >= ownerMaximum)
    deny("mesh_full", `The mesh has ${ownerMaximum} owners`, "Take that from another first.");
  return { ...state, owners: [...owners, node].toSorted() };
}

/** Owners neither leave nor are evicted: a mesh without one could never change again. */
export function requireNotOwner({ owners }: MeshState, node: string): void {
  if (!owners.includes(node)) return;
  deny(
    "member_standing_wrong",
    `${node} is an owner of this mesh`,
    owners.length === 1
      ? "Make another node an owner, then take that from this one: `psionic node own NODE`."
      : "Take that from it first: `psionic node own NODE --no` on an owner.",
  );
}
