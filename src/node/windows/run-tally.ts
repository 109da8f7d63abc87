import type { Clock } from "#src/port/clock.ts";
import type { Progress, WindowStep } from "#src/train/windows/messages.ts";
import type { Job, JobKind, Outcome } from "#src/window/job.ts";
import type { Run, Window } from "#src/window/run.ts";
import type { LocalRunFacts, RunTrouble, RunWork } from "#src/window/services.ts";
import type { LocalRuns } from "./local-runs.ts";

interface Sums {
  trainedSteps: number;
  trainedTokens: number;
  trainSeconds: number;
  validateSeconds: number;
  mergeSeconds: number;
  tokensPerSecond: number | null;
  trouble: RunTrouble | null;
  /** Jobs that ended, by kind. */
  readonly jobs: Map<JobKind, number>;
}

const secondsOf: Partial<Record<JobKind, "trainSeconds" | "validateSeconds" | "mergeSeconds">> = {
  train: "trainSeconds",
  validate: "validateSeconds",
  merge: "mergeSeconds",
};

/** What this node did for runs since its daemon started, and what it does now. */
export class RunTally {
  readonly #sums = new Map<string, Sums>();
  #work: { readonly run: string; readonly work: RunWork } | null = null;

  constructor(readonly clock: Clock) {}

  /** A job begins; what is given is called when it is over, with what it gave or null, once. */
  begin(job: Job): (outcome: Outcome | null) => void {
    const { run } = job.run;
    const window = "window" in job ? job.window.number : null;
    const of = job.kind === "train" ? job.task.steps : null;
    const startedMs = this.clock.monotonicMs();
    const begun: RunWork = {
      ...{ kind: job.kind, window, sinceMs: Math.floor(this.clock.wallMs()) },
      ...{ steps: of === null ? null : 0, of },
    };
    this.#work = { run, work: begun };
    let isOver = false;
    return (outcome) => {
      if (isOver) return;
      isOver = true;
      if (this.#work?.work.sinceMs === begun.sinceMs && this.#work.work.kind === begun.kind)
        this.#work = null;
      const sums = this.#sumsOf(run);
      const seconds = secondsOf[job.kind];
      if (seconds !== undefined) sums[seconds] += (this.clock.monotonicMs() - startedMs) / 1000;
      if (outcome === null) return;
      sums.jobs.set(job.kind, (sums.jobs.get(job.kind) ?? 0) + 1);
      sums.trouble = null;
    };
  }

  failed(
    { run, kind }: Job,
    trouble: Pick<RunTrouble, "code" | "message" | "hint" | "isHopeless">,
  ): void {
    const atMs = Math.floor(this.clock.wallMs());
    this.#sumsOf(run.run).trouble = { ...trouble, kind, atMs };
  }

  /** Steps of a window that this node took, and what is recorded of them. */
  progress(run: Run, window: Window, progress: Progress, local: LocalRuns): void {
    if (progress.type !== "steps") return;
    const { records } = progress;
    const last = records.at(-1);
    if (last === undefined) return;
    const sums = this.#sumsOf(run.run);
    sums.trainedSteps += records.length;
    sums.trainedTokens += records.reduce((sum, { tokens }) => sum + tokens, 0);
    sums.tokensPerSecond = last.tokensPerSecond;
    const { run: doing, work } = this.#work ?? {};
    if (doing === run.run && work?.kind === "train" && work.window === window.number)
      this.#work = { run: run.run, work: { ...work, steps: last.step } };
    local.recordSteps(run.run, records.map(asRunStep), Math.floor(this.clock.wallMs()));
  }

  factsOf(
    run: string,
  ): Omit<LocalRunFacts, "run" | "isHere" | "revision" | "receivedBytes" | "sentBytes"> {
    const { jobs: _, ...sums } = this.#sumsOf(run);
    return { ...sums, work: this.#work?.run === run ? this.#work.work : null };
  }

  jobsOf(run: string): ReadonlyMap<JobKind, number> {
    return this.#sumsOf(run).jobs;
  }

  #sumsOf(run: string): Sums {
    const known = this.#sums.get(run) ?? {
      ...{ trainedSteps: 0, trainedTokens: 0, trainSeconds: 0, validateSeconds: 0 },
      ...{ mergeSeconds: 0, tokensPerSecond: null, trouble: null, jobs: new Map() },
    };
    this.#sums.set(run, known);
    return known;
  }
}

/** The step among those of the run: the step of its schedule that is done with it. */
function asRunStep({ slot: _slot, scheduleStep, ...record }: WindowStep) {
  return { ...record, step: scheduleStep + 1 };
}
