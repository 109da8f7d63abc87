/** The numbers of a run as nodes of a mesh compute them, each in its own folder of one disk in memory. */
import type { Digest } from "#src/codec/digest.ts";
import { openReferenceBackend } from "#src/kernel/reference/reference-backend.ts";
import { machineClock } from "#src/node/clock.ts";
import { Executor } from "#src/train/executor.ts";
import {
  makeRunDocument,
  runDocumentText,
  specOf,
  type RunDocument,
} from "#src/train/run-document.ts";
import { planOf } from "#src/train/run-plan.ts";
import { dataset, MemoryDisk, tinyManifest } from "#src/train/train.fixture.ts";
import { assignTrainingData } from "#src/train/training-data.ts";
import { committedDigest, type Commitments } from "#src/train/windows/commitments.ts";
import { InterruptibleClock } from "#src/train/windows/interruptible-clock.ts";
import { WorkerSession } from "#src/train/windows/session.ts";
import type { ResultOf, RevisionPlace, TaskKind, TaskOf } from "#src/train/windows/tasks.ts";
import { codecs, outer } from "#src/train/windows/worker.fixture.ts";
import type { Run, RunSpec, Task, Window } from "#src/window/run.ts";
import { workOf } from "./check-contribution.ts";
import { MemoryShelf, runName, toySpec, type Numbers } from "./evidence.fixture.ts";

/** A one-digit addition over the reference backend: milliseconds a step. */
export function tinyDocument(codec: keyof typeof codecs, slots: number): RunDocument {
  const { seed: _s, slotTokens: _t, scheduleSteps: _c, codec: _k, ...windows } = toySpec;
  return makeRunDocument(tinyManifest(), {
    codec: codecs[codec],
    outer,
    windows: { ...windows, slots },
  });
}

export class RealNumbers implements Numbers {
  readonly disk = new MemoryDisk();
  readonly spec: RunSpec;
  readonly document: Digest;
  readonly #sessions = new Map<string, WorkerSession>();
  readonly #commitments = new Map<string, Commitments>();
  #revision: RevisionPlace = { number: 0, directory: null, digest: null };
  /** What a worker hands in instead of what it did. */
  cheat: (node: string, window: number, commitments: Commitments) => Commitments = (
    _n,
    _w,
    honest,
  ) => honest;

  constructor(
    readonly shelf: MemoryShelf,
    readonly runDocument: RunDocument,
  ) {
    this.spec = specOf(runDocument);
    this.document = shelf.add({ "run.json": runDocumentText(runDocument) });
  }

  async seedDigest(): Promise<Digest> {
    const revision = { number: 0, directory: null, digest: null };
    return (await this.#do("first", { kind: "prepare", revision })).digest;
  }

  async contribute(node: string, run: Run, window: Window, task: Task) {
    const about = { number: window.number, progress: window.progress };
    const work = workOf(
      run.spec,
      { ...about, participants: window.tasks.length } as never,
      { task } as never,
    );
    const own = run.workers.find((worker) => worker.node === node)?.private ?? null;
    const revision = this.#revision;
    const done = await this.#do(node, { kind: "train", revision, work, private: own });
    const files: Record<string, Uint8Array> = {};
    for (const name of ["delta.bin", "commitments.json"])
      files[name] = this.disk.files.get(`${done.directory}/${name}`)!;
    const honest = JSON.parse(new TextDecoder().decode(files["commitments.json"])) as Commitments;
    const stated = this.cheat(node, window.number, honest);
    if (stated !== honest) files["commitments.json"] = Buffer.from(JSON.stringify(stated));
    this.#commitments.set(node, stated);
    const { commitmentsDigest } = await import("#src/train/windows/commitments.ts");
    return {
      artifact: this.shelf.add(files),
      commitments: commitmentsDigest(stated),
      ...{ sizeBytes: done.sizeBytes, segments: done.segments, private: done.private },
      trainMs: done.trainMs,
    };
  }

  async recompute(window: Window, worker: string, segment: number): Promise<[Digest, Digest]> {
    const { steps } = window.tasks.find((task) => task.worker === worker)!;
    const work = { steps, segmentSteps: this.spec.segmentSteps };
    const digest = committedDigest(this.#commitments.get(worker)!, work, segment + 1);
    return [digest, digest];
  }

  async merge(run: Run, window: Window) {
    const directory = `/revisions/${window.revision + 1}`;
    const deltas = window.tasks
      .filter(({ worker }) => window.accepted.includes(worker))
      .map(({ worker, steps }) => ({
        worker,
        file: `/nodes/${worker}/windows/${window.number}/contribution/delta.bin`,
        weight: steps * run.spec.slotTokens,
      }));
    const revision = this.#revision;
    const merged = await this.#do("first", { kind: "merge", revision, deltas, directory });
    this.#revision = { number: merged.number, directory, digest: merged.digest };
    const files: Record<string, Uint8Array> = {};
    for (const { name } of await this.disk.list(directory))
      files[name] = this.disk.files.get(`${directory}/${name}`)!;
    return { digest: merged.digest, artifact: this.shelf.add(files) };
  }

  async #do<K extends TaskKind>(node: string, task: TaskOf<K>): Promise<ResultOf<K>> {
    const { signal } = new AbortController();
    return (await this.#session(node).perform(task, () => {}, signal)) as ResultOf<K>;
  }

  #session(node: string): WorkerSession {
    const known = this.#sessions.get(node);
    if (known !== undefined) return known;
    const clock = new InterruptibleClock(machineClock);
    const { manifest } = this.runDocument;
    const session = new WorkerSession({
      ...{ run: runName, disk: this.disk, directory: `/nodes/${node}`, clock },
      executor: new Executor(openReferenceBackend(), planOf(manifest), clock),
      document: this.runDocument,
      data: assignTrainingData(dataset, manifest),
      keepBytes: 2 ** 30,
    });
    this.#sessions.set(node, session);
    return session;
  }
}
