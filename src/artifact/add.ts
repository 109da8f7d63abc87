import { digestBytes, type Digest } from "#src/codec/digest.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import type { Keep } from "./kept.ts";
import {
  artifactFormat,
  chunkBytesDefault,
  chunkCountMaximum,
  nameManifest,
  type ArtifactManifest,
  type NamedManifest,
} from "./manifest.ts";
import type { Shelf } from "./shelf.ts";
import { readSource, sourceWrong, type Source, type SourceFile } from "./source.ts";

/** Chunks being written while the next are read. */
const writesAtOnce = 4;

export interface AddRequest {
  /** An absolute path of a file or folder. */
  readonly location: string;
  readonly name: string | null;
  readonly title?: string | undefined;
  readonly mediaType?: string | undefined;
  readonly quotaBytes: number | null;
  readonly chunkBytes?: number;
  /** For work that keeps it by itself: it gets no name then, and no receipt. */
  readonly keep?: Keep;
  readonly signal: AbortSignal;
  onProgress?(doneBytes: number, totalBytes: number): void;
}

export interface Added extends NamedManifest {
  /** Bytes that were not here before. */
  readonly newBytes: number;
}

/**
 * Makes an artifact of a file or folder. Nothing of it counts before all of it is durable; a kill leaves
 * chunks that the next attempt finds. Refusals: those of the source, `artifact_quota`, `disk_full`,
 * `data_changed`.
 */
export async function addArtifact(shelf: Shelf, request: AddRequest): Promise<Added> {
  const { disk } = shelf.parts;
  const source = await readSource(disk, request.location);
  const sizeBytes = source.files.reduce((total, file) => total + file.sizeBytes, 0);
  const chunkBytes = request.chunkBytes ?? chunkBytesDefault;
  const count = source.files.reduce((n, file) => n + Math.ceil(file.sizeBytes / chunkBytes), 0);
  if (count > chunkCountMaximum)
    throw sourceWrong(request.location, `makes ${count} chunks; ${chunkCountMaximum} at most`);
  const hold = shelf.holds.take();
  try {
    // What is here already is known only by reading, so all of it must fit into the quota.
    await shelf.checkRoom(sizeBytes, request.quotaBytes);
    const { chunks, newBytes } = await storeFiles(shelf, source, chunkBytes, sizeBytes, request);
    const named = nameManifest(manifestOf(source, { sizeBytes, chunkBytes, chunks }, request));
    const bytes = new TextEncoder().encode(named.text);
    await shelf.blobs.put(
      { kind: "manifests", digest: named.digest, sizeBytes: bytes.byteLength },
      bytes,
    );
    if (request.keep === undefined) await shelf.enter(named, "added", request.name, { newBytes });
    else await shelf.enterKept(named, "added", request.keep);
    return { ...named, newBytes };
  } finally {
    hold.release();
  }
}

function manifestOf(
  { isFolder, files }: Source,
  content: Pick<ArtifactManifest, "sizeBytes" | "chunkBytes" | "chunks">,
  { title, mediaType }: AddRequest,
): ArtifactManifest {
  return {
    format: artifactFormat,
    mediaType: mediaType ?? (isFolder ? "inode/directory" : "application/octet-stream"),
    ...(title === undefined ? {} : { title }),
    ...content,
    ...(isFolder
      ? { files: files.map(({ path, sizeBytes }) => ({ path: path!, sizeBytes })) }
      : {}),
  };
}

async function storeFiles(
  shelf: Shelf,
  { files }: Source,
  chunkBytes: number,
  totalBytes: number,
  { signal, onProgress }: AddRequest,
): Promise<{ chunks: Digest[]; newBytes: number }> {
  const chunks: Digest[] = [];
  const known = new Set<Digest>();
  const writing = new Set<Promise<void>>();
  let [newBytes, doneBytes] = [0, 0];
  const store = async (digest: Digest, bytes: Uint8Array) => {
    const blob = { kind: "chunks", digest, sizeBytes: bytes.byteLength } as const;
    const isKnown = known.has(digest);
    known.add(digest);
    if (!isKnown && (await shelf.blobs.put(blob, bytes))) newBytes += bytes.byteLength;
    doneBytes += bytes.byteLength;
    onProgress?.(doneBytes, totalBytes);
  };
  try {
    for (const file of files) {
      for (let offset = 0; offset < file.sizeBytes; offset += chunkBytes) {
        signal.throwIfAborted();
        const length = Math.min(chunkBytes, file.sizeBytes - offset);
        const bytes = await shelf.parts.disk.readRange(file.location, offset, length);
        if (bytes.byteLength !== length) throw changed(file);
        const digest = digestBytes(bytes);
        chunks.push(digest);
        const write = store(digest, bytes).finally(() => writing.delete(write));
        writing.add(write);
        if (writing.size >= writesAtOnce) await Promise.race(writing);
      }
      const now = await shelf.parts.disk.stat(file.location);
      if (now?.sizeBytes !== file.sizeBytes || now.modifiedMs !== file.modifiedMs)
        throw changed(file);
    }
    await Promise.all(writing);
  } finally {
    await Promise.allSettled(writing);
  }
  return { chunks, newBytes };
}

function changed({ location }: SourceFile): Refusal {
  return new Refusal(
    "data_changed",
    `${location} changed while it was read`,
    "run it again once nothing writes to it",
    { path: location },
  );
}
