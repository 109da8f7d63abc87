import type { Digest } from "#src/codec/digest.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { distinctChunks } from "./manifest.ts";
import type { Shelf } from "./shelf.ts";

export interface Verified {
  /** Artifacts all of whose chunks were read and found right. */
  readonly whole: readonly Digest[];
  /** Those that are not, with what is missing or was set aside. */
  readonly broken: readonly { readonly artifact: Digest; readonly chunks: readonly Digest[] }[];
  readonly readBytes: number;
}

/**
 * Reads artifacts and proves every byte; of a whole store every chunk is read once. The index is brought in
 * line with the files first. Damage is set aside, not refused: the result names it.
 */
export async function verifyArtifacts(
  shelf: Shelf,
  only: Digest | null,
  signal: AbortSignal,
  onProgress?: (readBytes: number) => void,
): Promise<Verified> {
  await shelf.rebuild();
  const verdicts = new Map<Digest, boolean>();
  let readBytes = 0;
  const check = async (kind: "chunks" | "manifests", digest: Digest): Promise<boolean> => {
    const known = verdicts.get(digest);
    if (known !== undefined) return known;
    signal.throwIfAborted();
    const isRight = await shelf.blobs.read(kind, digest).then(
      (bytes) => {
        readBytes += bytes.byteLength;
        onProgress?.(readBytes);
        return true;
      },
      (error: unknown) => {
        if (error instanceof Refusal && error.code.startsWith("artifact_")) return false;
        throw error;
      },
    );
    verdicts.set(digest, isRight);
    return isRight;
  };
  const whole: Digest[] = [];
  const broken: { artifact: Digest; chunks: Digest[] }[] = [];
  for (const artifact of only === null ? shelf.catalog.digests() : [only]) {
    const chunks: Digest[] = [];
    if (await check("manifests", artifact)) {
      const { manifest } = await shelf.manifest(artifact);
      for (const { digest } of distinctChunks(manifest))
        if (!(await check("chunks", digest))) chunks.push(digest);
      if (chunks.length === 0) whole.push(artifact);
      else broken.push({ artifact, chunks });
    } else broken.push({ artifact, chunks: [artifact] });
    if (shelf.catalog.get(artifact) !== null)
      shelf.catalog.setWhole(artifact, whole.at(-1) === artifact);
  }
  return { whole, broken, readBytes };
}
