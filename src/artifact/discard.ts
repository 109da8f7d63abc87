import type { Digest } from "#src/codec/digest.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import type { Blob } from "./blob-index.ts";
import { removeBlobs } from "./collect.ts";
import { distinctChunks } from "./manifest.ts";
import type { Shelf } from "./shelf.ts";

/** Artifacts discarded at most by one call. */
export const discardMaximum = 256;
const batchCount = 64;

/**
 * Takes away artifacts that work kept and let go, at once: no grace, unlike a collection. What a name points at,
 * what is still kept by somebody and chunks that another artifact has stay, and so does what work under way has
 * touched. What is left over the next collection takes.
 */
export async function discardArtifacts(shelf: Shelf, artifacts: readonly Digest[]): Promise<void> {
  const named = new Set(shelf.pointers.all().map(({ artifact }) => artifact));
  const going = artifacts
    .slice(0, discardMaximum)
    .filter((digest) => !named.has(digest) && !shelf.kept.has(digest));
  if (going.length === 0) return;
  const blobs = await blobsOf(shelf, going);
  const goingSet = new Set(going);
  const staying = await blobsOf(
    shelf,
    shelf.catalog.digests().filter((digest) => !goingSet.has(digest)),
  );
  for (const key of staying.keys()) blobs.delete(key);
  const { index } = shelf.blobs;
  const cutoffTick = shelf.parts.store().transaction(() => {
    const tick = index.nextTick();
    for (const digest of going)
      shelf.parts.store().run("DELETE FROM artifact WHERE digest = ?", digest);
    return Math.min(tick, shelf.holds.oldestTick() ?? tick);
  });
  const gone = [...blobs.values()];
  for (let start = 0; start < gone.length; start += batchCount)
    await removeBlobs(shelf, gone.slice(start, start + batchCount), cutoffTick);
}

async function blobsOf(shelf: Shelf, artifacts: readonly Digest[]): Promise<Map<string, Blob>> {
  const blobs = new Map<string, Blob>();
  for (const digest of artifacts) {
    const read = await shelf.manifest(digest).catch((error: unknown) => {
      if (error instanceof Refusal) return null;
      throw error;
    });
    if (read === null) continue;
    const sizeBytes = new TextEncoder().encode(read.text).byteLength;
    blobs.set(`manifests/${digest}`, { kind: "manifests", digest, sizeBytes });
    for (const chunk of distinctChunks(read.manifest))
      blobs.set(`chunks/${chunk.digest}`, { kind: "chunks", ...chunk });
  }
  return blobs;
}
