/** A run's checkpoints as people look at them: which there are, what they weigh, what they come from. */
import * as v from "valibot";
import type { Disk } from "#src/port/disk.ts";
import { checkpointDirectory, manifestFile } from "./checkpoint.ts";
import { storedManifestSchema } from "./revision-manifest.ts";
import type { CheckpointRecord } from "./run-store.ts";

/** Checkpoints listed at most, the newest. */
export const checkpointListMaximum = 500;

export interface ListedCheckpoint extends CheckpointRecord {
  /** Manifest digest of the checkpoint before; null for the first, and where the files are gone. */
  readonly parent: string | null;
  /** Null where the files are gone. */
  readonly sizeBytes: number | null;
  /** The lowest held-out loss of the run was measured at its step. */
  readonly isBest: boolean;
}

/** Manifests by digest: they never change, and a page asks again every few seconds. */
const known = new Map<string, { readonly parent: string | null; readonly sizeBytes: number }>();
const knownMaximum = 4_096;

export async function listCheckpoints(
  disk: Disk,
  runDirectory: string,
  records: readonly CheckpointRecord[],
  bestStep: number | null,
): Promise<ListedCheckpoint[]> {
  const listed: ListedCheckpoint[] = [];
  for (const record of records.slice(-checkpointListMaximum)) {
    const facts = record.isKept ? await manifestFacts(disk, runDirectory, record) : null;
    listed.push({
      ...record,
      parent: facts?.parent ?? null,
      sizeBytes: facts?.sizeBytes ?? null,
      isBest: record.step === bestStep,
    });
  }
  return listed;
}

/** Null where the manifest is missing, damaged or another's: this is a list, not a verification. */
async function manifestFacts(
  disk: Disk,
  runDirectory: string,
  { step, manifestDigest }: CheckpointRecord,
) {
  const remembered = known.get(manifestDigest);
  if (remembered) return remembered;
  const path = `${runDirectory}/checkpoints/${checkpointDirectory(step)}/${manifestFile}`;
  try {
    const manifest = v.parse(storedManifestSchema, JSON.parse(await disk.readText(path)));
    if (manifest.digest !== manifestDigest) return null;
    const sizeBytes = manifest.files.reduce((sum, file) => sum + file.sizeBytes, 0);
    const facts = { parent: manifest.parent, sizeBytes };
    if (known.size >= knownMaximum) known.clear();
    known.set(manifestDigest, facts);
    return facts;
  } catch {
    return null;
  }
}
