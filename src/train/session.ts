/**
 * One sitting of training in one process: restore or initialise, step, evaluate now and then, write
 * checkpoints beside the work, stop where asked. It speaks to whoever started it in messages and
 * touches the world only through ports, so tests run it in their own process.
 */
import type { Clock } from "#src/port/clock.ts";
import type { Disk } from "#src/port/disk.ts";
import type { RuntimeManifest } from "#src/receipt/runtime-manifest.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import type { StoredManifest } from "./revision-manifest.ts";
import { restoreCheckpoint, sweepTemporaries } from "./checkpoint-restore.ts";
import { checkRoom, type CheckpointFacts, CheckpointWriter } from "./checkpoint-writer.ts";
import type { Executor } from "./executor.ts";
import { maximumRecords, packRefusal, type Start, type ToParent } from "./messages.ts";
import { measurePace, stepsWithin } from "./pace.ts";
import { checkpointsPerRun } from "./recipes.ts";
import type { RunManifest } from "./run-manifest.ts";
import type { TimedStep } from "./run-rows.ts";
import { StepTimes } from "./step-times.ts";
import { Trainer, type EvaluationRecord, type TrainingData } from "./trainer.ts";

/** A run is its user's: nobody else of the machine reads its weights. */
const ownerOnly = 0o700;
/** Steps are reported together at most this late. */
const reportEveryMs = 100;
/** A checkpoint is written at the latest after this long, whatever its interval in steps. */
const checkpointAgeMs = 5 * 60_000;
/** How long a due checkpoint waits for the one before it; then it is left out rather than queued. */
const checkpointPatienceMs = 500;

export interface SessionPorts {
  readonly clock: Clock;
  readonly disk: Disk;
  send(message: ToParent): void;
  /** Asked between steps. */
  isStopped(): boolean;
  /**
   * Resolves when everything sent until now is recorded. A checkpoint waits for it: a run that goes on
   * after a kill would otherwise begin behind steps that stand in no record. Absent in tests.
   */
  recorded?(step: number): Promise<void>;
  /** Resident bytes of this process, where known. */
  residentBytes?(): number | null;
}

export interface SessionFacts {
  readonly backend: string;
  readonly threads: number;
  readonly peakFlops: number | null;
  /** What this process is; absent in tests. */
  readonly runtime?: RuntimeManifest;
  /** When the time budget began. */
  readonly startedMs: number;
}

/** Trains until the run is complete, stopped or out of time. Refusals are thrown. */
export async function runSession(
  start: Start,
  executor: Executor,
  data: TrainingData,
  ports: SessionPorts,
  facts: SessionFacts,
): Promise<void> {
  await new Session(start, executor, data, ports, facts).run();
}

class Session {
  readonly data: TrainingData;
  readonly #times: StepTimes;
  readonly #directory: string;
  #manifest: RunManifest;
  #trainer: Trainer;
  #best: { readonly step: number; readonly loss: number } | null;
  #waiting: TimedStep[] = [];
  #lastReportMs = 0;
  #lastCheckpointMs = 0;
  /** The step of the last checkpoint asked for: two reasons for one step write it once. */
  #lastCheckpointStep = -1;
  /** The checkpoint written or restored last. */
  #newest: StoredManifest | null = null;
  #trainingMs = 0;
  #trainingTokens = 0;

  constructor(
    readonly start: Start,
    readonly executor: Executor,
    data: TrainingData,
    readonly ports: SessionPorts,
    readonly facts: SessionFacts,
  ) {
    this.#times = new StepTimes(ports.clock, executor);
    this.data = this.#times.watch(data);
    this.#directory = `${start.directory}/checkpoints`;
    this.#manifest = start.manifest;
    this.#trainer = new Trainer(executor, start.manifest, this.data);
    this.#best = start.best;
  }

  async run(): Promise<void> {
    const { disk, clock } = this.ports;
    await disk.makeDirectory(this.#directory, ownerOnly);
    await sweepTemporaries(disk, this.#directory);
    const restored = await restoreCheckpoint(disk, this.#directory, this.executor, {
      run: this.start.run,
      planDigest: this.executor.plan.digest,
    });
    if (restored) {
      this.#trainer.restored(restored.manifest.step);
      this.#newest = restored.manifest;
    } else {
      await checkRoom(disk, this.#directory, this.executor.plan);
      await this.#trainer.initialise();
    }
    this.ports.send({
      type: "started",
      backend: this.facts.backend,
      threads: this.facts.threads,
      plannedBytes: this.executor.plannedBytes,
      peakFlops: this.facts.peakFlops,
      step: this.#trainer.step,
      fallBacks: [...(restored?.fallBacks ?? [])],
      ...(restored === null
        ? {}
        : {
            restored: {
              stateDigest: restored.manifest.stateDigest,
              manifestDigest: restored.manifest.digest,
            },
          }),
      ...(this.facts.runtime === undefined ? {} : { runtime: this.facts.runtime }),
    });
    if (this.#manifest.stepsOpen) await this.#fixSteps();
    const { checkpoints } = this.#manifest;
    const writer = new CheckpointWriter(
      disk,
      this.#directory,
      this.executor,
      checkpoints,
      restored?.manifest.digest ?? null,
      (step) => this.ports.recorded?.(step) ?? Promise.resolve(),
    );
    this.#lastReportMs = this.#lastCheckpointMs = clock.monotonicMs();
    this.#times.take();
    const reason = await this.#loop(writer);
    await this.#finish(writer, reason);
  }

  /** Fixes the number of steps, once for the life of the run: what the time allows, measured. */
  async #fixSteps(): Promise<void> {
    const { clock } = this.ports;
    const { budgetMs } = this.start;
    const { evaluation, schedule, checkpoints } = this.#manifest;
    const pace = await measurePace(this.#trainer, clock);
    const leftMs = (budgetMs ?? 0) - (clock.monotonicMs() - this.facts.startedMs);
    // Gone on with without a budget, a run that never began takes its size's usual steps.
    const steps =
      budgetMs === null ? schedule.steps : stepsWithin(pace, leftMs, evaluation.everySteps);
    this.#manifest = {
      ...this.#manifest,
      schedule: {
        ...schedule,
        steps,
        warmupSteps: Math.min(schedule.warmupSteps, Math.ceil(steps / 10)),
      },
      stepsOpen: false,
      checkpoints: {
        ...checkpoints,
        everySteps: checkpoints.everySteps || Math.max(10, Math.ceil(steps / checkpointsPerRun)),
      },
    };
    this.#trainer = new Trainer(this.executor, this.#manifest, this.data);
    await this.#trainer.initialise();
    const tokensPerSecond = (this.#trainer.tokensPerStep * 1000) / Math.max(1e-6, pace.stepMs);
    this.ports.send({ type: "planned", manifest: this.#manifest, tokensPerSecond });
  }

  async #loop(writer: CheckpointWriter): Promise<"completed" | "stopped" | "budget"> {
    const { clock } = this.ports;
    const { schedule, evaluation, checkpoints } = this.#manifest;
    const trainer = this.#trainer;
    const deadlineMs =
      this.start.budgetMs === null ? Infinity : this.facts.startedMs + this.start.budgetMs;
    while (trainer.step < schedule.steps) {
      if (this.ports.isStopped()) return "stopped";
      const beforeMs = clock.monotonicMs();
      if (beforeMs > deadlineMs) return "budget";
      const record = await trainer.trainStep();
      const nowMs = clock.monotonicMs();
      this.#trainingMs += nowMs - beforeMs;
      this.#trainingTokens += record.tokens;
      this.#waiting.push({
        ...record,
        tokensPerSecond: (record.tokens * 1000) / Math.max(1e-3, nowMs - beforeMs),
        split: this.#times.take(),
      });
      const isLast = trainer.step >= schedule.steps;
      if (nowMs - this.#lastReportMs >= reportEveryMs || this.#waiting.length >= maximumRecords) {
        this.#report();
        await this.executor.breathe();
      } else if (writer.busy) await this.executor.breathe();
      if (isLast) break;
      if (evaluation.everySteps > 0 && trainer.step % evaluation.everySteps === 0)
        await this.#times.measure("evaluate", () => this.#evaluate("sample", writer));
      const isDue = checkpoints.everySteps > 0 && trainer.step % checkpoints.everySteps === 0;
      if (isDue || clock.monotonicMs() - this.#lastCheckpointMs > checkpointAgeMs)
        await this.#times.measure("checkpoint", () => this.#checkpoint(writer));
    }
    return "completed";
  }

  /** Held-out loss; a new best asks for a checkpoint, so that the best is there to keep. */
  async #evaluate(extent: "sample" | "full", writer: CheckpointWriter): Promise<EvaluationRecord> {
    this.#report();
    const evaluation = await this.#trainer.evaluate(extent);
    this.ports.send({ type: "evaluation", evaluation });
    this.#lastReportMs = this.ports.clock.monotonicMs();
    if (evaluation.targets > 0 && evaluation.loss < (this.#best?.loss ?? Infinity)) {
      this.#best = { step: evaluation.step, loss: evaluation.loss };
      const isWorthKeeping = evaluation.step >= this.#manifest.schedule.steps / 2;
      if (!evaluation.full && isWorthKeeping) await this.#checkpoint(writer);
    }
    return evaluation;
  }

  /** Starts a checkpoint beside the work; a failure is reported and the next one tries again. */
  async #checkpoint(writer: CheckpointWriter): Promise<void> {
    this.#report();
    const { step } = this.#trainer;
    if (step === this.#lastCheckpointStep) return;
    this.#lastCheckpointStep = step;
    this.#lastCheckpointMs = this.ports.clock.monotonicMs();
    await Promise.race([writer.idle(), this.ports.clock.sleep(checkpointPatienceMs)]);
    void this.#write(writer, step).then(
      (written) => {
        if (!written) this.ports.send({ type: "checkpoint-skipped", step });
      },
      (error: unknown) => {
        if (!(error instanceof Refusal)) throw error;
        this.ports.send({ type: "checkpoint-failed", step, refusal: packRefusal(error) });
      },
    );
  }

  /** Writes and reports a checkpoint of this moment; null when one is under way already. */
  async #write(writer: CheckpointWriter, step: number): Promise<string | null> {
    const startedMs = this.ports.clock.monotonicMs();
    const writing = writer.write(this.#facts(step), this.#best?.step ?? null);
    if (!writing) return null;
    const { manifest, removed } = await writing;
    this.#newest = manifest;
    this.ports.send({
      type: "checkpoint",
      step,
      stateDigest: manifest.stateDigest,
      manifestDigest: manifest.digest,
      removed: [...removed],
      seconds: (this.ports.clock.monotonicMs() - startedMs) / 1000,
    });
    return manifest.stateDigest;
  }

  async #finish(
    writer: CheckpointWriter,
    reason: "completed" | "stopped" | "budget",
  ): Promise<void> {
    this.#report();
    await writer.idle();
    // Writing one step twice would replace the checkpoint that the second names as its parent.
    const { step } = this.#trainer;
    const stateDigest =
      this.#newest?.step === step ? this.#newest.stateDigest : await this.#write(writer, step);
    const evaluation = reason === "stopped" ? null : await this.#evaluate("full", writer);
    this.ports.send({
      type: "finished",
      reason,
      step: this.#trainer.step,
      stateDigest: stateDigest ?? "",
      evaluation,
      trainingSeconds: this.#trainingMs / 1000,
      trainingTokens: this.#trainingTokens,
      residentBytes: this.ports.residentBytes?.() ?? null,
    });
  }

  #report(): void {
    this.#lastReportMs = this.ports.clock.monotonicMs();
    if (this.#waiting.length === 0) return;
    this.ports.send({ type: "steps", records: this.#waiting });
    this.#waiting = [];
  }

  #facts(step: number): CheckpointFacts {
    const { seed, microBatches, optimizer, data } = this.#manifest;
    return {
      run: this.start.run,
      step,
      data: { digest: data.digest, nextStep: step, tokensRead: step * this.#trainer.tokensPerStep },
      random: { seed, nextCounter: step * microBatches },
      optimizer,
    };
  }
}
