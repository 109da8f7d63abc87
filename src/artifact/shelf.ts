import { join } from "node:path";
import type { Digest } from "#src/codec/digest.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import type { Blob } from "./blob-index.ts";
import { BlobStore, unknownBlob } from "./blob-store.ts";
import { Catalog, type Origin } from "./catalog.ts";
import { Holds } from "./holds.ts";
import { KeptArtifacts, type Keep } from "./kept.ts";
import type { BlobKind } from "./layout.ts";
import { digestShape, distinctChunks, parseManifest, type NamedManifest } from "./manifest.ts";
import type { ArtifactParts } from "./parts.ts";
import { Pointers } from "./pointers.ts";

/** Disk that is always left free: this much, or a twentieth of a small file system. */
const reserveBytes = 64 * 1024 * 1024;

/** The artifacts of a home: files, index, names and who works on them, held together. */
export class Shelf {
  readonly blobs: BlobStore;
  readonly catalog: Catalog;
  readonly pointers: Pointers;
  readonly holds: Holds;
  readonly kept: KeptArtifacts;
  #ready: Promise<void> | null = null;

  constructor(readonly parts: ArtifactParts) {
    this.blobs = new BlobStore(parts, (kind, digest, name) => this.#onDamage(kind, digest, name));
    this.catalog = new Catalog(parts.store);
    this.pointers = new Pointers(parts);
    this.holds = new Holds(parts, this.blobs.index);
    this.kept = new KeptArtifacts(parts.store);
  }

  /** Makes the index from the files where the database is new and the files are not. */
  ready(): Promise<void> {
    return (this.#ready ??= this.#makeReady());
  }

  async #makeReady(): Promise<void> {
    const sql = "SELECT 1 FROM artifact_state";
    if (this.parts.store().get(sql) !== null) return;
    if ((await this.parts.disk.stat(this.parts.layout.root)) !== null) await this.rebuild();
  }

  /**
   * Brings the index in line with the files: rows for files that have none, none for files that are gone,
   * names from their files. Manifests are read and checked, chunks only looked at.
   */
  async rebuild(): Promise<void> {
    const { disk, layout } = this.parts;
    const found = new Map<string, Blob>();
    for (const kind of ["manifests", "chunks"] as const)
      for (const shard of await disk.list(layout.kindFolder(kind)))
        for (const file of await disk.list(join(layout.kindFolder(kind), shard.name))) {
          const isBlob = file.kind === "file" && digestShape.test(file.name);
          if (!isBlob || !file.name.startsWith(shard.name)) continue;
          const blob = { kind, digest: file.name, sizeBytes: file.sizeBytes };
          found.set(`${kind}/${file.name}`, blob);
          this.blobs.index.adopt(blob, file.modifiedMs);
        }
    const { index } = this.blobs;
    const missing = ({ kind, digest }: Blob) => !found.has(`${kind}/${digest}`);
    const gone = index.all().filter(missing);
    // Looked at again: what was written since the listing is not gone.
    index.forget(await this.#stillAbsent(gone));
    for (const blob of found.values()) if (blob.kind === "manifests") await this.#catalogue(blob);
    const names = await this.pointers.readFiles();
    this.parts.store().transaction(() => {
      index.nextTick();
      for (const pointer of names)
        if (this.pointers.get(pointer.name) === null) this.pointers.put(pointer);
    });
  }

  async #stillAbsent(blobs: readonly Blob[]): Promise<Blob[]> {
    const absent: Blob[] = [];
    for (const blob of blobs) {
      const path = this.parts.layout.blob(blob.kind, blob.digest);
      if ((await this.parts.disk.stat(path)) === null) absent.push(blob);
    }
    return absent;
  }

  /** A row for a manifest that has none; whole where all its chunks are here. A pull's has none yet. */
  async #catalogue({ digest }: Blob): Promise<void> {
    const store = this.parts.store();
    const isPulled = store.get("SELECT 1 FROM artifact_pull WHERE artifact = ?", digest) !== null;
    if (isPulled) return;
    try {
      const named = await this.manifest(digest);
      const isWhole = distinctChunks(named.manifest).every((chunk) =>
        this.blobs.index.has("chunks", chunk.digest),
      );
      const known = this.catalog.get(digest);
      if (known === null) this.catalog.put(named, "found", this.blobs.index.nowMs(), isWhole);
      else if (known.isWhole && !isWhole) this.catalog.setWhole(digest, false);
    } catch (error) {
      // Damaged or of no format: set aside or left alone, and nobody's artifact.
      if (!(error instanceof Refusal)) throw error;
    }
  }

  /** The manifest of an artifact. Refused with `artifact_unknown`, `artifact_damaged`. */
  async manifest(digest: Digest): Promise<NamedManifest> {
    return parseManifest(await this.blobs.read("manifests", digest));
  }

  /** A chunk or manifest for whoever asks by digest: proven bytes. Refused with `artifact_unknown`. */
  async readBlob(digest: Digest): Promise<{ readonly kind: BlobKind; readonly bytes: Uint8Array }> {
    for (const kind of ["chunks", "manifests"] as const)
      if ((await this.parts.disk.stat(this.parts.layout.blob(kind, digest))) !== null)
        return { kind, bytes: await this.blobs.read(kind, digest) };
    throw unknownBlob(digest);
  }

  /** Enters an artifact all of whose blobs are here for work that keeps it. Durable when it returns. */
  async enterKept(
    named: NamedManifest,
    origin: Exclude<Origin, "found">,
    keep: Keep,
  ): Promise<void> {
    await this.blobs.syncFolders();
    this.parts.store().transaction(() => {
      this.catalog.put(named, origin, this.blobs.index.nowMs());
      this.kept.put(named.digest, keep);
      this.parts.store().run("DELETE FROM artifact_pull WHERE artifact = ?", named.digest);
    });
  }

  /**
   * Enters an artifact all of whose blobs are here, with its name, journal entry and receipt, in one
   * transaction. Durable when it returns.
   */
  async enter(
    named: NamedManifest,
    origin: Exclude<Origin, "found">,
    name: string | null,
    facts: Readonly<Record<string, unknown>>,
  ): Promise<void> {
    await this.blobs.syncFolders();
    const receipts = await this.parts.receipts.open();
    const sinceMs = this.blobs.index.nowMs();
    const pointer = name === null ? null : { name, artifact: named.digest, sinceMs };
    if (pointer !== null) await this.pointers.write(pointer);
    const { sizeBytes, chunks, mediaType } = named.manifest;
    const body = { sizeBytes, chunkCount: chunks.length, mediaType, name, ...facts };
    this.parts.store().transaction(() => {
      this.catalog.put(named, origin, sinceMs);
      if (pointer !== null) this.pointers.put(pointer);
      this.parts.store().run("DELETE FROM artifact_pull WHERE artifact = ?", named.digest);
      this.parts.journal().append(`artifact.${origin}`, named.digest, { sizeBytes, name });
      receipts.append(`artifact.${origin}`, named.digest, body);
    });
  }

  /**
   * Refuses work for which there is no room before it starts: `artifact_quota` where the home's artifacts
   * would pass the quota, `disk_full` where the disk has not got it. `promisedBytes` are what pulls under way
   * have still to fetch.
   */
  async checkRoom(
    neededBytes: number,
    quotaBytes: number | null,
    promisedBytes = 0,
  ): Promise<void> {
    if (neededBytes === 0) return;
    const { disk, layout } = this.parts;
    const usedBytes = this.blobs.index.usedBytes() + promisedBytes;
    if (quotaBytes !== null && usedBytes + neededBytes > quotaBytes)
      throw new Refusal(
        "artifact_quota",
        `${neededBytes} bytes more would pass the quota of ${quotaBytes}; ${usedBytes} are used`,
        "take what is not needed away with `psionic artifact gc`, or raise --quota",
        { neededBytes, usedBytes, quotaBytes },
      );
    await disk.makeDirectory(layout.root);
    const freeBytes = await disk.freeBytes(layout.root);
    const totalBytes = await disk.totalBytes?.(layout.root);
    const reserved = Math.min(reserveBytes, Math.floor((totalBytes ?? Infinity) / 20));
    if (neededBytes + reserved > freeBytes)
      throw new Refusal(
        "disk_full",
        `the disk has ${freeBytes} bytes free; ${neededBytes} and ${reserved} to spare are needed`,
        "free some space and run it again",
        { neededBytes, freeBytes, reservedBytes: reserved },
      );
  }

  async #onDamage(kind: BlobKind, digest: Digest, name: string): Promise<void> {
    this.parts.journal().append("artifact.damaged", digest, { kind, setAside: name });
    if (kind === "manifests") return this.catalog.setWhole(digest, false);
    for (const artifact of this.catalog.digests()) {
      const named = await this.manifest(artifact).catch(() => null);
      if (named?.manifest.chunks.includes(digest)) this.catalog.setWhole(artifact, false);
    }
  }
}
