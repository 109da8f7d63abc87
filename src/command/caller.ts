/** Who may call: `safe` everyone, then members of the mesh, trusted members, the owner. */
export type Access = "safe" | "member" | "trusted" | "owner";

/** How far a caller is trusted, from nothing to everything. */
export type Trust = "blocked" | "provisional" | "member" | "trusted" | "owner";

/**
 * Who calls, by how the call arrived. A local caller owns the node by sitting at it; the
 * others come with the doors that can tell them apart.
 */
export type Caller =
  | { readonly provenance: "local" }
  | { readonly provenance: "token" }
  | { readonly provenance: "anonymous" }
  | { readonly provenance: "peer"; readonly registered: Trust };
