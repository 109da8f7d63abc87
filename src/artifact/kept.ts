import type { Digest } from "#src/codec/digest.ts";
import type { Store } from "#src/port/store.ts";

/** What another room keeps for work of its own: who, as what, and where in its order. */
export interface Keep {
  /** Such as `run r1a2b3c4`. */
  readonly owner: string;
  /** Such as `revision`. */
  readonly kind: string;
  readonly number: number;
}

export interface KeptArtifact extends Keep {
  readonly artifact: Digest;
}

/**
 * Artifacts that work under way keeps and lets go by itself: they come and go by the minute, so they have no
 * names, receipts or journal entries, and are not announced to the mesh. No collection takes them.
 */
export class KeptArtifacts {
  constructor(readonly store: () => Store) {}

  put(artifact: Digest, { owner, kind, number }: Keep): void {
    this.store().run(
      "INSERT OR REPLACE INTO artifact_kept (artifact, owner, kind, number) VALUES (?, ?, ?, ?)",
      ...[artifact, owner, kind, number],
    );
  }

  has(artifact: Digest): boolean {
    return this.store().get("SELECT 1 FROM artifact_kept WHERE artifact = ?", artifact) !== null;
  }

  /** Of an owner, by ascending number; of one kind where it is named. */
  of(owner: string, kind: string | null = null): KeptArtifact[] {
    return this.store()
      .all(
        "SELECT * FROM artifact_kept WHERE owner = ?1 AND (?2 IS NULL OR kind = ?2) ORDER BY number, artifact",
        ...[owner, kind],
      )
      .map((row) => ({
        artifact: String(row["artifact"]),
        owner: String(row["owner"]),
        kind: String(row["kind"]),
        number: Number(row["number"]),
      }));
  }

  digests(): Digest[] {
    return this.store()
      .all("SELECT DISTINCT artifact FROM artifact_kept")
      .map((row) => String(row["artifact"]));
  }

  letGo(artifact: Digest, owner: string): void {
    this.store().run(
      "DELETE FROM artifact_kept WHERE artifact = ? AND owner = ?",
      ...[artifact, owner],
    );
  }
}
