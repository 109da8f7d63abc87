import type { Digest } from "#src/codec/digest.ts";
import type { Row, Store } from "#src/port/store.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { digestShape, type NamedManifest } from "./manifest.ts";

/** How an artifact came here; `found` when only its files told of it. */
export type Origin = "added" | "pulled" | "found";

export interface ArtifactRow {
  readonly digest: Digest;
  readonly title: string | null;
  readonly mediaType: string;
  readonly sizeBytes: number;
  readonly chunkCount: number;
  /** Null for one file. */
  readonly fileCount: number | null;
  readonly origin: Origin;
  readonly sinceMs: number;
  /** False once damage was found, until it is pulled again. */
  readonly isWhole: boolean;
}

/** A shortened digest has at least so many characters. */
const prefixLengthMinimum = 8;

/** The artifacts this home holds, as rows. */
export class Catalog {
  constructor(readonly store: () => Store) {}

  get(digest: Digest): ArtifactRow | null {
    const row = this.store().get("SELECT * FROM artifact WHERE digest = ?", digest);
    return row === null ? null : asArtifact(row);
  }

  /** Newest first. */
  all(count: number): ArtifactRow[] {
    return this.store()
      .all("SELECT * FROM artifact ORDER BY since_ms DESC, digest LIMIT ?", count)
      .map(asArtifact);
  }

  digests(): Digest[] {
    return this.store()
      .all("SELECT digest FROM artifact ORDER BY digest")
      .map((row) => String(row["digest"]));
  }

  /** Of the artifacts that are whole and that nobody keeps for work of its own, the newest first. */
  wholeDigests(count: number): Digest[] {
    return this.store()
      .all(
        `SELECT digest FROM artifact WHERE is_whole = 1
         AND digest NOT IN (SELECT artifact FROM artifact_kept) ORDER BY since_ms DESC, digest LIMIT ?`,
        count,
      )
      .map((row) => String(row["digest"]));
  }

  put({ digest, manifest }: NamedManifest, origin: Origin, sinceMs: number, isWhole = true): void {
    this.store().run(
      `INSERT INTO artifact (digest, title, media_type, size_bytes, chunk_count, file_count, origin, since_ms, is_whole)
       VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
       ON CONFLICT (digest) DO UPDATE SET is_whole = ?9, since_ms = ?8`,
      ...[digest, manifest.title ?? null, manifest.mediaType, manifest.sizeBytes],
      ...[manifest.chunks.length, manifest.files?.length ?? null, origin, sinceMs],
      isWhole ? 1 : 0,
    );
  }

  setWhole(digest: Digest, isWhole: boolean): void {
    this.store().run("UPDATE artifact SET is_whole = ? WHERE digest = ?", isWhole ? 1 : 0, digest);
  }

  /**
   * The artifact meant by a name, a digest or the beginning of one. Refused with `artifact_unknown`, also
   * where several begin so.
   */
  resolve(words: string): Digest {
    const named = this.store().get("SELECT artifact FROM artifact_pointer WHERE name = ?", words);
    if (named !== null) return String(named["artifact"]);
    if (digestShape.test(words)) return words;
    const isPrefix = words.length >= prefixLengthMinimum && /^[0-9a-f]+$/.test(words);
    const found = isPrefix
      ? this.store().all(
          "SELECT digest FROM artifact WHERE substr(digest, 1, length(?1)) = ?1 LIMIT 2",
          words,
        )
      : [];
    if (found.length === 1) return String(found[0]!["digest"]);
    throw new Refusal(
      "artifact_unknown",
      found.length > 1
        ? `several artifacts begin with ${words}`
        : `${words} names no artifact of this home`,
      "`psionic artifact list` shows what there is",
      { artifact: words },
    );
  }
}

const asArtifact = (row: Row): ArtifactRow => ({
  digest: String(row["digest"]),
  title: row["title"] === null ? null : String(row["title"]),
  mediaType: String(row["media_type"]),
  sizeBytes: Number(row["size_bytes"]),
  chunkCount: Number(row["chunk_count"]),
  fileCount: row["file_count"] === null ? null : Number(row["file_count"]),
  origin: String(row["origin"]) as Origin,
  sinceMs: Number(row["since_ms"]),
  isWhole: Number(row["is_whole"]) === 1,
});
