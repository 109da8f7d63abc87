import type { ArtifactManifest } from "#src/artifact/manifest.ts";
import type { Services } from "#src/command/define.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { commitmentsFile, deltaFile } from "#src/train/windows/commitments.ts";
import type { Progress } from "#src/train/windows/messages.ts";
import type { LocalWork } from "#src/train/windows/tasks.ts";
import type { SayingOf } from "#src/window/event.ts";
import type { Job, Outcome } from "#src/window/job.ts";
import { reasons as reasonWords, type Reason } from "#src/window/reasons.ts";
import type { Contribution, Run, Task, Window } from "#src/window/run.ts";
import { scheduleStep } from "#src/window/schedule.ts";
import type { RunArtifacts } from "./run-artifacts.ts";
import type { RunPlaces } from "./run-places.ts";
import type { WorkerDesk } from "./worker-desk.ts";

/** How long a step rests between two attempts to get what another node has to give. */
const againMs = 300;
/** Of the time for judging, what is left for saying the verdict when something cannot be had. */
const verdictShare = 0.6;

/** What no other attempt changes: by an artifact's digest its size and manifest are what they are. */
const unfit: ReadonlySet<string> = new Set([
  ...["artifact_too_large", "artifact_manifest_wrong", "delta_malformed"],
]);

type JobOf<K extends Job["kind"]> = Extract<Job, { readonly kind: K }>;

export interface JobParts {
  readonly services: Services;
  readonly node: string;
  readonly desk: WorkerDesk;
  readonly places: RunPlaces;
  readonly artifacts: RunArtifacts;
  /** Calls a member as this node. */
  ask(
    node: string,
    name: string,
    parameters: Readonly<Record<string, unknown>>,
    signal: AbortSignal,
  ): Promise<unknown>;
  /** Whether a member can be spoken to right now. */
  isReached(node: string): boolean;
  onProgress(run: Run, window: Window, progress: Progress): void;
}

/** How long somebody is waited for who has what a job needs. */
interface Waiting {
  readonly for: string;
  /** By the monotonic clock: until then while it can be reached. */
  readonly untilMs: number;
  /** Until then where it cannot: all others of the window wait as well. */
  readonly goneMs: number;
}

/** What jobs are done as: fetching what they need, the worker process's task, and what is to be said of it. */
export class RunJobs {
  constructor(readonly parts: JobParts) {}

  async perform(job: Job, signal: AbortSignal): Promise<Outcome> {
    await this.parts.places.document(job.run, signal);
    switch (job.kind) {
      case "prepare":
        return this.#prepare(job, signal);
      case "train":
        return this.#train(job, signal);
      case "validate":
        return this.#validate(job, signal);
      case "merge":
        return this.#merge(job, signal);
      case "evaluate":
        return this.#evaluate(job, signal);
    }
  }

  async #prepare({ run }: JobOf<"prepare">, signal: AbortSignal): Promise<Outcome> {
    const { desk, places } = this.parts;
    const revision = await places.present(run, signal);
    const task = { kind: "prepare", revision } as const;
    const { digest, lane, rate } = await desk.perform(run.run, task, { signal });
    return { kind: "prepare", revision: revision.number, digest, lane, rate };
  }

  async #train({ run, window, task }: JobOf<"train">, signal: AbortSignal): Promise<Outcome> {
    const { desk, places, artifacts, node, onProgress } = this.parts;
    const revision = await places.present(run, signal);
    const self = run.workers.find((worker) => worker.node === node);
    const done = await desk.perform(
      run.run,
      {
        ...{ kind: "train", revision, work: workOf(run, window, task) },
        private: self?.private ?? null,
      },
      { signal, onProgress: (progress) => onProgress(run, window, progress) },
    );
    const keep = { run: run.run, kind: "contribution", number: window.number } as const;
    const { artifact, sizeBytes } = await artifacts.add(done.directory, keep, signal);
    const { commitments, segments, trainMs } = done;
    const said: SayingOf<"contribution"> = {
      ...{ saying: "contribution", window: window.number, artifact, sizeBytes, commitments },
      ...{ segments, private: done.private, trainMs },
    };
    return { kind: "train", said };
  }

  async #validate(job: JobOf<"validate">, signal: AbortSignal): Promise<Outcome> {
    const { run, window, task, contribution, draw } = job;
    const { desk, places, services } = this.parts;
    const worker = contribution.worker;
    const nowMs = services.clock.monotonicMs();
    const untilMs = nowMs + run.spec.judgeMs * verdictShare;
    const goneMs = Math.min(untilMs, nowMs + run.spec.silenceMs);
    const waiting = { for: worker, untilMs, goneMs };
    const about = { window: window.number, worker, contribution: contribution.statement };
    const unavailable = (reason: Reason): Outcome => ({
      kind: "validate",
      said: {
        ...{ saying: "verdict", ...about, verdict: "rejected", reasons: [reason] },
        ...{ segment: draw.segment, committed: null, recomputed: null, tookMs: 0 },
      },
    });
    // Over a long way each is several round trips: both are had at the same time.
    const [contributed, state] = await Promise.all([
      this.#patiently(waiting, signal, () => this.contributionOf(run, window, worker, signal)),
      draw.segment === null
        ? null
        : this.#patiently(waiting, signal, () =>
            this.#stateOf(run, window, { worker, segment: draw.segment! }, signal),
          ),
    ]);
    if (contributed === "unfit") return unavailable("delta_malformed");
    if (contributed === null) return unavailable("delta_unavailable");
    if (state === "unfit") return unavailable("state_differs");
    if (state === null && draw.segment !== null) return unavailable("state_unavailable");
    const revision = await places.present(run, signal);
    const { commitments, segments, private: after } = contribution;
    const judged = await desk.perform(
      run.run,
      {
        ...{
          kind: "validate",
          revision,
          work: workOf(run, window, task),
          contribution: contributed,
        },
        stated: { commitments, segments, private: after },
        privateBefore: run.workers.find(({ node }) => node === worker)?.private ?? null,
        ...{ segment: draw.segment, state },
      },
      { signal },
    );
    const { segment, committed, recomputed, tookMs } = judged;
    const found = judged.reasons.map(asReason);
    return {
      kind: "validate",
      said: {
        ...{ saying: "verdict", ...about, reasons: found },
        verdict: found.length === 0 ? "accepted" : "rejected",
        ...{ segment, committed, recomputed, tookMs },
      },
    };
  }

  async #merge({ run, window }: JobOf<"merge">, signal: AbortSignal): Promise<Outcome> {
    const { desk, places, artifacts } = this.parts;
    const accepted = window.tasks.filter(({ worker }) => window.accepted.includes(worker));
    const [revision, ...folders] = await Promise.all([
      places.present(run, signal),
      ...accepted.map(({ worker }) => this.contributionOf(run, window, worker, signal)),
    ]);
    const number = window.revision + 1;
    const { directory, digest } = await desk.perform(
      run.run,
      {
        ...{ kind: "merge", revision, directory: places.paths(run.run).revision(number) },
        deltas: accepted.map(({ worker, steps }, place) => ({
          worker,
          file: `${folders[place]!}/delta.bin`,
          weight: steps * run.spec.slotTokens,
        })),
      },
      { signal },
    );
    const keep = { run: run.run, kind: "revision", number } as const;
    const { artifact } = await artifacts.add(directory, keep, signal);
    return {
      kind: "merge",
      said: { saying: "revision", window: window.number, revision: number, digest, artifact },
    };
  }

  async #evaluate({ run, isFull }: JobOf<"evaluate">, signal: AbortSignal): Promise<Outcome> {
    const { desk, places } = this.parts;
    const revision = await places.present(run, signal);
    const task = { kind: "evaluate", revision, full: isFull } as const;
    const { evaluation, lossBits, matches } = await desk.perform(run.run, task, { signal });
    const { targets, rows } = evaluation;
    return {
      kind: "evaluate",
      said: {
        ...{ saying: "evaluation", revision: revision.number, isFull, lossBits },
        ...{ targets, rows, matches },
      },
    };
  }

  /** The files of a contribution, fetched from its worker, from who judged it, or from anybody. */
  async contributionOf(
    run: Run,
    window: Window,
    worker: string,
    signal: AbortSignal,
  ): Promise<string> {
    const { artifacts } = this.parts;
    const contribution = window.contributions.find((each) => each.worker === worker);
    if (contribution === undefined) throw new Error("what was contributed is fetched");
    const keep = { run: run.run, kind: "contribution", number: window.number } as const;
    const validators = window.draws.find((draw) => draw.worker === worker)?.validators ?? [];
    const given = await artifacts.fetch(
      contribution.artifact,
      keep,
      { from: [worker, ...validators], mostBytes: this.#mostBytes(run, contribution) },
      signal,
    );
    requireDelta(given, contribution);
    return artifacts.layOut(run.run, contribution.artifact, signal);
  }

  /** As much as it said, and never more than a delta of the run can have. */
  #mostBytes({ run }: Run, { sizeBytes }: Contribution): number {
    const mostBytes = this.parts.places.bytesMaximum(run, "contribution");
    // Nobody lied because this node does not know its document yet.
    if (mostBytes === null) throw new Refusal("interrupted", `${run} is not open here yet`, "");
    return Math.min(sizeBytes, mostBytes);
  }

  /** The worker's own state at a commitment, as it gives it to who was drawn to compute on from there. */
  async #stateOf(
    run: Run,
    window: Window,
    { worker, segment }: { readonly worker: string; readonly segment: number },
    signal: AbortSignal,
  ): Promise<string> {
    const { artifacts, ask } = this.parts;
    const parameters = { run: run.run, window: window.number, segment };
    const answer = (await ask(worker, "run/state", parameters, signal)) as { artifact?: unknown };
    const artifact = answer.artifact;
    if (typeof artifact !== "string" || !/^[0-9a-f]{64}$/.test(artifact)) throw wrongAnswer(worker);
    const keep = { run: run.run, kind: "state", number: window.number } as const;
    const mostBytes = this.parts.places.bytesMaximum(run.run, "state");
    const { files } = await artifacts.fetch(artifact, keep, { from: [worker], mostBytes }, signal);
    if (files === undefined) throw wrongAnswer(worker);
    return artifacts.layOut(run.run, artifact, signal);
  }

  /**
   * Tries again until the time is up, for who has it may be coming back; null then, which is sooner where nobody
   * answers there. Waiting makes nothing of what is not of the size that it can have.
   */
  async #patiently<T>(
    waiting: Waiting,
    signal: AbortSignal,
    work: () => Promise<T>,
  ): Promise<T | "unfit" | null> {
    const { services, isReached } = this.parts;
    const { clock } = services;
    for (;;) {
      try {
        return await work();
      } catch (error) {
        signal.throwIfAborted();
        if (!(error instanceof Refusal)) throw error;
        if (isUnfit(error)) return "unfit";
        const nowMs = clock.monotonicMs();
        if (nowMs >= (isReached(waiting.for) ? waiting.untilMs : waiting.goneMs)) return null;
      }
      await clock.sleep(againMs, signal);
    }
  }
}

/** A worker's steps in a window, as the process that computes takes them. */
export function workOf({ spec }: Run, window: Window, task: Task): LocalWork {
  const { slices, steps } = task;
  const participantCount = window.tasks.length;
  return {
    ...{ window: window.number, steps, segmentSteps: spec.segmentSteps },
    slices: slices.map(({ first, count }) => ({ first, count })),
    scheduleSteps: Array.from({ length: steps }, (_, step) =>
      scheduleStep(spec, window.progress, step, participantCount),
    ),
  };
}

/** Whether what a member gave is nothing that another attempt or another holder makes fit. */
export function isUnfit(error: unknown): boolean {
  return error instanceof Refusal && unfit.has(error.code);
}

function asReason(word: string): Reason {
  const reason = reasonWords.find((each) => each === word);
  if (reason === undefined) throw new Error(`the worker process gives the reason ${word}`);
  return reason;
}

/** A contribution is two files, and of the size that was stated. Refused with `delta_malformed`. */
function requireDelta(
  { files, sizeBytes }: ArtifactManifest,
  { worker, sizeBytes: statedBytes }: Contribution,
): void {
  const paths = files?.map(({ path }) => path) ?? [];
  if (sizeBytes === statedBytes && paths.join() === [commitmentsFile, deltaFile].join()) return;
  throw new Refusal(
    "delta_malformed",
    `what ${worker} contributed is no delta with its commitments, of the ${statedBytes} bytes it said`,
    "who made it runs another version, or did not make it by the rules",
    { node: worker, sizeBytes, statedBytes },
  );
}

function wrongAnswer(node: string): Refusal {
  return new Refusal(
    "answer_form_wrong",
    `${node} gave no state`,
    "it is of another version, or lies; another validator will see the same",
    { node },
  );
}
