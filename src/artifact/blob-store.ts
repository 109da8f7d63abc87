import { join } from "node:path";
import { digestBytes, type Digest } from "#src/codec/digest.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { BlobIndex, doomLifetimeMs, type Blob } from "./blob-index.ts";
import type { BlobKind, Layout } from "./layout.ts";
import { chunkBytesMaximum, manifestBytesMaximum } from "./manifest.ts";
import type { ArtifactParts } from "./parts.ts";

/** How often whoever wants a blob that is being removed looks again. */
const doomPollMs = 20;
/** Files looked at at the same time. */
const statConcurrency = 32;

/**
 * Chunks and manifests as files named by their digest. A file appears by renaming a whole, synced draft, so
 * what stands under a digest was once right; every read proves that it still is.
 */
export class BlobStore {
  readonly index: BlobIndex;
  readonly layout: Layout;
  readonly #folders = new Map<string, Promise<void>>();
  readonly #unsynced = new Set<string>();

  constructor(
    readonly parts: ArtifactParts,
    /** Told of each blob that was set aside, with its name in `damaged/`. */
    readonly onDamage: (kind: BlobKind, digest: Digest, name: string) => Promise<void>,
  ) {
    this.index = new BlobIndex(parts);
    this.layout = parts.layout;
  }

  /**
   * The bytes under a digest, proven. Refused with `artifact_unknown` where there are none, and with
   * `artifact_damaged` where they are not what the digest says; those are set aside.
   */
  async read(kind: BlobKind, digest: Digest): Promise<Uint8Array> {
    const path = this.layout.blob(kind, digest);
    const status = await this.parts.disk.stat(path);
    if (status === null) throw unknownBlob(digest);
    const maximum = kind === "chunks" ? chunkBytesMaximum : manifestBytesMaximum;
    if (status.kind === "file" && status.sizeBytes <= maximum) {
      const bytes = await this.parts.disk.readRange(path, 0, status.sizeBytes);
      if (digestBytes(bytes) === digest) return bytes;
    }
    throw await this.#setAside(kind, digest);
  }

  /** Which of the blobs are here with their size, told to collections as wanted. */
  async present(blobs: readonly Blob[]): Promise<Set<Digest>> {
    await this.#touchAll(blobs);
    const here = new Set<Digest>();
    const absent: Blob[] = [];
    for (let start = 0; start < blobs.length; start += statConcurrency)
      await Promise.all(
        blobs.slice(start, start + statConcurrency).map(async (blob) => {
          const status = await this.parts.disk.stat(this.layout.blob(blob.kind, blob.digest));
          const isHere = status?.kind === "file" && status.sizeBytes === blob.sizeBytes;
          if (isHere) here.add(blob.digest);
          else absent.push(blob);
        }),
      );
    this.index.forget(absent);
    return here;
  }

  /**
   * Puts bytes, which the caller has found to be what the digest says, under it: draft, sync, rename. The row
   * follows with `record`; a file without one is found by the next look.
   */
  async write(kind: BlobKind, digest: Digest, bytes: Uint8Array): Promise<void> {
    const { disk } = this.parts;
    const shard = this.layout.shard(kind, digest);
    await Promise.all([this.#makeFolder(this.layout.drafts), this.#makeFolder(shard)]);
    const draft = join(this.layout.drafts, this.parts.random.bytes(16).toHex());
    try {
      const file = await disk.create(draft);
      try {
        await file.write(bytes);
        await file.sync();
      } finally {
        await file.close();
      }
      await disk.rename(draft, this.layout.blob(kind, digest));
    } catch (error) {
      await disk.remove(draft).catch(() => {});
      throw error;
    }
    this.#unsynced.add(shard);
  }

  /** Tells the index of a blob just written; one that a collection was removing is written again. */
  async record(blob: Blob, bytes: Uint8Array): Promise<void> {
    if (this.index.touch([blob]).length === 0) return;
    await this.#touchAll([blob]);
    await this.write(blob.kind, blob.digest, bytes);
  }

  /** Stores bytes of whose digest the caller is sure, once. Gives whether they were new. */
  async put(blob: Blob, bytes: Uint8Array): Promise<boolean> {
    if ((await this.present([blob])).has(blob.digest)) return false;
    await this.write(blob.kind, blob.digest, bytes);
    await this.record(blob, bytes);
    return true;
  }

  /** Makes the names of everything written so far durable. */
  async syncFolders(): Promise<void> {
    const shards = [...this.#unsynced];
    this.#unsynced.clear();
    const kinds: readonly BlobKind[] = ["chunks", "manifests"];
    const written = kinds.filter((kind) =>
      shards.some((shard) => shard.startsWith(this.layout.kindFolder(kind))),
    );
    await Promise.all(shards.map((shard) => this.parts.disk.syncDirectory(shard)));
    for (const kind of written) await this.parts.disk.syncDirectory(this.layout.kindFolder(kind));
    if (written.length > 0) await this.parts.disk.syncDirectory(this.layout.root);
  }

  async #touchAll(blobs: readonly Blob[]): Promise<void> {
    const giveUpMs = this.parts.clock.monotonicMs() + 2 * doomLifetimeMs;
    let doomed = this.index.touch(blobs);
    while (doomed.length > 0) {
      if (this.parts.clock.monotonicMs() > giveUpMs) throw busyRemoving();
      await this.parts.clock.sleep(doomPollMs);
      doomed = this.index.touch(doomed);
    }
  }

  #makeFolder(path: string): Promise<void> {
    const known = this.#folders.get(path);
    if (known !== undefined) return known;
    const made = this.parts.disk.makeDirectory(path);
    this.#folders.set(path, made);
    made.catch(() => this.#folders.delete(path));
    return made;
  }

  async #setAside(kind: BlobKind, digest: Digest): Promise<Refusal> {
    const aside = `${kind}-${digest}-${this.parts.random.bytes(4).toHex()}`;
    await this.#makeFolder(this.layout.damaged);
    await this.parts.disk.rename(this.layout.blob(kind, digest), join(this.layout.damaged, aside));
    this.index.forget([{ kind, digest }]);
    await this.onDamage(kind, digest, aside);
    return new Refusal(
      "artifact_damaged",
      `${kind === "chunks" ? "chunk" : "manifest"} ${digest} is damaged on this disk`,
      "pull its artifact again, and check the disk",
      // Not where the home is: whoever asked over the network need not know.
      { kind, digest, setAside: aside },
    );
  }
}

export function unknownBlob(digest: Digest): Refusal {
  return new Refusal(
    "artifact_unknown",
    `nothing here has the digest ${digest}`,
    "`psionic artifact list` shows what there is",
    { digest },
  );
}

function busyRemoving(): Refusal {
  return new Refusal(
    "store_busy",
    "a collection of artifacts does not end",
    "end it and run the command again",
  );
}
