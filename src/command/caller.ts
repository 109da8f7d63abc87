/** Who may call: `safe` everyone, then members of the mesh, trusted members, the owner. */
export type Access = "safe" | "member" | "trusted" | "owner";

/** How far a caller is trusted, from nothing to everything. */
export const trustTiers = ["blocked", "provisional", "member", "trusted", "owner"] as const;
export type Trust = (typeof trustTiers)[number];

/** Another node, known by the key that signed its call. */
export interface PeerCaller {
  readonly provenance: "peer";
  /** 32 bytes as lowercase hexadecimal: the key that signed, never one named in a body. */
  readonly publicKey: string;
  readonly nodeId: string;
  /**
   * What this node's owner registered for it; else `member` for a member of this node's mesh, and
   * `provisional` for a key nobody has met.
   */
  readonly registered: Trust;
  /** The grant that came with the call, as it came: judged by the gate; null without one. */
  readonly grant: unknown;
}

/**
 * Who calls, by how the call arrived. A local caller (a terminal, the local socket) owns
 * the node by sitting at it; `token` came over HTTP with the operator's token, `anonymous` without.
 */
export type Caller =
  | { readonly provenance: "local" }
  | { readonly provenance: "token" }
  | { readonly provenance: "anonymous" }
  | PeerCaller;
