/**
 * The restore ladder: the pointer first, then every checkpoint directory from the newest down. Each
 * rung that does not hold says why; a checkpoint is used only when every byte agrees with its
 * manifest. Files are read straight into the executor's memory and verified on the way, so a rung
 * that fails half-way is overwritten by the next.
 */
import * as v from "valibot";
import { digestBytes, type Digest } from "#src/codec/digest.ts";
import { merkleBlockBytes, merkleLeaf, merkleRoot } from "#src/codec/merkle.ts";
import { safetensorsHead } from "#src/codec/safetensors.ts";
import type { PlannedTensor, SpaceName } from "#src/graph/plan.ts";
import type { Memory } from "#src/kernel/contract.ts";
import type { Disk } from "#src/port/disk.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import {
  asSafetensors,
  blocksFile,
  checkpointDirectory,
  checkpointParts,
  type CheckpointPart,
  checkpointStep,
  displacedPrefix,
  manifestDigest,
  manifestFile,
  pointerFile,
  pointerSchema,
  temporaryPrefix,
} from "./checkpoint.ts";
import { elementCount, type Executor } from "./executor.ts";
import { type StoredManifest, storedManifestSchema } from "./revision-manifest.ts";
import type { StateTensor } from "./state-digest.ts";

/** A multiple of the Merkle block. */
const readBytes = 8 * 1024 * 1024;
/** Of a manifest; the largest models have a few hundred tensors of two hundred bytes each. */
const manifestMaximumBytes = 16 * 1024 * 1024;

export interface FallBack {
  /** `latest.json`, or the checkpoint's directory name. */
  readonly rung: string;
  readonly code: string;
  readonly reason: string;
}

export interface Restored {
  readonly manifest: StoredManifest;
  /** The rungs passed over before this one held. */
  readonly fallBacks: readonly FallBack[];
}

export interface Expectation {
  readonly run: string;
  /** Null where only parameters are wanted and another plan may hold them (sampling). */
  readonly planDigest: Digest | null;
  /** Newest step wanted; Infinity by default. */
  readonly atMostStep?: number;
  /** Only this step; wins over the pointer. */
  readonly exactStep?: number;
}

export type Target = Pick<Executor, "plan" | "memory">;

/**
 * Loads the best checkpoint there is into the target: every state tensor whose space the target
 * has. Null when the directory holds no checkpoint at all; refuses with `checkpoint_missing`, and
 * the reasons, when there are some and none holds.
 */
export async function restoreCheckpoint(
  disk: Disk,
  directory: string,
  target: Target,
  expectation: Expectation,
): Promise<Restored | null> {
  const fallBacks: FallBack[] = [];
  const ladder = await rungs(disk, directory, expectation, fallBacks);
  for (const name of ladder) {
    try {
      const manifest = await readManifest(disk, `${directory}/${name}`, expectation);
      await loadState(disk, `${directory}/${name}`, manifest, target);
      return { manifest, fallBacks };
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      fallBacks.push({ rung: name, code: error.code, reason: error.message });
    }
  }
  if (fallBacks.length === 0) return null;
  throw new Refusal(
    "checkpoint_missing",
    `No checkpoint in ${directory} can be used: ${fallBacks.map(({ reason }) => reason).join(" ")}`,
    "Put back a copy of one of them, or start the run again from its beginning.",
    { directory, fallBacks },
  );
}

/**
 * Removes what an earlier process left under construction. A checkpoint that was about to be replaced
 * when that process died gets its place back: nothing else may hold the run's state.
 */
export async function sweepTemporaries(disk: Disk, directory: string): Promise<void> {
  for (const { name } of await disk.list(directory)) {
    const isPointer = name.startsWith(`.${pointerFile}.`) && name.endsWith(".tmp");
    if (isPointer) await disk.remove(`${directory}/${name}`);
    if (!name.startsWith(temporaryPrefix)) continue;
    const final = `${directory}/${name.slice(displacedPrefix.length)}`;
    const isOnlyCopy = name.startsWith(displacedPrefix) && (await disk.stat(final)) === null;
    if (isOnlyCopy) await disk.rename(`${directory}/${name}`, final);
    else await disk.remove(`${directory}/${name}`);
  }
}

/** Steps that have a checkpoint directory, ascending; nothing is verified. */
export async function checkpointSteps(disk: Disk, directory: string): Promise<number[]> {
  const steps = (await disk.list(directory)).flatMap((entry) => checkpointStep(entry.name) ?? []);
  return steps.toSorted((a, b) => a - b);
}

/** The refusal of a run that has no checkpoint, or none of the wanted step; `steps` are those it has. */
export function noCheckpoint(
  run: { readonly id: string; readonly name: string },
  wantedStep: number | undefined,
  steps: readonly number[],
): Refusal {
  return new Refusal(
    "checkpoint_missing",
    `Run ${run.name} has no checkpoint${wantedStep === undefined ? " yet" : ` of step ${wantedStep}`}.`,
    steps.length > 0
      ? `There are checkpoints of steps ${steps.join(", ")}.`
      : `\`psionic train --resume ${run.name}\` goes on until there is one.`,
    { run: run.id, steps },
  );
}

/** Directory names in the order to try. A pointer that does not hold is reported at once. */
async function rungs(
  disk: Disk,
  directory: string,
  { atMostStep = Infinity, exactStep }: Expectation,
  fallBacks: FallBack[],
): Promise<string[]> {
  const steps = (await checkpointSteps(disk, directory)).toReversed();
  if (exactStep !== undefined)
    return steps.includes(exactStep) ? [checkpointDirectory(exactStep)] : [];
  const listing = steps.filter((step) => step <= atMostStep).map(checkpointDirectory);
  if (atMostStep !== Infinity) return listing;
  const pointer = await readPointer(disk, directory, fallBacks, listing.length > 0);
  return pointer === null ? listing : [pointer, ...listing.filter((name) => name !== pointer)];
}

async function readPointer(
  disk: Disk,
  directory: string,
  fallBacks: FallBack[],
  expected: boolean,
): Promise<string | null> {
  const path = `${directory}/${pointerFile}`;
  const entry = await disk.stat(path);
  const pass = (code: string, reason: string) => {
    fallBacks.push({ rung: pointerFile, code, reason });
    return null;
  };
  if (!entry) return expected ? pass("checkpoint_missing", `${pointerFile} is missing.`) : null;
  if (entry.sizeBytes === 0) return pass("checkpoint_truncated", `${pointerFile} is empty.`);
  const pointer = v.safeParse(pointerSchema, parseJson(await disk.readText(path)));
  if (!pointer.success) return pass("checkpoint_corrupt", `${pointerFile} is not a pointer.`);
  const name = pointer.output.directory;
  if (!(await disk.stat(`${directory}/${name}`)))
    return pass("checkpoint_missing", `${pointerFile} names ${name}, which is not there.`);
  return name;
}

/** Reads a manifest that is sound in itself. Refuses with `checkpoint_*`. */
export async function readStoredManifest(disk: Disk, directory: string): Promise<StoredManifest> {
  const path = `${directory}/${manifestFile}`;
  const name = nameOf(directory);
  const entry = await disk.stat(path);
  if (!entry)
    refuse("checkpoint_truncated", `${name} has no ${manifestFile}: its write was cut off.`, {
      directory,
    });
  if (entry.sizeBytes === 0)
    refuse("checkpoint_truncated", `${name}/${manifestFile} is empty.`, { directory });
  const isReadable = entry.sizeBytes <= manifestMaximumBytes;
  const parsed = v.safeParse(
    storedManifestSchema,
    isReadable ? parseJson(await disk.readText(path)) : null,
  );
  if (!parsed.success)
    refuse("checkpoint_corrupt", `${name}/${manifestFile} is not a checkpoint manifest.`, {
      directory,
    });
  if (manifestDigest(parsed.output) !== parsed.output.digest)
    refuse("checkpoint_corrupt", `${name}/${manifestFile} does not have the digest it states.`, {
      directory,
    });
  return parsed.output;
}

/** Reads a manifest and checks that it is the one its directory should have. Refuses with `checkpoint_*`. */
export async function readManifest(
  disk: Disk,
  directory: string,
  expectation: Expectation,
): Promise<StoredManifest> {
  const name = nameOf(directory);
  const manifest = await readStoredManifest(disk, directory);
  if (manifest.run !== expectation.run)
    refuse("checkpoint_stale", `${name} belongs to run ${manifest.run}.`, { directory });
  if (checkpointDirectory(manifest.step) !== name)
    refuse("checkpoint_stale", `${name} holds step ${manifest.step}.`, { directory });
  if (expectation.planDigest !== null && manifest.planDigest !== expectation.planDigest)
    refuse("checkpoint_stale", `${name} was written by another plan.`, { directory });
  return manifest;
}

/** Reads tensors into the target's memory, verifying sizes, heads and every block. */
export async function loadState(
  disk: Disk,
  directory: string,
  manifest: StoredManifest,
  target: Target,
): Promise<void> {
  const wanted = new Set<SpaceName>(target.plan.spaces.map((space) => space.name));
  if (manifest.format === "psionic-revision/1" && wanted.has("gradients"))
    refuse("checkpoint_stale", `${nameOf(directory)} is a revision of several machines.`, {
      directory,
    });
  const parts = checkpointParts(target.plan).filter((part) =>
    part.tensors.some((each) => wanted.has(each.tensor.space)),
  );
  await loadParts(disk, directory, manifest, parts, ({ space }) => target.memory(space)!);
}

/** Where a tensor is read to: `offsetBytes` of it counts from the start of this. */
export type MemoryOf = (tensor: PlannedTensor) => Pick<Memory, "view">;

/** Reads whole files into memory, verifying sizes, heads and every block. Refuses with `checkpoint_*`. */
export async function loadParts(
  disk: Disk,
  directory: string,
  manifest: StoredManifest,
  parts: readonly CheckpointPart[],
  memoryOf: MemoryOf,
): Promise<void> {
  const name = nameOf(directory);
  for (const file of manifest.files) await checkSize(disk, directory, file);
  for (const part of parts) {
    const path = `${directory}/${part.file}`;
    const head = safetensorsHead(part.tensors.map(asSafetensors));
    const found = await disk.readRange(path, 0, head.byteLength);
    if (!equalBytes(head, found))
      refuse(
        "checkpoint_corrupt",
        `${name}/${part.file} has a header that does not fit the run's plan.`,
        {
          directory,
          file: part.file,
        },
      );
    await loadPart(disk, directory, manifest, memoryOf, part, head.byteLength);
  }
}

async function loadPart(
  disk: Disk,
  directory: string,
  manifest: StoredManifest,
  memoryOf: MemoryOf,
  part: CheckpointPart,
  headBytes: number,
): Promise<void> {
  const roots = new Map(manifest.tensors.map((tensor) => [tensor.name, tensor.root]));
  let offset = headBytes;
  for (const each of part.tensors) {
    const memory = memoryOf(each.tensor);
    const sizeBytes = elementCount(each.tensor) * 4;
    const leaves: Uint8Array[] = [];
    for (let done = 0; done < sizeBytes; done += readBytes) {
      const length = Math.min(readBytes, sizeBytes - done);
      const bytes = await disk.readRange(`${directory}/${part.file}`, offset + done, length);
      if (bytes.byteLength < length)
        refuse("checkpoint_truncated", `${part.file} ended inside ${each.name}.`, {
          directory,
          tensor: each.name,
        });
      memory.view(each.tensor.offsetBytes + done, length).set(bytes);
      for (let start = 0; start < length; start += merkleBlockBytes)
        leaves.push(merkleLeaf(bytes.subarray(start, start + merkleBlockBytes)));
    }
    if (merkleRoot(leaves) !== roots.get(each.name))
      await refuseBlock(disk, directory, manifest, part, each, leaves);
    offset += sizeBytes;
  }
}

/** Names the tensor and, from the block digests, the first block that differs. */
async function refuseBlock(
  disk: Disk,
  directory: string,
  manifest: StoredManifest,
  part: CheckpointPart,
  each: StateTensor,
  leaves: readonly Uint8Array[],
): Promise<never> {
  const name = nameOf(directory);
  const block = await firstDifferentBlock(disk, directory, manifest, each.name, leaves);
  const place = block === null ? "" : `, block ${block} of 64 KiB`;
  refuse("checkpoint_corrupt", `${name}/${part.file} was changed in tensor ${each.name}${place}.`, {
    directory,
    file: part.file,
    tensor: each.name,
    block,
  });
}

async function firstDifferentBlock(
  disk: Disk,
  directory: string,
  manifest: StoredManifest,
  tensor: string,
  leaves: readonly Uint8Array[],
): Promise<number | null> {
  const stated = manifest.files.find((file) => file.name === blocksFile);
  const blocks = await disk.readBytes(`${directory}/${blocksFile}`);
  if (!stated || digestBytes(blocks) !== stated.sha256) return null;
  let first = 0;
  for (const { name, shape } of manifest.tensors) {
    const count = Math.ceil((elementCount({ shape }) * 4) / merkleBlockBytes);
    if (name === tensor) {
      const index = leaves.findIndex(
        (leaf, block) =>
          !equalBytes(leaf, blocks.subarray((first + block) * 32, (first + block + 1) * 32)),
      );
      return index < 0 ? null : index;
    }
    first += count;
  }
  return null;
}

async function checkSize(
  disk: Disk,
  directory: string,
  file: StoredManifest["files"][number],
): Promise<void> {
  const name = `${nameOf(directory)}/${file.name}`;
  const entry = await disk.stat(`${directory}/${file.name}`);
  if (!entry) refuse("checkpoint_truncated", `${name} is missing.`, { directory, file: file.name });
  if (entry.sizeBytes === 0)
    refuse("checkpoint_truncated", `${name} is empty.`, { directory, file: file.name });
  if (entry.sizeBytes < file.sizeBytes)
    refuse("checkpoint_truncated", `${name} has ${entry.sizeBytes} of ${file.sizeBytes} bytes.`, {
      directory,
      file: file.name,
    });
  if (entry.sizeBytes > file.sizeBytes)
    refuse(
      "checkpoint_corrupt",
      `${name} has ${entry.sizeBytes - file.sizeBytes} bytes too many.`,
      { directory, file: file.name },
    );
}

function nameOf(directory: string): string {
  return directory.slice(directory.lastIndexOf("/") + 1);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.byteLength === b.byteLength && a.every((byte, index) => byte === b[index]);
}

function refuse(
  code: "checkpoint_truncated" | "checkpoint_corrupt" | "checkpoint_stale",
  message: string,
  details: Readonly<Record<string, unknown>>,
): never {
  throw new Refusal(code, message, "An older checkpoint is used where there is one.", details);
}
