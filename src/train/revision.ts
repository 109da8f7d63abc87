/**
 * A revision of a run that several machines train: the parameters all start a window from, and the outer
 * optimizer's momentum. Written, read and digested here; docs/FORMATS.md.
 */
import type { Digest } from "#src/codec/digest.ts";
import { merkleLeaves, merkleRoot } from "#src/codec/merkle.ts";
import type { Disk } from "#src/port/disk.ts";
import { assert, Refusal } from "#src/refusal/refusal.ts";
import { type CheckpointPart, manifestFile, modelFile, temporaryPrefix } from "./checkpoint.ts";
import { ContentsWriter, publishDirectory } from "./checkpoint-contents.ts";
import { loadParts, readStoredManifest } from "./checkpoint-restore.ts";
import { type DeltaLayout, readParameters } from "./delta/layout.ts";
import { hasMomentum, type OuterOptimizer, type OuterState } from "./delta/outer.ts";
import { momentumFile, type RevisionManifest, sealRevision } from "./revision-manifest.ts";
import { sealState, type StateDigest, type TensorRoot } from "./state-digest.ts";
import type { Trainer } from "./trainer.ts";

export interface Revision extends OuterState {
  /** From 0, the seed's. */
  readonly number: number;
}

/** What a revision's manifest says beside its contents. */
export interface RevisionFacts {
  readonly run: string;
  readonly planDigest: Digest;
  /** State digest of the revision it was made of; null for number 0. */
  readonly parent: Digest | null;
}

/** Revision 0: the parameters the seed gives, and a momentum of zeros. The trainer's state is as begun. */
export async function firstRevision(
  trainer: Trainer,
  layout: DeltaLayout,
  optimizer: OuterOptimizer,
): Promise<Revision> {
  await trainer.initialise();
  return {
    number: 0,
    parameters: readParameters(trainer.executor, layout),
    momentum: hasMomentum(optimizer) ? new Float32Array(layout.count) : null,
  };
}

/** What all who have a revision must agree on: its number, every parameter, every momentum. */
export function digestRevision(layout: DeltaLayout, revision: Revision): StateDigest {
  const tensors: TensorRoot[] = [];
  for (const { tensors: held, values } of heldArrays(layout, revision))
    for (const { name, tensor } of held) {
      const sizeBytes = tensor.shape.reduce((product, extent) => product * extent, 4);
      const bytes = new Uint8Array(
        values.buffer,
        values.byteOffset + tensor.offsetBytes,
        sizeBytes,
      );
      tensors.push({ name, shape: tensor.shape, root: merkleRoot(merkleLeaves(bytes)) });
    }
  return sealState(revision.number, tensors);
}

/**
 * Writes a revision as the directory at `path`, whose parent exists: beside it first, made durable, then
 * renamed. One already there gives way. What a kill leaves begins with `.tmp-` and is removed by
 * `sweepTemporaries` of the parent. Refusals are the disk's.
 */
export async function writeRevision(
  disk: Disk,
  path: string,
  layout: DeltaLayout,
  revision: Revision,
  facts: RevisionFacts,
): Promise<RevisionManifest> {
  const cut = path.lastIndexOf("/");
  const [directory, name] = [path.slice(0, cut), path.slice(cut + 1)];
  const temporary = `${directory}/${temporaryPrefix}${name}`;
  try {
    await disk.remove(temporary);
    await disk.makeDirectory(temporary);
    const held = heldArrays(layout, revision);
    const contents = new ContentsWriter(disk, temporary, viewOf(held.map(({ values }) => values)));
    for (const part of held) await contents.writePart(part);
    await contents.writeBlocks();
    const manifest = sealRevision({
      format: "psionic-revision/1",
      run: facts.run,
      step: revision.number,
      planDigest: facts.planDigest,
      lane: "exact/1",
      stateDigest: sealState(revision.number, contents.tensors).digest,
      tensors: contents.tensors.map((each) => ({ ...each, shape: [...each.shape] })),
      files: contents.files,
      parent: facts.parent,
    });
    await disk.publish(`${temporary}/${manifestFile}`, `${JSON.stringify(manifest)}\n`);
    await disk.syncDirectory(temporary);
    await publishDirectory(disk, directory, temporary, name);
    return manifest;
  } catch (error) {
    await disk.remove(temporary).catch(() => {});
    throw error;
  }
}

/**
 * The state digest that the revision at `path` states of itself; its files are there and as long as they
 * should be. Whoever loads it verifies every byte. Refuses with `checkpoint_*`.
 */
export async function revisionDigest(disk: Disk, path: string): Promise<Digest> {
  const manifest = await readStoredManifest(disk, path);
  await loadParts(disk, path, manifest, [], () => viewOf([]));
  return manifest.stateDigest;
}

export interface RevisionExpectation {
  readonly run: string;
  readonly planDigest: Digest;
  readonly number: number;
  /** The state digest it must have; null where nobody has said one. */
  readonly digest: Digest | null;
  /** Decides whether there is a momentum; null where the files may say so. */
  readonly optimizer: OuterOptimizer | null;
}

export interface ReadRevision {
  readonly manifest: RevisionManifest;
  readonly revision: Revision;
}

/**
 * Reads the revision at `path`, verifying every byte. Refuses with `checkpoint_truncated`,
 * `checkpoint_corrupt`, or `checkpoint_stale` where it is sound and another one than expected.
 */
export async function readRevision(
  disk: Disk,
  path: string,
  layout: DeltaLayout,
  expected: RevisionExpectation,
): Promise<ReadRevision> {
  const manifest = await readStoredManifest(disk, path);
  if (manifest.format !== "psionic-revision/1")
    throw unexpected(path, "is a checkpoint of one machine");
  if (manifest.run !== expected.run) throw unexpected(path, `belongs to run ${manifest.run}`);
  if (manifest.step !== expected.number) throw unexpected(path, `is revision ${manifest.step}`);
  if (manifest.planDigest !== expected.planDigest)
    throw unexpected(path, "was written by another plan");
  if (expected.digest !== null && manifest.stateDigest !== expected.digest)
    throw unexpected(path, `has the state digest ${manifest.stateDigest}, not ${expected.digest}`);
  const { optimizer } = expected;
  const isMoved =
    optimizer === null
      ? manifest.files.some(({ name }) => name === momentumFile)
      : hasMomentum(optimizer);
  const revision: Revision = {
    number: expected.number,
    parameters: new Float32Array(layout.count),
    momentum: isMoved ? new Float32Array(layout.count) : null,
  };
  const held = heldArrays(layout, revision);
  checkContents(path, manifest, held);
  for (const part of held)
    await loadParts(disk, path, manifest, [part], () => viewOf([part.values]));
  return { manifest, revision };
}

/** Its tensors are those of the plan, its files all there are, and its digest is of the tensors' roots. */
function checkContents(path: string, manifest: RevisionManifest, held: readonly HeldArray[]): void {
  const names = (
    tensors: readonly { readonly name: string; readonly shape: readonly number[] }[],
  ) => tensors.map(({ name, shape }) => `${name} ${shape.join("×")}`).join("\n");
  const tensors = held.flatMap((part) =>
    part.tensors.map(({ name, tensor }) => ({ name, shape: tensor.shape })),
  );
  const isWhole =
    names(manifest.tensors) === names(tensors) &&
    manifest.stateDigest === sealState(manifest.step, manifest.tensors).digest &&
    held.every(({ file }) => manifest.files.some(({ name }) => name === file));
  if (isWhole) return;
  throw new Refusal(
    "checkpoint_corrupt",
    `The manifest of the revision at ${path} does not fit the run's plan.`,
    "Fetch it again from another holder.",
    { path },
  );
}

function unexpected(path: string, what: string): Refusal {
  return new Refusal(
    "checkpoint_stale",
    `The revision at ${path} ${what}.`,
    "Fetch the revision that the run's status names from a node that holds it.",
    { path },
  );
}

/** A file of a revision and the array that it holds. */
interface HeldArray extends CheckpointPart {
  readonly values: Float32Array;
}

/** Parameters under their own names, then momenta as `momentum.<parameter>`, each at its place in its array. */
function heldArrays({ tensors, count }: DeltaLayout, revision: OuterState): HeldArray[] {
  const part = (file: string, prefix: string, values: Float32Array): HeldArray => {
    assert(values.length === count, "an array of the layout");
    let offsetBytes = 0;
    const placed = tensors.map(({ name, shape, length }) => {
      const tensor = { name, space: "parameters", offsetBytes, shape, type: "f32" } as const;
      offsetBytes += length * 4;
      return { name: prefix + name, tensor };
    });
    return { file, tensors: placed, values };
  };
  const { parameters, momentum } = revision;
  const held = [part(modelFile, "", parameters)];
  if (momentum) held.push(part(momentumFile, "momentum.", momentum));
  return held;
}

/** Arrays of one length as one memory; no view reaches over the end of one. */
function viewOf(arrays: readonly Float32Array[]) {
  const arrayBytes = arrays[0]!.byteLength;
  return {
    view(offsetBytes: number, lengthBytes: number): Uint8Array {
      const which = lengthBytes === 0 ? 0 : Math.floor(offsetBytes / arrayBytes);
      const { buffer, byteOffset } = arrays[which]!;
      return new Uint8Array(buffer, byteOffset + offsetBytes - which * arrayBytes, lengthBytes);
    },
  };
}
