import { join } from "node:path";
import type { Disk } from "#src/port/disk.ts";
import type { Digest } from "#src/codec/digest.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import {
  Gathered,
  holderFailed,
  holderLacks,
  wrongLength,
  type Asking,
  type Holder,
} from "./holder.ts";
import { blobPath, type BlobKind } from "./layout.ts";

/** What is read at a time, so that a slow disk is not taken for a dead one. */
const pieceBytes = 1024 * 1024;

/** A folder laid out as a home's `artifacts/`: a drive somebody brought, another home on this machine. */
export class FolderHolder implements Holder {
  constructor(
    readonly disk: Disk,
    readonly root: string,
    readonly name: string,
  ) {}

  async fetchManifest(digest: Digest, maximumBytes: number, asking: Asking): Promise<Uint8Array> {
    const sizeBytes = await this.#size("manifests", digest);
    if (sizeBytes > maximumBytes) throw wrongLength(this.name, `a manifest of ${sizeBytes} bytes`);
    const bytes = new Uint8Array(sizeBytes);
    await this.#read("manifests", digest, bytes, asking);
    return bytes;
  }

  async fetchChunk(digest: Digest, into: Uint8Array, asking: Asking): Promise<void> {
    const sizeBytes = await this.#size("chunks", digest);
    if (sizeBytes !== into.byteLength)
      throw wrongLength(this.name, `a chunk of ${sizeBytes} bytes`);
    await this.#read("chunks", digest, into, asking);
  }

  async #size(kind: BlobKind, digest: Digest): Promise<number> {
    const status = await this.#try(() => this.disk.stat(join(this.root, blobPath(kind, digest))));
    if (status?.kind !== "file") throw holderLacks(this.name, kind, digest);
    return status.sizeBytes;
  }

  async #read(kind: BlobKind, digest: Digest, into: Uint8Array, asking: Asking): Promise<void> {
    const gathered = new Gathered(into, asking, this.name);
    const path = join(this.root, blobPath(kind, digest));
    for (let offset = 0; offset < into.byteLength; offset += pieceBytes) {
      asking.signal.throwIfAborted();
      const length = Math.min(pieceBytes, into.byteLength - offset);
      gathered.add(await this.#try(() => this.disk.readRange(path, offset, length)));
    }
    gathered.requireFull();
  }

  /** What this disk refuses is a fault of the holder, not of the home. */
  async #try<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (error instanceof Refusal) throw holderFailed(this.name, error.message);
      throw error;
    }
  }
}
