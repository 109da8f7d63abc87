/**
 * The files of a checkpoint or a revision: tensors hashed while they are written, and a finished directory
 * that takes its place in one step.
 */
import type { Digest } from "#src/codec/digest.ts";
import { merkleBlockBytes, merkleLeaf, merkleRoot } from "#src/codec/merkle.ts";
import { safetensorsHead } from "#src/codec/safetensors.ts";
import type { Memory } from "#src/kernel/contract.ts";
import type { Disk } from "#src/port/disk.ts";
import {
  asSafetensors,
  blocksFile,
  type CheckpointPart,
  displacedPrefix,
  pointerFile,
} from "./checkpoint.ts";
import { elementCount } from "./executor.ts";
import type { TensorRoot } from "./state-digest.ts";

/** Bytes hashed and written before other work gets its turn. */
export const writeBytes = 8 * 1024 * 1024;

/** Streams tensors into files and collects their digests on the way. */
export class ContentsWriter {
  readonly tensors: TensorRoot[] = [];
  readonly files: { name: string; sizeBytes: number; sha256: Digest }[] = [];
  readonly #leaves: Uint8Array[] = [];
  /** Bytes of the snapshot already hashed. */
  #offset = 0;

  constructor(
    readonly disk: Disk,
    readonly directory: string,
    readonly snapshot: Pick<Memory, "view">,
  ) {}

  async writePart(part: CheckpointPart): Promise<void> {
    const chunks = this.#chunksOf(part);
    await this.#writeFile(part.file, chunks);
  }

  /** After the last part: the block digests gathered. */
  async writeBlocks(): Promise<void> {
    const bytes = new Uint8Array(this.#leaves.length * 32);
    this.#leaves.forEach((leaf, index) => bytes.set(leaf, index * 32));
    await this.#writeFile(blocksFile, [bytes]);
  }

  /** The bytes of a part's file; small tensors, which lie side by side, come together. */
  *#chunksOf(part: CheckpointPart): Generator<Uint8Array> {
    yield safetensorsHead(part.tensors.map(asSafetensors));
    let from = this.#offset;
    for (const { name, tensor } of part.tensors) {
      const sizeBytes = elementCount(tensor) * 4;
      const leaves: Uint8Array[] = [];
      for (let done = 0; done < sizeBytes; done += writeBytes) {
        const length = Math.min(writeBytes, sizeBytes - done);
        const bytes = this.snapshot.view(this.#offset, length);
        for (let start = 0; start < length; start += merkleBlockBytes)
          leaves.push(merkleLeaf(bytes.subarray(start, start + merkleBlockBytes)));
        this.#offset += length;
        if (this.#offset - from < writeBytes / 2) continue;
        yield this.snapshot.view(from, this.#offset - from);
        from = this.#offset;
      }
      this.#leaves.push(...leaves);
      this.tensors.push({ name, shape: tensor.shape, root: merkleRoot(leaves) });
    }
    if (this.#offset > from) yield this.snapshot.view(from, this.#offset - from);
  }

  async #writeFile(name: string, chunks: Iterable<Uint8Array>): Promise<void> {
    const hasher = new Bun.CryptoHasher("sha256");
    let sizeBytes = 0;
    const writer = await this.disk.create(`${this.directory}/${name}`);
    try {
      for (const chunk of chunks) {
        hasher.update(chunk);
        sizeBytes += chunk.byteLength;
        await writer.write(chunk);
      }
      await writer.sync();
    } finally {
      await writer.close();
    }
    this.files.push({ name, sizeBytes, sha256: hasher.digest("hex") });
  }
}

/**
 * Renames a finished directory into place. One already there gives way; it is removed only after the new
 * one is in place.
 */
export async function publishDirectory(
  disk: Disk,
  directory: string,
  temporary: string,
  name: string,
): Promise<void> {
  const final = `${directory}/${name}`;
  const displaced = `${directory}/${displacedPrefix}${name}`;
  const occupied = (await disk.stat(final)) !== null;
  if (occupied) {
    await disk.remove(displaced);
    await disk.rename(final, displaced);
  }
  try {
    await disk.rename(temporary, final);
  } catch (error) {
    if (occupied) await disk.rename(displaced, final);
    throw error;
  }
  await disk.syncDirectory(directory);
  if (occupied) await disk.remove(displaced);
}

/** Says which of a directory's checkpoints is to be restored first. */
export async function movePointer(
  disk: Disk,
  directory: string,
  name: string,
  manifestDigest: Digest,
): Promise<void> {
  const pointer = { directory: name, manifestDigest };
  await disk.publish(`${directory}/${pointerFile}`, `${JSON.stringify(pointer)}\n`);
}
