/** A run of a few nodes by the rules alone, what it leaves, and the bundle made of that. */
import { chunkBytesMinimum, nameManifest, type NamedManifest } from "#src/artifact/manifest.ts";
import { digestBytes, digestJson, type Digest } from "#src/codec/digest.ts";
import { nodeIdOf, signingKeyFromSeed, type SigningKey } from "#src/receipt/signature.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { MemoryDisk } from "#src/train/train.fixture.ts";
import type { RunCommand, Saying, SayingOf, Statement } from "#src/window/event.ts";
import { decide } from "#src/window/reduce.ts";
import { isOver, type Run, type RunSpec, type Task, type Window } from "#src/window/run.ts";
import type { RunRecord } from "#src/window/services.ts";
import { signStatement } from "#src/window/statement.ts";
import type { RunMember } from "#src/window/surroundings.ts";
import { writeEvidence, type EvidenceSource } from "./export.ts";
import type { Exporter } from "./parts.ts";

export const meshName = "mesh-of-tests";
export const runName = "abcd2345";
const fence = { term: 1, index: 1, authority: "0".repeat(64) };

/** Artifacts in memory. */
export class MemoryShelf {
  readonly #manifests = new Map<Digest, NamedManifest>();
  readonly #chunks = new Map<Digest, Uint8Array>();

  /** Makes an artifact of a folder's files, by path. */
  add(files: Readonly<Record<string, Uint8Array | string>>): Digest {
    const paths = Object.keys(files).toSorted();
    const contents = paths.map((path) => Buffer.from(files[path] as string));
    const chunks = contents.flatMap((bytes) => {
      const count = Math.ceil(bytes.length / chunkBytesMinimum);
      return Array.from({ length: count }, (_, at) =>
        bytes.subarray(at * chunkBytesMinimum, (at + 1) * chunkBytesMinimum),
      );
    });
    for (const chunk of chunks) this.#chunks.set(digestBytes(chunk), chunk);
    const named = nameManifest({
      format: "psionic-artifact/1",
      mediaType: "inode/directory",
      sizeBytes: contents.reduce((sum, { length }) => sum + length, 0),
      chunkBytes: chunkBytesMinimum,
      files: paths.map((path, index) => ({ path, sizeBytes: contents[index]!.length })),
      chunks: chunks.map((chunk) => digestBytes(chunk)),
    });
    this.#manifests.set(named.digest, named);
    return named.digest;
  }

  drop(artifact: Digest): void {
    this.#manifests.delete(artifact);
  }

  async manifest(digest: Digest): Promise<NamedManifest> {
    const named = this.#manifests.get(digest);
    if (named !== undefined) return named;
    throw new Refusal("artifact_unknown", `nothing here is ${digest}`, "");
  }

  readonly blobs = {
    read: async (_: string, digest: Digest): Promise<Uint8Array> => this.#chunks.get(digest)!,
    present: async (chunks: readonly { readonly digest: Digest }[]) =>
      new Set(chunks.map(({ digest }) => digest).filter((digest) => this.#chunks.has(digest))),
  };
}

/** The numbers of a run: what its rules never see. */
export interface Numbers {
  seedDigest(): Promise<Digest>;
  contribute(
    node: string,
    run: Run,
    window: Window,
    task: Task,
  ): Promise<Omit<SayingOf<"contribution">, "saying" | "window">>;
  /** State digests after the segment, committed and recomputed. */
  recompute(window: Window, worker: string, segment: number): Promise<[Digest, Digest]>;
  merge(run: Run, window: Window): Promise<{ readonly digest: Digest; readonly artifact: Digest }>;
}

/** Numbers that are digests of what they would have come from. */
export class ToyNumbers implements Numbers {
  constructor(readonly shelf: MemoryShelf) {}

  async seedDigest(): Promise<Digest> {
    return digestJson("seed");
  }

  async contribute(node: string, run: Run, window: Window, task: Task) {
    const text = JSON.stringify({ node, window: window.number, task });
    const segments = Math.ceil(task.steps / run.spec.segmentSteps);
    const artifact = this.shelf.add({ "delta.bin": text, "commitments.json": "{}" });
    const digest = digestJson(text);
    const sizes = { sizeBytes: text.length + 2, segments, trainMs: 10 };
    return { artifact, commitments: digest, private: digest, ...sizes };
  }

  async recompute(window: Window, worker: string, segment: number): Promise<[Digest, Digest]> {
    const digest = digestJson({ window: window.number, worker, segment });
    return [digest, digest];
  }

  async merge(_: Run, window: Window) {
    const text = JSON.stringify({ window: window.number, accepted: window.accepted });
    return { digest: digestJson(text), artifact: this.shelf.add({ "revision.json": text }) };
  }
}

export const toySpec: RunSpec = {
  ...{ seed: 7, slots: 24, slotTokens: 40, scheduleSteps: 24, windowSteps: 4, segmentSteps: 2 },
  ...{ codec: "dense", pace: "even", participants: 3, validators: 1, replayPerMillion: 500_000 },
  ...{ quorum: 2, strikes: 2, trainMs: 1_000, judgeMs: 1_000, mergeMs: 1_000, silenceMs: 1_000 },
} as const;

/** Nodes of a mesh and the record of one run of theirs. */
export class MiniMesh {
  /** By node; a test may give a node another key. */
  readonly keys: Map<string, SigningKey>;
  readonly nodes: readonly string[];
  readonly records: RunRecord[] = [];
  #runs: readonly Run[] = [];
  #timeMs = 1_000;
  #index = 10;
  /** Those who are there. */
  ready: Set<string>;

  constructor(count: number) {
    const keys = Array.from({ length: count }, (_, at) =>
      signingKeyFromSeed(new Uint8Array(32).fill(at + 1)),
    ).map((key) => [nodeIdOf(key.publicKey), key] as const);
    this.keys = new Map(keys.toSorted(([a], [b]) => (a < b ? -1 : 1)));
    this.nodes = [...this.keys.keys()];
    this.ready = new Set(this.nodes);
  }

  get run(): Run {
    return this.#runs[0]!;
  }

  submit(author: string, command: RunCommand): void {
    this.#timeMs += 7;
    const event = { author, timeMs: this.#timeMs, term: 1, command };
    const members = this.nodes.map((node): RunMember => {
      const flags = { isTrainer: true, isValidator: true, isHost: true };
      return { node, key: this.keys.get(node)!.publicKey, isReady: this.ready.has(node), ...flags };
    });
    const around = { mesh: meshName, nowMs: this.#timeMs, term: 1, members };
    const { runs, run, decided } = decide(this.#runs, event, around);
    this.#runs = runs;
    const index = (this.#index += 3);
    this.records.push({
      ...{ run: run.run, index, term: 1, atMs: event.timeMs, author, command },
      ...{ decided: structuredClone(decided), chain: run.chain },
    });
  }

  say(node: string, said: Saying, anchor: Digest | null): void {
    this.submit(node, { kind: "run-stated", node, statement: this.statement(node, said, anchor) });
  }

  statement(node: string, said: Saying, anchor: Digest | null): Statement {
    const previous = this.run.workers.find((worker) => worker.node === node)?.statement ?? null;
    const unsigned = { mesh: meshName, run: this.run.run, node, previous, anchor, said };
    return signStatement(this.keys.get(node)!, unsigned);
  }
}

/** What happens in a played run beside the ordinary. */
export interface Plot {
  /** Who is there in a window, by its number; all where it is not said. */
  readonly ready?: (window: number, nodes: readonly string[]) => readonly string[];
  /** Whose contribution is rejected in a window. */
  readonly rejected?: (window: number, worker: string) => boolean;
  /** Windows after which the run is stopped. */
  readonly windows?: number;
}

/** Plays a run from its creation to its end. */
export async function playRun(
  mesh: MiniMesh,
  numbers: Numbers,
  { spec, document }: { readonly spec: RunSpec; readonly document: Digest },
  plot: Plot = {},
): Promise<void> {
  const [host] = mesh.nodes;
  mesh.submit(host!, { kind: "run-created", run: runName, name: "tale", document, spec });
  for (const node of mesh.nodes) await sayReady(mesh, numbers, node);
  while (!isOver(mesh.run)) {
    if (mesh.run.windowCount >= (plot.windows ?? Infinity)) {
      mesh.submit(host!, { kind: "run-wished", run: runName, wish: "stop" });
      return;
    }
    await playWindow(mesh, numbers, plot);
  }
}

async function sayReady(mesh: MiniMesh, numbers: Numbers, node: string): Promise<void> {
  const { number, digest } = mesh.run.revision;
  const facts = { revision: number, digest: digest ?? (await numbers.seedDigest()) };
  mesh.say(node, { saying: "ready", ...facts, lane: "reference", rate: 100 }, null);
}

async function playWindow(mesh: MiniMesh, numbers: Numbers, plot: Plot): Promise<void> {
  const [host] = mesh.nodes;
  const number = mesh.run.windowCount + 1;
  mesh.ready = new Set(plot.ready?.(number, mesh.nodes) ?? mesh.nodes);
  for (const { node, revision } of mesh.run.workers)
    if (mesh.ready.has(node) && revision !== mesh.run.revision.number)
      await sayReady(mesh, numbers, node);
  mesh.submit(host!, { kind: "window-opened", run: runName, window: number, fence });
  const opened = mesh.run.window!;
  for (const task of opened.tasks) {
    const made = await numbers.contribute(task.worker, mesh.run, opened, task);
    const said = { saying: "contribution", window: number, ...made } as const;
    mesh.say(task.worker, said, opened.anchor);
  }
  const seed = digestJson({ drawn: number });
  mesh.submit(host!, { kind: "window-sealed", run: runName, window: number, seed, fence });
  await judge(mesh, numbers, number, plot);
  const scored = mesh.run.window;
  if (scored?.stage !== "scored") return;
  const { digest, artifact } = await numbers.merge(mesh.run, scored);
  const said = { saying: "revision", window: number, revision: scored.revision + 1 } as const;
  for (const { node, revision } of mesh.run.workers)
    if (mesh.ready.has(node) && revision === scored.revision && !isOver(mesh.run))
      mesh.say(node, { ...said, digest, artifact }, scored.anchor);
}

async function judge(mesh: MiniMesh, numbers: Numbers, number: number, plot: Plot): Promise<void> {
  const sealed = mesh.run.window;
  if (sealed?.stage !== "sealed") return;
  for (const { worker, validators, segment } of sealed.draws)
    for (const validator of validators) {
      const isRejected = plot.rejected?.(number, worker) === true;
      const [committed, recomputed] =
        segment === null ? [null, null] : await numbers.recompute(sealed, worker, segment);
      const contribution = sealed.contributions.find((each) => each.worker === worker)!.statement;
      const about = { saying: "verdict", window: number, worker, contribution } as const;
      const found = isRejected
        ? { verdict: "rejected" as const, reasons: ["delta_copied" as const] }
        : { verdict: "accepted" as const, reasons: [] };
      mesh.say(
        validator,
        { ...about, ...found, segment, committed, recomputed, tookMs: 1 },
        sealed.anchor,
      );
    }
}

export const exporterOf = (mesh: MiniMesh): Exporter => {
  const [nodeId, key] = [...mesh.keys][0]!;
  return { nodeId, key, rotations: [] };
};

export function sourceOf(
  mesh: MiniMesh,
  shelf: MemoryShelf,
  records = mesh.records,
): EvidenceSource {
  return {
    ...{ mesh: meshName, records },
    members: [...mesh.keys].map(([node, key]) => ({ node, key: key.publicKey, rotations: [] })),
    shelf: shelf as unknown as EvidenceSource["shelf"],
    async fetch(artifact) {
      throw new Refusal("artifact_unavailable", `nobody has ${artifact}`, "");
    },
  };
}

export const bundlePath = "/bundle";

/** A bundle as bytes. */
export async function bundleBytes(source: EvidenceSource, exporter: Exporter): Promise<Uint8Array> {
  const disk = new MemoryDisk();
  const { signal } = new AbortController();
  await writeEvidence(disk, bundlePath, source, exporter, { signal });
  return disk.files.get(bundlePath)!;
}
