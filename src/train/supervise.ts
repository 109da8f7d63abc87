/**
 * The parent's side of a run: starts the trainer process, records what it says, starts it again
 * when it crashes, and passes on the wish to stop. The store is written here, in the one process
 * that holds the home's lock.
 */
import type { Clock } from "#src/port/clock.ts";
import type { ChildProcess, Processes } from "#src/port/process.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { findAlerts } from "./alerts.ts";
import { recordedFacts } from "./collect-alerts.ts";
import {
  type Finished,
  readFromChild,
  type Start,
  type ToChild,
  type ToParent,
  unpackRefusal,
} from "./messages.ts";
import { recordEnd, recordFailure, recordStart } from "./run-course.ts";
import type { RunManifest } from "./run-manifest.ts";
import type { Run, RunStore } from "./run-store.ts";

/** Crashes in a row without a new checkpoint after which the run is given up. */
const crashMaximum = 3;

/** Well below the silence after which a run is taken for dead. */
const heartbeatMs = 5_000;

export interface Supervision {
  readonly clock: Clock;
  readonly processes: Processes;
  readonly runs: RunStore;
  readonly run: Run;
  /** The run's directory. */
  readonly directory: string;
  readonly threads: number | null;
  readonly isa: Start["isa"];
  /** Wall-clock milliseconds from now; null without a budget. */
  readonly budgetMs: number | null;
  readonly peakFlops: number | null;
  readonly signal: AbortSignal;
  /** Told everything the trainer says, after it was recorded. */
  onMessage(message: ToParent): void;
  /** Told the process id of each trainer as it is started. */
  onSpawn(pid: number): void;
  /** Told when the trainer died and another takes over. */
  onRestart(reason: string, attempt: number): void;
}

export interface Supervised {
  readonly finished: Finished;
  /** The manifest as it stands now: a time budget has fixed its number of steps. */
  readonly manifest: RunManifest;
  readonly crashes: number;
}

/**
 * Trains a run to its end. Refusals of the trainer are thrown as they were; `trainer_crashed` when
 * it dies again and again. The run's state in the store follows.
 */
export async function superviseTraining(supervision: Supervision): Promise<Supervised> {
  const { runs, run, clock } = supervision;
  runs.setState(run.id, "running", clock.wallMs());
  const ended = new AbortController();
  const beating = keepAlive(supervision, ended.signal);
  try {
    const supervised = await new Supervisor(supervision).run();
    const { reason, step, stateDigest } = supervised.finished;
    const isComplete = step >= supervised.manifest.schedule.steps;
    const state = reason === "stopped" ? "interrupted" : isComplete ? "completed" : "paused";
    recordEnd(runs, run.id, { state, reason, step, stateDigest }, clock.wallMs());
    return supervised;
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const { code, hint } = error instanceof Refusal ? error : { code: "bug", hint: "" };
    const state = code === "interrupted" ? "interrupted" : "failed";
    recordFailure(runs, run.id, { state, code, message, hint }, clock.wallMs());
    throw error;
  } finally {
    ended.abort(new Error("the run has ended"));
    await beating;
  }
}

/**
 * Says now and then that the parent lives, also while one step takes minutes, and once that none comes.
 * Where the wall clock jumped, for it was set or the machine slept, the silence is counted from now.
 */
async function keepAlive({ clock, runs, run }: Supervision, ended: AbortSignal): Promise<void> {
  let isStalled = false;
  const offsetOf = () => clock.wallMs() - clock.monotonicMs();
  let offsetMs = offsetOf();
  while (!ended.aborted) {
    await clock.sleep(heartbeatMs, ended).catch(() => {});
    if (ended.aborted) return;
    try {
      const nowMs = clock.wallMs();
      const isJump = Math.abs(offsetOf() - offsetMs) > heartbeatMs;
      offsetMs = offsetOf();
      if (isJump) runs.wake(run.id, nowMs);
      else runs.beat(run.id, nowMs);
      const facts = recordedFacts(runs, runs.byId(run.id), "running");
      const [stall] = findAlerts({ nowMs, runs: [facts], disk: null });
      if (stall && !isStalled) {
        const { kind, severity, message, hint } = stall;
        runs.chronicle?.tell("run.alert", run.id, { kind, severity, message, hint });
      }
      isStalled = stall !== undefined;
    } catch {
      // A store that cannot be written is met, and refused, by the next record.
    }
  }
}

class Supervisor {
  #manifest: RunManifest;
  #best: { step: number; loss: number } | null;
  /** Progress seen by the present child, for the count of crashes in a row. */
  #checkpointed = false;
  #peakFlops: number | null;
  #started: Extract<ToParent, { type: "started" }> | null = null;

  constructor(readonly supervision: Supervision) {
    this.#manifest = supervision.run.manifest;
    this.#peakFlops = supervision.peakFlops;
    this.#best = supervision.runs.best(supervision.run.id);
  }

  async run(): Promise<Supervised> {
    const { clock, runs, run, budgetMs, signal, onRestart } = this.supervision;
    const startedMs = clock.monotonicMs();
    let crashes = 0;
    let inARow = 0;
    for (;;) {
      const spentMs = clock.monotonicMs() - startedMs;
      const leftMs = budgetMs === null ? null : Math.max(0, budgetMs - spentMs);
      const ended = await this.#sitting(leftMs);
      if (typeof ended !== "string") return { finished: ended, manifest: this.#manifest, crashes };
      if (signal.aborted)
        throw new Refusal(
          "interrupted",
          `The run was stopped and its trainer ended before it could write a checkpoint: ${ended}.`,
          `\`psionic train --resume ${run.name}\` goes on from the last checkpoint.`,
          { run: run.id },
        );
      crashes++;
      inARow = this.#checkpointed ? 1 : inARow + 1;
      runs.recordEvent(run.id, "crashed", { reason: ended, inARow }, clock.wallMs());
      if (inARow >= crashMaximum)
        throw new Refusal(
          "trainer_crashed",
          `The trainer process died ${inARow} times in a row: ${ended}.`,
          `The last checkpoint is intact; \`psionic train --resume ${run.name}\` tries again.`,
          { run: run.id, reason: ended },
        );
      onRestart(ended, inARow);
    }
  }

  /** One child from start to end: how it finished, or how it died. */
  async #sitting(budgetMs: number | null): Promise<Finished | string> {
    const { processes, run, directory, threads, isa, signal } = this.supervision;
    this.#checkpointed = false;
    const outcome = Promise.withResolvers<Finished>();
    let isOver = false;
    const child: ChildProcess = processes.spawnSelf("trainer", (message) => {
      // A trainer that was refused trains on until it is ended; none of that belongs to the run.
      if (isOver) return;
      try {
        const read = readFromChild(message);
        this.#record(read);
        this.supervision.onMessage(read);
        if (read.type === "before-checkpoint") tell(child, { type: "recorded", step: read.step });
        if (read.type === "finished") outcome.resolve(read);
        if (read.type === "refused") outcome.reject(unpackRefusal(read.refusal));
      } catch (error) {
        isOver = true;
        outcome.reject(error);
      }
    });
    this.supervision.onSpawn(child.pid);
    const stop = () => tell(child, { type: "stop" });
    signal.addEventListener("abort", stop);
    tell(child, {
      type: "start",
      run: run.id,
      directory,
      manifest: this.#manifest,
      budgetMs,
      threads,
      isa,
      peakFlops: this.#peakFlops,
      best: this.#best,
    });
    if (signal.aborted) stop();
    try {
      const died = child.exited.then(({ status, signal: name }) =>
        name === null ? `it ended with status ${status}` : `it was ended by ${name}`,
      );
      const ended = await Promise.race([outcome.promise, died]);
      if (typeof ended !== "string") await this.#end(child);
      return ended;
    } catch (error) {
      await this.#end(child);
      throw error;
    } finally {
      signal.removeEventListener("abort", stop);
    }
  }

  /** Lets a child that has said everything go. */
  async #end(child: ChildProcess): Promise<void> {
    tell(child, { type: "end" });
    const { clock } = this.supervision;
    const patience = new AbortController();
    const late = clock.sleep(2_000, patience.signal).then(
      () => child.kill("SIGKILL"),
      () => {},
    );
    await child.exited;
    patience.abort(new Error("the child has ended"));
    await late;
  }

  #recordStart(nowMs: number): void {
    const { runs, run } = this.supervision;
    if (this.#started === null) return;
    const { step, backend, threads, plannedBytes, peakFlops, runtime = null } = this.#started;
    const start = { step, backend, threads, plannedBytes, peakFlops, runtime };
    recordStart(runs, run.id, start, nowMs);
  }

  /** A checkpoint that was published just before its writer was killed is recorded by whoever uses it. */
  #recordRestored({ step, restored }: Extract<ToParent, { type: "started" }>, nowMs: number): void {
    const { runs, run } = this.supervision;
    if (restored === undefined) return;
    const isKnown = runs
      .checkpoints(run.id)
      .some(({ manifestDigest }) => manifestDigest === restored.manifestDigest);
    if (!isKnown) runs.recordCheckpoint(run.id, { step, ...restored }, [], nowMs);
  }

  #record(message: ToParent): void {
    const { runs, run, clock } = this.supervision;
    const nowMs = clock.wallMs();
    switch (message.type) {
      case "started":
        this.#peakFlops = message.peakFlops;
        if (message.fallBacks.length > 0)
          runs.recordEvent(run.id, "fell-back", { fallBacks: message.fallBacks }, nowMs);
        this.#recordRestored(message, nowMs);
        this.#started = message;
        // What is attested of a start names the manifest, which a time budget has yet to fix.
        if (!this.#manifest.stepsOpen) this.#recordStart(nowMs);
        break;
      case "planned":
        this.#manifest = message.manifest;
        runs.fixManifest(run.id, message.manifest);
        this.#recordStart(nowMs);
        break;
      case "steps": {
        const different = runs.recordSteps(run.id, message.records, nowMs);
        if (different.length === 0) break;
        runs.recordEvent(run.id, "replay-differs", { steps: different }, nowMs);
        throw new Refusal(
          "replay_differs",
          `Step ${different[0]} was computed again after a restart and gave other bits than before.`,
          "Memory or processor of this machine cannot be trusted, or the records were changed; test the machine's memory.",
          { run: run.id, step: different[0] },
        );
      }
      case "evaluation": {
        const { evaluation } = message;
        runs.recordEvaluation(run.id, evaluation, nowMs);
        if (evaluation.loss < (this.#best?.loss ?? Infinity))
          this.#best = { step: evaluation.step, loss: evaluation.loss };
        break;
      }
      case "checkpoint": {
        this.#checkpointed = true;
        const { step, stateDigest, manifestDigest, removed } = message;
        runs.recordCheckpoint(run.id, { step, stateDigest, manifestDigest }, removed, nowMs);
        break;
      }
      case "checkpoint-failed":
        runs.recordEvent(
          run.id,
          "checkpoint-failed",
          { step: message.step, ...message.refusal },
          nowMs,
        );
        break;
      case "before-checkpoint":
      case "checkpoint-skipped":
      case "finished":
      case "refused":
        break;
    }
  }
}

/** A message to a child that may have died meanwhile; its end is seen elsewhere. */
function tell(child: ChildProcess, message: ToChild): void {
  try {
    child.send(message);
  } catch {
    child.kill("SIGKILL");
  }
}
