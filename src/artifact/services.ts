import type { Digest } from "#src/codec/digest.ts";
import type { Holder } from "./holder.ts";
import type { Shelf } from "./shelf.ts";

/** A live member of the mesh, as the daemon says. */
export interface MeshMember {
  readonly node: string;
  readonly isSelf: boolean;
  readonly places: readonly string[];
  readonly certificate: Digest;
}

/** Which artifacts the members of a mesh say they hold. */
export interface MeshResidency {
  readonly mesh: string;
  readonly artifacts: readonly { readonly artifact: Digest; readonly holders: readonly string[] }[];
  /** This node first, then those it reaches soonest. */
  readonly members: readonly MeshMember[];
}

/** The artifacts of this home, and the way to those of others. */
export interface ArtifactService {
  /** The home's shelf, its index brought up to date where it was lost. */
  open(): Promise<Shelf>;
  /**
   * A holder by how a person names it: `http://` or `https://` (with `#sha256=…` a pinned certificate),
   * `s3://bucket/prefix`, a daemon's socket, a folder or a home. `tokenOf` gives the bearer token for an
   * origin. Refused with `holder_wrong`.
   */
  openHolder(from: string, tokenOf: (origin: string) => string | null): Promise<Holder>;
  /**
   * What the daemon of this home knows of the artifacts of its mesh, or of one of them; null where no daemon
   * runs. Refused as the daemon refuses.
   */
  residency(artifact: Digest | null, signal: AbortSignal): Promise<MeshResidency | null>;
  /**
   * The other members of the mesh that say they hold an artifact; where none does, all others, since it may
   * not have been told yet. None where no daemon runs.
   */
  openMembers(artifact: Digest, signal: AbortSignal): Promise<readonly Holder[]>;
}

declare module "#src/command/define.ts" {
  interface Services {
    readonly artifacts: ArtifactService;
  }
}
