/** What `psionic train` does: a new run or one to go on with, trained under supervision. */
import { encodeCrockford } from "#src/codec/base32.ts";
import { costOf, requireMemory, trainingFlopsPerToken } from "#src/model/cost.ts";
import { Chronicle } from "./chronicle.ts";
import { stateBytes } from "./checkpoint-writer.ts";
import type { ToParent } from "./messages.ts";
import { PeakStore } from "./peak-store.ts";
import { openData } from "./prepare-data.ts";
import { resumedRun } from "./resumed-run.ts";
import type { RunManifest } from "./run-manifest.ts";
import { datasetsDirectory } from "./run-data.ts";
import { pinnedPlan } from "./run-plan.ts";
import { runName } from "./run-name.ts";
import { manifestOf } from "./run-request.ts";
import { type Run, RunStore } from "./run-store.ts";
import { type Supervised, superviseTraining } from "./supervise.ts";
import type { TrainEvent, TrainResult } from "./train-event.ts";
import type { TrainRequest } from "./train-parameters.ts";
import type { EvaluationRecord } from "./trainer.ts";
import type { TrainContext } from "./train-context.ts";
import { assignTrainingData } from "./training-data.ts";

/**
 * Trains a new run, or goes on with one. Everything `train` refuses comes from here or below.
 * `onRun` is told the run once it is recorded, before anything is computed.
 */
export async function train(
  request: TrainRequest,
  context: TrainContext,
  onRun: (run: Run) => void = () => {},
): Promise<TrainResult> {
  const { services } = context;
  services.lock();
  await services.identity.openOrCreate();
  const chronicle = new Chronicle(services.journal, await services.receipts.open());
  const runs = new RunStore(services.store, chronicle);
  runs.closeAbandoned();
  const run =
    request.resume === false
      ? await newRun(request, context, runs)
      : await resumedRun(request, context, runs);
  onRun(run);
  return new TrainRun(request, context, runs, run).train();
}

async function newRun(request: TrainRequest, context: TrainContext, runs: RunStore): Promise<Run> {
  const { services, emit } = context;
  const { isa } = request;
  // A lane this processor lacks is refused before there is a run that would fail.
  if (isa !== undefined && isa !== "reference")
    (await import("#src/kernel/cpu/lane.ts")).chooseLane(isa);
  const name = runName(request, (each) => runs.isNameTaken(each));
  const dataset = await openData(
    request,
    services.disk,
    datasetsDirectory(services.home.root),
    emit,
  );
  const manifest = manifestOf(request, dataset);
  requireMemory(pinnedPlan(manifest), (await services.machine.facts()).memoryBytes);
  // Text too short for one context is refused before there is a run of it.
  assignTrainingData(dataset, manifest);
  const id = encodeCrockford(services.random.bytes(5));
  return runs.add({ id, name, createdMs: services.clock.wallMs(), manifest });
}

/** One sitting of a run: what is announced before, reported while and summed up after it. */
class TrainRun {
  readonly #flopsPerToken: number;
  readonly #peaks: PeakStore;
  readonly #threads: number | null;
  #peakFlops: number | null = null;
  #trainerPid = 0;
  #steps: number;
  #loss: number | null = null;
  #evaluation: EvaluationRecord | null = null;
  #isResumed = false;

  constructor(
    readonly request: TrainRequest,
    readonly context: TrainContext,
    readonly runs: RunStore,
    readonly run: Run,
  ) {
    const { manifest } = run;
    this.#flopsPerToken = trainingFlopsPerToken(manifest.model, manifest.contextLength);
    this.#peaks = new PeakStore(context.services.store);
    this.#threads = request.threads ?? null;
    this.#steps = manifest.schedule.steps;
  }

  async train(): Promise<TrainResult> {
    const { request, run, runs, context } = this;
    const { clock, processes, home, machine } = context.services;
    const startedMs = clock.monotonicMs();
    const facts = await machine.facts();
    const threads = this.#threads ?? facts.coreCount;
    const peakName = `${request.isa ?? "best"}/${threads}`;
    this.#peakFlops = this.#peaks.get(peakName, clock.wallMs());
    this.#announce(threads);
    const supervised = await superviseTraining({
      clock,
      processes,
      runs,
      run,
      directory: `${home.runs}/${run.id}`,
      threads,
      isa: request.isa ?? null,
      budgetMs: request.minutes === undefined ? null : request.minutes * 60_000,
      peakFlops: this.#peakFlops,
      signal: context.signal,
      onSpawn: (pid) => (this.#trainerPid = pid),
      onMessage: (message) => this.#tell(message),
      onRestart: (reason, attempt) => this.#emit({ type: "restart", reason, attempt }),
    });
    if (this.#peakFlops !== null) this.#peaks.put(peakName, this.#peakFlops, clock.wallMs());
    const result = this.#result(supervised, (clock.monotonicMs() - startedMs) / 1000);
    runs.setSummary(run.id, { ...result });
    return result;
  }

  #emit(event: TrainEvent): void {
    this.context.emit({ ...event });
  }

  /** What a person wants to know before an hour of waiting begins. */
  #announce(threads: number): void {
    const { run } = this;
    const { manifest } = run;
    const plan = pinnedPlan(manifest);
    const cost = costOf(manifest.model, plan, manifest.contextLength);
    const tokensPerStep = manifest.batchSize * manifest.microBatches * manifest.contextLength;
    const steps = manifest.stepsOpen ? null : manifest.schedule.steps;
    const left = steps === null ? null : steps - (this.runs.lastStep(run.id)?.step ?? 0);
    this.#emit({
      type: "plan",
      run: run.id,
      name: run.name,
      size: manifest.size,
      task: manifest.data.reference.task,
      model: manifest.model,
      parameters: cost.parameters,
      memory: {
        spaces: cost.bytesBySpace,
        totalBytes: cost.bytes,
        snapshotBytes: stateBytes(plan),
      },
      flopsPerToken: this.#flopsPerToken,
      steps,
      tokensPerStep,
      tokens: steps === null ? null : steps * tokensPerStep,
      threads,
      expectedSeconds: left === null ? null : this.#expectedSeconds(left * tokensPerStep),
      planDigest: manifest.planDigest,
    });
  }

  /** A guess before anything was measured: exact kernels reach about half of the peak in training. */
  #expectedSeconds(tokens: number): number | null {
    return this.#peakFlops === null
      ? null
      : (tokens * this.#flopsPerToken) / (this.#peakFlops * 0.5);
  }

  #percentOfPeak(tokensPerSecond: number): number | null {
    if (this.#peakFlops === null) return null;
    return (100 * tokensPerSecond * this.#flopsPerToken) / this.#peakFlops;
  }

  #tell(message: ToParent): void {
    switch (message.type) {
      case "started": {
        this.#peakFlops = message.peakFlops;
        this.#isResumed = message.step > 0;
        const { backend, threads, plannedBytes, peakFlops, step, fallBacks } = message;
        this.#emit({
          type: "started",
          trainerPid: this.#trainerPid,
          backend,
          threads,
          plannedBytes,
          peakFlops,
          step,
          resumed: this.#isResumed,
          fallBacks,
        });
        break;
      }
      case "planned": {
        this.#steps = message.manifest.schedule.steps;
        const { tokensPerSecond } = message;
        this.#emit({ type: "planned", steps: this.#steps, tokensPerSecond });
        break;
      }
      case "steps":
        for (const record of message.records) {
          this.#loss = record.loss;
          this.#emit({
            type: "step",
            ...record,
            of: this.#steps,
            percentOfPeak: this.#percentOfPeak(record.tokensPerSecond),
            etaSeconds: ((this.#steps - record.step) * record.tokens) / record.tokensPerSecond,
          });
        }
        break;
      case "evaluation":
        this.#evaluation = message.evaluation;
        this.#emit({ type: "evaluation", ...message.evaluation });
        break;
      case "checkpoint-failed":
        this.#emit({
          type: "checkpoint-failed",
          step: message.step,
          code: message.refusal.code,
          message: message.refusal.message,
          hint: message.refusal.hint,
        });
        break;
      case "checkpoint":
      case "checkpoint-skipped":
        this.#emit({ ...message });
        break;
      case "before-checkpoint":
      case "finished":
      case "refused":
        break;
    }
  }

  #result({ finished, manifest }: Supervised, seconds: number): TrainResult {
    const { run } = this;
    const isComplete = finished.step >= manifest.schedule.steps;
    const evaluation = finished.evaluation ?? this.#evaluation;
    const tokensPerSecond = finished.trainingTokens / Math.max(1e-9, finished.trainingSeconds);
    const isAddition = manifest.data.reference.task === "addition";
    return {
      type: finished.reason === "stopped" ? "interrupted" : "done",
      run: run.id,
      name: run.name,
      steps: finished.step,
      tokens: finished.step * tokensOf(manifest),
      loss: this.#loss,
      valLoss: evaluation?.loss ?? null,
      ...(evaluation?.bitsPerByte ? { bitsPerByte: evaluation.bitsPerByte } : {}),
      ...(isAddition && evaluation ? { exactMatch: evaluation.exactMatch } : {}),
      digest: finished.stateDigest,
      tokensPerSecond,
      percentOfPeak: this.#percentOfPeak(tokensPerSecond),
      seconds,
      ...(isComplete ? {} : { resume: `psionic train --resume ${run.name}` }),
    };
  }
}

function tokensOf(manifest: RunManifest): number {
  return manifest.batchSize * manifest.microBatches * manifest.contextLength;
}
