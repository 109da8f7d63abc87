import { join } from "node:path";
import type { Digest } from "#src/codec/digest.ts";

/**
 * Where things lie in a home's `artifacts/`, and by the same names in a folder or bucket that serves as
 * a holder. Two letters of the digest make 256 folders, so that no folder has more than thousands.
 */
export type BlobKind = "chunks" | "manifests";

/** `chunks/ab/abcd…`: below the home's folder, and the key in a bucket. */
export function blobPath(kind: BlobKind, digest: Digest): string {
  return `${kind}/${digest.slice(0, 2)}/${digest}`;
}

export class Layout {
  constructor(
    /** The home's `artifacts/`. */
    readonly root: string,
  ) {}

  blob(kind: BlobKind, digest: Digest): string {
    return join(this.root, blobPath(kind, digest));
  }

  kindFolder(kind: BlobKind): string {
    return join(this.root, kind);
  }

  shard(kind: BlobKind, digest: Digest): string {
    return join(this.root, kind, digest.slice(0, 2));
  }

  /** Half-written files; whatever is in it may be removed once nobody works. */
  get drafts(): string {
    return join(this.root, "drafts");
  }

  /** What was not what its digest says, kept to be looked at. */
  get damaged(): string {
    return join(this.root, "damaged");
  }

  /** One file for each name, so that names outlive the database. */
  get pointers(): string {
    return join(this.root, "pointers");
  }
}
