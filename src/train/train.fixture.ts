/** What the tests of this room share: a model small enough for the reference backend, and doubles. */
import { AdditionDataset } from "#src/dataset/addition.ts";
import { openReferenceBackend } from "#src/kernel/reference/reference-backend.ts";
import { configureModel } from "#src/model/configuration.ts";
import { machineClock } from "#src/node/clock.ts";
import type { Disk, FileWriter } from "#src/port/disk.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { Executor } from "./executor.ts";
import { optimizerDefaults } from "./optimizer.ts";
import { planOf } from "./run-plan.ts";
import { trainerVersion, type RunManifest } from "./run-manifest.ts";
import { Trainer } from "./trainer.ts";
import { assignTrainingData } from "./training-data.ts";

export const dataset = new AdditionDataset(1);

/** One-digit addition: 5 tokens of context, a few thousand parameters, milliseconds per step. */
export function tinyManifest(changes: Partial<RunManifest> = {}): RunManifest {
  const contextLength = dataset.contextLength.maximum;
  const settings = {
    model: configureModel({
      style: "gpt2",
      layers: 1,
      width: 16,
      heads: 2,
      dropout: 0.1,
      contextLength,
      vocabularySize: dataset.vocabularySize,
    }),
    batchSize: 4,
    microBatches: 2,
    contextLength,
    evaluateBatchSize: 5,
    decayEmbeddings: true,
    recompute: false,
    optimizer: optimizerDefaults("adamw"),
    ...changes,
  };
  return {
    format: "psionic-run/1",
    lane: "exact/1",
    trainerVersion,
    seed: 7,
    size: "test",
    schedule: {
      kind: "cosine",
      peakRate: 0.01,
      warmupSteps: 5,
      steps: 20,
      finalFraction: 0.1,
      decayFraction: 0.2,
    },
    stepsOpen: false,
    data: {
      digest: dataset.manifestDigest,
      tokenizerDigest: dataset.tokenizer.digest,
      reference: { task: "addition", digitCount: 1 },
      policy: "epoch",
    },
    planDigest: planOf(settings).digest,
    evaluation: { everySteps: 5, batches: 1 },
    checkpoints: { everySteps: 4, keepLast: 3, keepEverySteps: 8 },
    ...settings,
  };
}

export function tinyTrainer(manifest = tinyManifest()): Trainer {
  const executor = new Executor(openReferenceBackend(), planOf(manifest), machineClock);
  return new Trainer(executor, manifest, assignTrainingData(dataset, manifest));
}

/** Files in memory, with faults on demand. Directories exist where files are. */
export class MemoryDisk implements Disk {
  readonly files = new Map<string, Uint8Array>();
  readonly directories = new Set<string>();
  /** Bytes that still fit; writing beyond is refused as a full disk refuses. */
  roomBytes = Infinity;
  /** Called before every change with its name and path; throwing makes the change fail. */
  beforeChange: (change: string, path: string) => void = () => {};
  /** Resolves before each write of a created file, so that tests hold a writer up. */
  gate: Promise<void> = Promise.resolve();

  async readBytes(path: string): Promise<Uint8Array> {
    const bytes = this.files.get(path);
    if (!bytes) throw new Refusal("not_found", `${path} does not exist`, "");
    return bytes.slice();
  }
  async readRange(path: string, offset: number, length: number): Promise<Uint8Array> {
    return (await this.readBytes(path)).slice(offset, offset + length);
  }
  async readText(path: string): Promise<string> {
    return new TextDecoder().decode(await this.readBytes(path));
  }
  async publish(path: string, content: Uint8Array | string): Promise<void> {
    this.beforeChange("publish", path);
    const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content.slice();
    this.#take(bytes.byteLength);
    this.files.set(path, bytes);
  }
  async create(path: string): Promise<FileWriter> {
    this.beforeChange("create", path);
    if (this.files.has(path)) throw new Refusal("disk_failed", `${path} exists`, "");
    this.files.set(path, new Uint8Array(0));
    return {
      write: async (bytes) => {
        await this.gate;
        this.beforeChange("write", path);
        this.#take(bytes.byteLength);
        const old = this.files.get(path)!;
        const joined = new Uint8Array(old.byteLength + bytes.byteLength);
        joined.set(old);
        joined.set(bytes, old.byteLength);
        this.files.set(path, joined);
      },
      sync: async () => this.beforeChange("sync", path),
      close: async () => {},
    };
  }
  async rename(from: string, to: string): Promise<void> {
    this.beforeChange("rename", to);
    for (const [path, bytes] of [...this.files])
      if (path === from || path.startsWith(`${from}/`)) {
        this.files.delete(path);
        this.files.set(to + path.slice(from.length), bytes);
      }
    if (this.directories.delete(from)) this.directories.add(to);
  }
  async remove(path: string): Promise<void> {
    this.beforeChange("remove", path);
    for (const each of [...this.files.keys()])
      if (each === path || each.startsWith(`${path}/`)) this.files.delete(each);
    this.directories.delete(path);
  }
  async makeDirectory(path: string): Promise<void> {
    this.directories.add(path);
  }
  async syncDirectory(): Promise<void> {}
  async list(path: string) {
    const names = new Set(
      [...this.files.keys(), ...this.directories]
        .filter((each) => each.startsWith(`${path}/`))
        .map((each) => each.slice(path.length + 1).split("/")[0]!),
    );
    const entries = await Promise.all(
      [...names].sort().map((name) => this.stat(`${path}/${name}`)),
    );
    return entries.filter((entry) => entry !== null);
  }
  async stat(path: string) {
    const name = path.split("/").pop()!;
    const common = { name, modifiedMs: 0, mode: 0o644 };
    const bytes = this.files.get(path);
    if (bytes) return { ...common, kind: "file" as const, sizeBytes: bytes.byteLength };
    const isDirectory =
      this.directories.has(path) ||
      [...this.files.keys()].some((each) => each.startsWith(`${path}/`));
    return isDirectory ? { ...common, kind: "directory" as const, sizeBytes: 0 } : null;
  }
  async freeBytes(): Promise<number> {
    return this.roomBytes;
  }
  #take(bytes: number): void {
    if (bytes > this.roomBytes)
      throw new Refusal("disk_full", "no space is left", "Free some space.");
    this.roomBytes -= bytes;
  }
}
