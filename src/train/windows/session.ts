/**
 * The tasks of one open run, one after the other, over an executor and ports: what the worker process does, without
 * the process. Every task finds on the disk what it goes on from, so their order does not matter.
 */
import { Refusal } from "#src/refusal/refusal.ts";
import { DeltaMean, outerStep } from "../delta/outer.ts";
import { stepAt } from "./commitments.ts";
import type { ResultOf, Task, TaskOf, TaskResult } from "./tasks.ts";
import { isDamage, type Told, trainWindow } from "./training.ts";
import { validateContribution } from "./validation.ts";
import { keptState, readPace, readProgress, stateDirectory, writePace } from "./window-store.ts";
import { type OpenRun, Workbench } from "./workbench.ts";
import { windowStateDigest } from "./worker-state.ts";

/** Steps that are timed after the first, which is slower than others. */
const timedSteps = 2;

export class WorkerSession {
  readonly #bench: Workbench;

  constructor(readonly run: OpenRun) {
    this.#bench = new Workbench(run);
  }

  /**
   * Does one task; they do not overlap. `tell` hears of its progress. Refuses with `interrupted` once the signal is
   * aborted, at the latest after one stretch of computing.
   */
  async perform(task: Task, tell: (told: Told) => void, signal: AbortSignal): Promise<TaskResult> {
    const { clock } = this.run;
    clock.signal = signal;
    try {
      clock.check();
      return await this.#perform(task, tell);
    } finally {
      clock.signal = null;
    }
  }

  #perform(task: Task, tell: (told: Told) => void): Promise<TaskResult> {
    switch (task.kind) {
      case "prepare":
        return this.#prepare(task);
      case "train":
        return trainWindow(this.#bench, task, tell);
      case "state":
        return this.#state(task);
      case "validate":
        return validateContribution(this.#bench, task);
      case "merge":
        return this.#merge(task);
      case "evaluate":
        return this.#evaluate(task);
    }
  }

  async #prepare({ revision }: TaskOf<"prepare">): Promise<ResultOf<"prepare">> {
    const loaded = await this.#bench.loadRevision(revision);
    const { name } = this.run.executor.backend;
    const lane = name.slice(name.lastIndexOf("/") + 1);
    return { kind: "prepare", digest: loaded.digest, lane, rate: await this.#rate() };
  }

  /** Tokens per second as known from earlier work, or from a step or two taken for that. */
  async #rate(): Promise<number> {
    const { disk, directory, clock } = this.run;
    const { paceName, trainer, state } = this.#bench;
    const known = await readPace(disk, directory, paceName);
    if (known !== null) return Math.max(1, Math.round(known));
    state.clearPrivate();
    const work = {
      window: 1,
      slices: [{ first: 0, count: 1 + timedSteps }],
      steps: 1 + timedSteps,
      segmentSteps: 1,
      scheduleSteps: Array.from({ length: 1 + timedSteps }, () => 0),
    };
    await this.#bench.takeSteps(work, 0, 1);
    const startMs = clock.monotonicMs();
    await this.#bench.takeSteps(work, 1, 1 + timedSteps);
    const tookMs = Math.max(1e-3, clock.monotonicMs() - startMs);
    const tokensPerSecond = Math.max(1, (trainer.tokensPerStep * timedSteps * 1000) / tookMs);
    await writePace(disk, directory, { of: paceName, tokensPerSecond });
    return Math.round(tokensPerSecond);
  }

  /** A state that was not kept is computed again from the nearest before it that was. */
  async #state({ window, index }: TaskOf<"state">): Promise<ResultOf<"state">> {
    const { disk, directory, clock } = this.run;
    const { state } = this.#bench;
    const progress = await readProgress(disk, directory, window);
    const wanted = progress?.commits[index];
    if (!progress || !wanted) throw noState(window, index);
    for (let from = index; from >= 0; from--) {
      clock.check();
      const kept = await keptState(disk, directory, window, from);
      if (kept === null) continue;
      try {
        const { place, parts } = await state.read(disk, kept);
        if (windowStateDigest(place, parts) !== progress.commits[from]!.digest) continue;
      } catch (error) {
        if (!isDamage(error)) throw error;
        continue;
      }
      const answer = stateDirectory(directory, window, index);
      if (from === index) return { kind: "state", directory: answer, digest: wanted.digest };
      const { work, workDigest } = progress;
      const step = stepAt(work, index);
      await this.#bench.takeSteps(work, stepAt(work, from), step);
      const place = { window, work: workDigest, step };
      const parts = await state.write(disk, answer, place);
      if (windowStateDigest(place, parts) === wanted.digest)
        return { kind: "state", directory: answer, digest: wanted.digest };
      await disk.remove(answer);
      throw noState(window, index);
    }
    throw noState(window, index);
  }

  /** Weighted by accepted tokens, in ascending order of the workers, whatever order they are given in. */
  async #merge(task: TaskOf<"merge">): Promise<ResultOf<"merge">> {
    const { disk, clock, document } = this.run;
    const { codec, layout } = this.#bench;
    const revision = await this.#bench.loadRevision(task.revision);
    const deltas = task.deltas.toSorted((a, b) => (a.worker < b.worker ? -1 : 1));
    if (deltas.some(({ worker }, index) => worker === deltas[index + 1]?.worker))
      throw new Refusal(
        "work_invalid",
        "A worker's delta was named twice in one window.",
        "This is a mistake of the program that gave it; report it.",
      );
    const sum = new DeltaMean(layout);
    for (const { worker, file, weight } of deltas) {
      clock.check();
      sum.add(worker, weight, codec.decode(layout, await disk.readBytes(file)));
    }
    const { values: parameters, momentum } = revision;
    const next = outerStep(layout, { parameters, momentum }, sum.mean(), document.outer);
    const digest = await this.#bench.writeRevision(task.directory, revision, next);
    return { kind: "merge", number: revision.number + 1, digest, directory: task.directory };
  }

  async #evaluate({ revision, full }: TaskOf<"evaluate">): Promise<ResultOf<"evaluate">> {
    await this.#bench.loadRevision(revision);
    const { trainer } = this.#bench;
    trainer.restored(revision.number);
    const evaluation = await trainer.evaluate(full ? "full" : "sample");
    const { exactMatch, rows, loss } = evaluation;
    return {
      kind: "evaluate",
      evaluation,
      lossBits: floatBits(loss),
      matches: Math.round(exactMatch * rows),
    };
  }
}

const scratch = new DataView(new ArrayBuffer(4));

function floatBits(value: number): string {
  scratch.setFloat32(0, value);
  return scratch.getUint32(0).toString(16).padStart(8, "0");
}

function noState(window: number, index: number): Refusal {
  return new Refusal(
    "checkpoint_missing",
    `State ${index} of window ${window} is not here and cannot be computed again.`,
    "What it would be computed from was discarded or damaged.",
    { window, index },
  );
}
