import type { Digest } from "#src/codec/digest.ts";
import type { Store } from "#src/port/store.ts";
import type { BlobKind } from "./layout.ts";
import type { ArtifactParts } from "./parts.ts";

/** A file of the store: a chunk or a manifest. */
export interface Blob {
  readonly kind: BlobKind;
  readonly digest: Digest;
  readonly sizeBytes: number;
}

/** After so long a collection that marked a blob has died, and the mark no longer counts. */
export const doomLifetimeMs = 60_000;

/** The rows of blobs. Several processes of a home use them at the same time. */
export class BlobIndex {
  constructor(readonly parts: Pick<ArtifactParts, "store" | "clock">) {}

  get #store(): Store {
    return this.parts.store();
  }

  nowMs(): number {
    return Math.floor(this.parts.clock.wallMs());
  }

  /** The next tick: what is touched later has a higher one, whatever the clock says. */
  nextTick(): number {
    const row = this.#store.get(
      "INSERT INTO artifact_state (one, tick) VALUES (1, 1) ON CONFLICT (one) DO UPDATE SET tick = tick + 1 RETURNING tick",
    );
    return Number(row!["tick"]);
  }

  /**
   * Says that blobs are wanted now, so that no collection that began earlier takes them. Gives those that
   * a collection is removing: whoever wants them waits until they are gone and writes them anew.
   */
  touch(blobs: readonly Blob[]): readonly Blob[] {
    if (blobs.length === 0) return [];
    return this.#store.transaction(() => {
      const [nowMs, tick] = [this.nowMs(), this.nextTick()];
      return blobs.filter(
        ({ kind, digest, sizeBytes }) =>
          this.#store.run(
            `INSERT INTO artifact_blob (kind, digest, size_bytes, touched_ms, tick) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (kind, digest) DO UPDATE
             SET size_bytes = ?3, touched_ms = ?4, tick = ?5, doomed_ms = NULL
             WHERE doomed_ms IS NULL OR doomed_ms < ?6`,
            ...[kind, digest, sizeBytes, nowMs, tick, nowMs - doomLifetimeMs],
          ).changes === 0,
      );
    });
  }

  /** Forgets blobs whose files are not there. */
  forget(blobs: readonly Pick<Blob, "kind" | "digest">[]): void {
    if (blobs.length === 0) return;
    this.#store.transaction(() => {
      for (const { kind, digest } of blobs)
        this.#store.run(
          "DELETE FROM artifact_blob WHERE kind = ? AND digest = ? AND doomed_ms IS NULL",
          ...[kind, digest],
        );
    });
  }

  /** Records a file that was found without a row, as old as the file is. */
  adopt(blob: Blob, modifiedMs: number): void {
    this.#store.run(
      "INSERT INTO artifact_blob (kind, digest, size_bytes, touched_ms, tick) VALUES (?, ?, ?, ?, 0) ON CONFLICT DO NOTHING",
      ...[blob.kind, blob.digest, blob.sizeBytes, Math.floor(modifiedMs)],
    );
  }

  has(kind: BlobKind, digest: Digest): boolean {
    const sql = "SELECT 1 FROM artifact_blob WHERE kind = ? AND digest = ? AND doomed_ms IS NULL";
    return this.#store.get(sql, kind, digest) !== null;
  }

  all(): Blob[] {
    return this.#store
      .all("SELECT kind, digest, size_bytes FROM artifact_blob ORDER BY kind, digest")
      .map((row) => ({
        kind: String(row["kind"]) as BlobKind,
        digest: String(row["digest"]),
        sizeBytes: Number(row["size_bytes"]),
      }));
  }

  usedBytes(): number {
    const row = this.#store.get("SELECT coalesce(sum(size_bytes), 0) AS used FROM artifact_blob");
    return Number(row!["used"]);
  }
}
