/**
 * Writes checkpoints while training goes on: the state is copied, then hashed and written piece by
 * piece between steps, made durable, renamed into place, and only then pointed at. At most one is
 * under way; a request that comes earlier is turned down, so memory never grows.
 */
import type { Digest } from "#src/codec/digest.ts";
import type { Plan } from "#src/graph/plan.ts";
import type { Memory } from "#src/kernel/contract.ts";
import type { Disk } from "#src/port/disk.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import {
  checkpointDirectory,
  checkpointParts,
  type CheckpointManifest,
  manifestFile,
  sealManifest,
  temporaryPrefix,
  type UnsealedManifest,
} from "./checkpoint.ts";
import { ContentsWriter, movePointer, publishDirectory } from "./checkpoint-contents.ts";
import { elementCount, type Executor, forEachPiece } from "./executor.ts";
import { type Retention, sweepCheckpoints } from "./retention.ts";
import { sealState } from "./state-digest.ts";

/** What the writer cannot know by itself. */
export type CheckpointFacts = Pick<
  UnsealedManifest,
  "run" | "step" | "data" | "random" | "optimizer"
>;

export interface WrittenCheckpoint {
  readonly manifest: CheckpointManifest;
  /** Directories removed by the retention rule. */
  readonly removed: readonly number[];
}

export class CheckpointWriter {
  #inFlight: Promise<unknown> | null = null;
  #parent: Digest | null;

  constructor(
    readonly disk: Disk,
    /** The run's `checkpoints` directory. */
    readonly directory: string,
    readonly executor: Executor,
    readonly retention: Retention,
    parent: Digest | null,
    /** Awaited before a checkpoint takes its place: what led to its step must be recorded. */
    readonly recorded: (step: number) => Promise<void> = async () => {},
  ) {
    this.#parent = parent;
  }

  get busy(): boolean {
    return this.#inFlight !== null;
  }

  /** Waits for a checkpoint under way; its failure is its own caller's matter. */
  async idle(): Promise<void> {
    while (this.#inFlight) await this.#inFlight.catch(() => {});
  }

  /**
   * Copies the state now and resolves when it is durable and pointed at; null when another
   * checkpoint is still under way. Refusals of the disk (`disk_full` …) leave earlier checkpoints
   * and the pointer as they were.
   */
  write(facts: CheckpointFacts, best: number | null): Promise<WrittenCheckpoint> | null {
    if (this.#inFlight) return null;
    const snapshot = takeSnapshot(this.executor);
    const work = this.#writeSnapshot(facts, best, snapshot).finally(() => {
      snapshot.release();
      this.#inFlight = null;
    });
    this.#inFlight = work;
    return work;
  }

  async #writeSnapshot(
    facts: CheckpointFacts,
    best: number | null,
    snapshot: Memory,
  ): Promise<WrittenCheckpoint> {
    const name = checkpointDirectory(facts.step);
    const temporary = `${this.directory}/${temporaryPrefix}${name}`;
    try {
      await this.disk.remove(temporary);
      await this.disk.makeDirectory(temporary);
      const contents = new ContentsWriter(this.disk, temporary, snapshot);
      for (const part of checkpointParts(this.executor.plan)) await contents.writePart(part);
      await contents.writeBlocks();
      const manifest = sealManifest({
        format: "psionic-checkpoint/1",
        ...facts,
        planDigest: this.executor.plan.digest,
        lane: "exact/1",
        stateDigest: sealState(facts.step, contents.tensors).digest,
        tensors: contents.tensors.map((each) => ({ ...each, shape: [...each.shape] })),
        files: contents.files,
        parent: this.#parent,
      });
      await this.disk.publish(`${temporary}/${manifestFile}`, `${JSON.stringify(manifest)}\n`);
      await this.disk.syncDirectory(temporary);
      await this.recorded(facts.step);
      await publishDirectory(this.disk, this.directory, temporary, name);
      await movePointer(this.disk, this.directory, name, manifest.digest);
      this.#parent = manifest.digest;
      const removed = await sweepCheckpoints(this.disk, this.directory, this.retention, {
        last: facts.step,
        best,
      });
      return { manifest, removed };
    } catch (error) {
      await this.disk.remove(temporary).catch(() => {});
      throw error;
    }
  }
}

/**
 * Copies the state into memory of the backend, in the order of the checkpoint's files. Garbage of
 * this size would be collected late: between checkpoints a run holds what its plan says.
 */
function takeSnapshot(executor: Executor): Memory {
  const snapshot = executor.backend.allocate(stateBytes(executor.plan));
  let end = 0;
  for (const { tensors } of checkpointParts(executor.plan))
    for (const { tensor } of tensors) {
      const source = executor.memory(tensor.space)!;
      const sizeBytes = elementCount(tensor) * 4;
      forEachPiece(sizeBytes, (offset, length) =>
        snapshot.view(end + offset, length).set(source.view(tensor.offsetBytes + offset, length)),
      );
      end += sizeBytes;
    }
  return snapshot;
}

/** Bytes of a training state: what a checkpoint takes on the disk, and its snapshot in memory. */
export function stateBytes(plan: Plan): number {
  const tensors = checkpointParts(plan).flatMap((part) => part.tensors);
  return tensors.reduce((sum, { tensor }) => sum + elementCount(tensor) * 4, 0);
}

/** Refuses with `disk_full` when a first checkpoint would not fit beside what is there. */
export async function checkRoom(disk: Disk, directory: string, plan: Plan): Promise<void> {
  const neededBytes = stateBytes(plan) + 64 * 1024;
  const freeBytes = await disk.freeBytes(directory);
  if (freeBytes >= neededBytes) return;
  throw new Refusal(
    "disk_full",
    `A checkpoint needs ${neededBytes} bytes and only ${freeBytes} are free at ${directory}.`,
    "Free some space, choose another home with --home, or a smaller --size.",
    { neededBytes, freeBytes, directory },
  );
}
