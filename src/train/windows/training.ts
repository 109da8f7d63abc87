/**
 * The task `train`: the local steps of a window with a commitment every few of them, and the contribution made of
 * the last. Everything a commitment needs is durable before the next step, so that a process that goes on from
 * there gives the same bits as one that was never ended.
 */
import { digestBytes, type Digest } from "#src/codec/digest.ts";
import type { Memory } from "#src/kernel/contract.ts";
import type { Disk } from "#src/port/disk.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { maximumRecords } from "../messages.ts";
import {
  checkWork,
  type Commitments,
  commitmentsDigest,
  commitmentsFile,
  deltaFile,
  segmentCount,
  stepAt,
  workDigest,
} from "./commitments.ts";
import type { Progress, WindowStep } from "./messages.ts";
import type { ResultOf, TaskOf } from "./tasks.ts";
import {
  contributionDirectory,
  keepPrivate,
  privateDirectory,
  readProgress,
  stateDirectory,
  windowDirectory,
  type WindowProgress,
  writePace,
  writeProgress,
} from "./window-store.ts";
import type { LoadedRevision, OpenRun, Workbench } from "./workbench.ts";
import { privateDigest, windowStateDigest, type WorkerState } from "./worker-state.ts";

/** Progress without the number of its task, which the process adds. */
export type Told = Progress extends infer Each
  ? Each extends Progress
    ? Omit<Each, "id">
    : never
  : never;

/** A run is its user's: nobody else of the machine reads its weights. */
const ownerOnly = 0o700;
/** Steps are reported together at most this late. */
const reportEveryMs = 100;

/** Refuses with `work_invalid`, `not_finite`, `interrupted`, `replay_differs`, `disk_*`, `checkpoint_*`. */
export async function trainWindow(
  bench: Workbench,
  task: TaskOf<"train">,
  tell: (told: Told) => void,
): Promise<ResultOf<"train">> {
  checkWork(task.work);
  const revision = await bench.loadRevision(task.revision);
  return await new WindowTraining(bench, task, revision, tell).run();
}

class WindowTraining {
  readonly #run: OpenRun;
  readonly #disk: Disk;
  readonly #workDigest: Digest;
  readonly #segments: number;
  #progress: WindowProgress;
  /** Commitments of an earlier process beyond the one gone on from: they must come again. */
  #expected: readonly { readonly digest: Digest }[] = [];
  #trainMs = 0;
  /** The commitment being written. */
  #committing: Promise<void> = Promise.resolve();
  #waiting: WindowStep[] = [];
  #lastReportMs = 0;
  /** Steps of this process and what they took, for the pace. */
  #paced = { steps: 0, tookMs: 0 };

  constructor(
    readonly bench: Workbench,
    readonly task: TaskOf<"train">,
    readonly revision: LoadedRevision,
    readonly tell: (told: Told) => void,
  ) {
    this.#run = bench.run;
    this.#disk = bench.run.disk;
    const { work } = task;
    this.#workDigest = workDigest(work, revision.digest);
    this.#segments = segmentCount(work);
    this.#progress = this.#unbegun();
  }

  async run(): Promise<ResultOf<"train">> {
    const finished = await this.#open();
    if (finished !== null) return finished;
    const { executor } = this.#run;
    const memory = executor.backend.allocate(this.bench.state.sizeBytes);
    try {
      await this.#takeAll(memory);
      return await this.#finish();
    } finally {
      // Nothing is left at work when the task is over, however it ends.
      await this.#committing.catch(() => {});
      memory.release();
    }
  }

  /** The steps of all segments; a state is written while those of the next segment are taken. */
  async #takeAll(memory: Memory): Promise<void> {
    const { work } = this.task;
    let index = await this.#resume();
    if (index === null) {
      await this.#begin();
      index = 0;
      await this.#startCommit(0, memory);
    }
    this.#lastReportMs = this.#run.clock.monotonicMs();
    for (; index < this.#segments; index++) {
      await this.#takeSegment(stepAt(work, index), stepAt(work, index + 1));
      await this.#startCommit(index + 1, memory);
    }
    await this.#committing;
  }

  /** Copies the state once the one before is durable, and has the copy written beside the work. */
  async #startCommit(index: number, memory: Memory): Promise<void> {
    await this.#committing;
    this.#committing = this.#commit(index, this.bench.state.copy(memory), this.#trainMs);
    // Its failure is met where it is waited for.
    this.#committing.catch(() => {});
  }

  #unbegun(): WindowProgress {
    const { task, revision } = this;
    return {
      format: "psionic-window-progress/1",
      work: task.work,
      workDigest: this.#workDigest,
      revision: revision.digest,
      private: task.private,
      commits: [],
      start: null,
      result: null,
    };
  }

  /** Looks at what lies there of this window; what is of other work is removed. Gives a result that still holds. */
  async #open(): Promise<ResultOf<"train"> | null> {
    const { directory } = this.#run;
    const { window } = this.task.work;
    const found = await readProgress(this.#disk, directory, window);
    const isSame =
      found?.workDigest === this.#workDigest && found.private === this.#progress.private;
    if (!isSame) await this.#disk.remove(windowDirectory(directory, window));
    else this.#progress = found;
    await this.#disk.makeDirectory(`${windowDirectory(directory, window)}/states`, ownerOnly);
    const { result } = this.#progress;
    if (result?.kind !== "train" || !(await this.#holds(result))) return null;
    return { ...result, directory: contributionDirectory(directory, window) };
  }

  /** Whether everything a result speaks of is still there. */
  async #holds(result: ResultOf<"train">): Promise<boolean> {
    const { directory } = this.#run;
    const contribution = contributionDirectory(directory, this.task.work.window);
    const sizes = await Promise.all(
      [deltaFile, commitmentsFile].map((name) => this.#disk.stat(`${contribution}/${name}`)),
    );
    const sizeBytes = sizes.reduce((sum, entry) => sum + (entry?.sizeBytes ?? 0), 0);
    if (sizeBytes !== result.sizeBytes) return false;
    return (await this.#disk.stat(privateDirectory(directory, result.private))) !== null;
  }

  /** Loads the latest committed state that holds; gives its index, or null where there is none. */
  async #resume(): Promise<number | null> {
    const { commits } = this.#progress;
    const { directory, clock } = this.#run;
    const { window } = this.task.work;
    for (let index = commits.length - 1; index >= 0; index--) {
      clock.check();
      const state = stateDirectory(directory, window, index);
      if ((await this.#disk.stat(state)) === null) continue;
      try {
        const { place, parts } = await this.bench.state.read(this.#disk, state);
        const isIt = place.step === stepAt(this.task.work, index);
        if (!isIt || windowStateDigest(place, parts) !== commits[index]!.digest) continue;
      } catch (error) {
        if (!isDamage(error)) throw error;
        continue;
      }
      this.#expected = commits;
      this.#trainMs = commits[index]!.trainMs;
      this.#progress = { ...this.#progress, commits: commits.slice(0, index + 1), result: null };
      return index;
    }
    this.#expected = commits;
    this.#progress = { ...this.#unbegun() };
    return null;
  }

  /** The state all begins from: the revision, and what is private to this worker where it is here. */
  async #begin(): Promise<void> {
    const { bench, revision, task } = this;
    bench.restore(revision);
    bench.state.clearPrivate();
    if (task.private === null) return;
    const directory = privateDirectory(this.#run.directory, task.private);
    if ((await this.#disk.stat(directory)) === null) return;
    try {
      const parts = await bench.state.readPrivate(this.#disk, directory);
      if (privateDigest(parts) === task.private) return;
    } catch (error) {
      if (!isDamage(error)) throw error;
    }
    bench.state.clearPrivate();
  }

  async #takeSegment(from: number, to: number): Promise<void> {
    const { clock } = this.#run;
    const { window, scheduleSteps } = this.task.work;
    await this.bench.takeSteps(this.task.work, from, to, (record, slot, tookMs) => {
      this.#trainMs += tookMs;
      this.#paced = { steps: this.#paced.steps + 1, tookMs: this.#paced.tookMs + tookMs };
      this.#waiting.push({
        ...record,
        slot,
        scheduleStep: scheduleSteps[record.step - 1]!,
        tokensPerSecond: (record.tokens * 1000) / Math.max(1e-3, tookMs),
      });
      const nowMs = clock.monotonicMs();
      if (nowMs - this.#lastReportMs < reportEveryMs && this.#waiting.length < maximumRecords)
        return;
      this.#lastReportMs = nowMs;
      this.#report(window);
    });
    this.#report(window);
  }

  #report(window: number): void {
    if (this.#waiting.length === 0) return;
    this.tell({ type: "steps", window, records: this.#waiting });
    this.#waiting = [];
  }

  /** Makes a state durable as the commitment of that number. */
  async #commit(index: number, write: WorkerState["write"], trainMs: number): Promise<void> {
    const { work } = this.task;
    const { window, steps } = work;
    const step = stepAt(work, index);
    const place = { window, work: this.#workDigest, step };
    const { directory } = this.#run;
    const parts = await write(this.#disk, stateDirectory(directory, window, index), place);
    const digest = windowStateDigest(place, parts);
    const expected = this.#expected[index];
    if (expected !== undefined && expected.digest !== digest) refuseReplay(window, step);
    const { parameters, moments, age, residual } = parts;
    const commit = { digest, parameters, moments, trainMs };
    this.#progress = {
      ...this.#progress,
      commits: [...this.#progress.commits, commit],
      start: this.#progress.start ?? { age, residual },
    };
    await writeProgress(this.#disk, directory, this.#progress);
    this.tell({ type: "committed", window, index, step, steps, digest });
    if (index > 0 && !this.#isKept(index - 1))
      await this.#disk.remove(stateDirectory(directory, window, index - 1));
  }

  /** Whether a state stays when later ones are there: all where they fit the budget, else every k-th. */
  #isKept(index: number): boolean {
    const fitting = Math.max(1, Math.floor(this.#run.keepBytes / this.bench.state.sizeBytes));
    return index % Math.ceil((this.#segments + 1) / fitting) === 0;
  }

  /** The contribution, made of the last state, which is in memory. */
  async #finish(): Promise<ResultOf<"train">> {
    const { bench, task, revision } = this;
    const { clock, directory } = this.#run;
    const { window } = task.work;
    const startMs = clock.monotonicMs();
    const { bytes, residual } = bench.encode(revision);
    bench.state.residual?.set(residual!);
    this.#trainMs += clock.monotonicMs() - startMs;
    const parts = await bench.state.digestParts();
    const own = privateDigest(parts);
    await this.#disk.makeDirectory(`${directory}/private`, ownerOnly);
    await bench.state.writePrivate(this.#disk, privateDirectory(directory, own));
    await keepPrivate(this.#disk, directory, [task.private, own]);
    const commitments = this.#commitments(bytes, parts.residual);
    const text = `${JSON.stringify(commitments)}\n`;
    const contribution = contributionDirectory(directory, window);
    // What a process that was killed here left half-written is no part of what is given.
    await this.#disk.remove(contribution);
    await this.#disk.makeDirectory(contribution, ownerOnly);
    await this.#disk.publish(`${contribution}/${deltaFile}`, bytes);
    await this.#disk.publish(`${contribution}/${commitmentsFile}`, text);
    const result: ResultOf<"train"> = {
      kind: "train",
      directory: contribution,
      sizeBytes: bytes.byteLength + Buffer.byteLength(text),
      commitments: commitmentsDigest(commitments),
      segments: this.#segments,
      private: own,
      trainMs: Math.round(this.#trainMs),
      rate: await this.#rate(),
    };
    this.#progress = { ...this.#progress, result };
    await writeProgress(this.#disk, directory, this.#progress);
    // Nobody asks for the last state: no segment begins there.
    await this.#disk.remove(stateDirectory(directory, window, this.#segments));
    return result;
  }

  #commitments(delta: Uint8Array, residualAfter: Digest | null): Commitments {
    const { work } = this.task;
    const { commits, start } = this.#progress;
    return {
      format: "psionic-commitments/1",
      revision: this.revision.digest,
      work: this.#workDigest,
      window: work.window,
      steps: work.steps,
      segmentSteps: work.segmentSteps,
      codec: this.bench.codec.settings.name,
      age: start!.age,
      residualBefore: start!.residual,
      residualAfter,
      states: commits.map(({ parameters, moments }) => ({ parameters, moments })),
      delta: digestBytes(delta),
      deltaBytes: delta.byteLength,
    };
  }

  /** Tokens per second of all the window's steps; also what is known of this machine from now on. */
  async #rate(): Promise<number> {
    const { bench, task } = this;
    const tokens = task.work.steps * bench.trainer.tokensPerStep;
    const rate = Math.max(1, Math.round((tokens * 1000) / Math.max(1, this.#trainMs)));
    if (this.#paced.steps > 0)
      await writePace(this.#disk, this.#run.directory, {
        of: bench.paceName,
        tokensPerSecond: rate,
      });
    return rate;
  }
}

/** Whether what was read is damaged or gone, rather than the disk unable to read. */
export function isDamage(error: unknown): boolean {
  return error instanceof Refusal && /^checkpoint_|^not_found$|^not_a_file$/.test(error.code);
}

function refuseReplay(window: number, step: number): never {
  throw new Refusal(
    "replay_differs",
    `Step ${step} of window ${window} was computed again after a restart and gave another state than before.`,
    "Memory or processor of this machine cannot be trusted; test the machine's memory.",
    { window, step },
  );
}
