import { basename, dirname, join } from "node:path";
import type { FileWriter } from "#src/port/disk.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import type { Digest } from "#src/codec/digest.ts";
import { chunkPlaces, type ArtifactManifest, type ChunkPlace } from "./manifest.ts";
import { parentsOf } from "./artifact-path.ts";
import type { Shelf } from "./shelf.ts";

/**
 * Writes an artifact to a path where nothing is yet: a file, or a folder with all its files. It appears
 * whole and durable or not at all; every chunk is proven on the way.
 *
 * Refusals: `usage` where something is there already, `artifact_unknown`, `artifact_incomplete`,
 * `artifact_damaged`, `disk_full`.
 */
export async function takeOut(
  shelf: Shelf,
  digest: Digest,
  out: string,
  signal: AbortSignal,
  onProgress?: (doneBytes: number, totalBytes: number) => void,
): Promise<ArtifactManifest> {
  const { disk } = shelf.parts;
  if ((await disk.stat(out)) !== null || (await isDanglingLink(shelf, out))) throw outTaken(out);
  const hold = shelf.holds.take();
  const draft = join(dirname(out), `.${basename(out).slice(0, 64)}.${chance(shelf)}.part`);
  try {
    const { manifest } = await shelf.manifest(digest);
    await checkWhole(shelf, digest, manifest);
    await checkFree(shelf, dirname(out), manifest.sizeBytes);
    await writeContents(shelf, manifest, draft, signal, onProgress);
    if ((await disk.stat(out)) !== null) throw outTaken(out);
    await disk.rename(draft, out);
    await disk.syncDirectory(dirname(out));
    return manifest;
  } catch (error) {
    await disk.remove(draft).catch(() => {});
    throw error;
  } finally {
    hold.release();
  }
}

const chance = (shelf: Shelf) => shelf.parts.random.bytes(8).toHex();

async function isDanglingLink(shelf: Shelf, path: string): Promise<boolean> {
  // Nothing at all at the path is what is wanted; asking about it then fails.
  return (await shelf.parts.disk.isLink?.(path).catch(() => false)) ?? false;
}

async function checkWhole(shelf: Shelf, digest: Digest, manifest: ArtifactManifest) {
  const chunks = chunkPlaces(manifest).map((place) => ({ kind: "chunks", ...place }) as const);
  const here = await shelf.blobs.present(chunks);
  const missing = new Set(chunks.filter((chunk) => !here.has(chunk.digest)).map((c) => c.digest));
  if (missing.size > 0)
    throw new Refusal(
      "artifact_incomplete",
      `${missing.size} chunks of ${digest} are not here`,
      `\`psionic artifact pull ${digest.slice(0, 12)} --from …\` brings them`,
      { artifact: digest, missingChunks: missing.size },
    );
}

async function checkFree(shelf: Shelf, folder: string, neededBytes: number): Promise<void> {
  const freeBytes = await shelf.parts.disk.freeBytes(folder);
  if (freeBytes < neededBytes)
    throw new Refusal(
      "disk_full",
      `${folder} has ${freeBytes} bytes free; the artifact has ${neededBytes}`,
      "free some space or choose another place",
      { neededBytes, freeBytes },
    );
}

async function writeContents(
  shelf: Shelf,
  manifest: ArtifactManifest,
  draft: string,
  signal: AbortSignal,
  onProgress?: (doneBytes: number, totalBytes: number) => void,
): Promise<void> {
  const { disk } = shelf.parts;
  const places = chunkPlaces(manifest);
  let [next, doneBytes] = [0, 0];
  const writeFile = async (path: string, sizeBytes: number) => {
    const file: FileWriter = await disk.create(path);
    try {
      for (let written = 0; written < sizeBytes;) {
        signal.throwIfAborted();
        const place: ChunkPlace = places[next++]!;
        const bytes = await shelf.blobs.read("chunks", place.digest);
        await file.write(bytes);
        written += place.sizeBytes;
        doneBytes += place.sizeBytes;
        onProgress?.(doneBytes, manifest.sizeBytes);
      }
      await file.sync();
    } finally {
      await file.close();
    }
  };
  if (manifest.files === undefined) return writeFile(draft, manifest.sizeBytes);
  const folders = [...new Set(["", ...manifest.files.flatMap(({ path }) => parentsOf(path))])];
  for (const folder of folders) await disk.makeDirectory(join(draft, folder));
  for (const { path, sizeBytes } of manifest.files) await writeFile(join(draft, path), sizeBytes);
  for (const folder of folders) await disk.syncDirectory(join(draft, folder));
}

function outTaken(out: string): Refusal {
  return new Refusal("usage", `${out} exists already`, "name a path where nothing is", {
    path: out,
  });
}
