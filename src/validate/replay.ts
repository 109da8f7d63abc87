/**
 * Recomputes a stretch of a run from its manifest and compares every bit that was recorded: loss
 * and gradient norm of each step, and the state digest wherever a checkpoint was written. Starts
 * from the nearest checkpoint before the stretch that holds, else from the seed.
 */
import type { Event, Services } from "#src/command/define.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { checkpointSteps, restoreCheckpoint } from "#src/train/checkpoint-restore.ts";
import { Executor } from "#src/train/executor.ts";
import type { IsaName } from "#src/train/isa.ts";
import { openBackend } from "#src/train/open-backend.ts";
import { reopenRunData } from "#src/train/run-data.ts";
import { pinnedPlan } from "#src/train/run-plan.ts";
import type { Run, RunStore, TimedStep } from "#src/train/run-store.ts";
import { digestState } from "#src/train/state-digest.ts";
import { Trainer, type StepRecord } from "#src/train/trainer.ts";
import { assignTrainingData } from "#src/train/training-data.ts";

export interface ReplayOptions {
  /** First and last step to compare, from 1. */
  readonly from: number;
  readonly to: number;
  readonly threads: number;
  readonly isa: IsaName | null;
}

export interface ReplayReport {
  /** Completed steps of the state it started from; 0 is the seed. */
  readonly startedFrom: number;
  readonly comparedSteps: number;
  readonly comparedStates: number;
  readonly backend: string;
  /** State digest after the last step. */
  readonly digest: string;
}

/** Refuses with `replay_differs` naming the first step that differs, and as opening a run does. */
export async function replay(
  run: Run,
  runs: RunStore,
  { disk, clock, home }: Services,
  options: ReplayOptions,
  emit: (event: Event) => void,
  signal: AbortSignal,
): Promise<ReplayReport> {
  const { manifest } = run;
  const recorded = recordedSteps(run, runs, options);
  const plan = pinnedPlan(manifest);
  const dataset = await reopenRunData(manifest, disk, home.root);
  if (dataset.manifestDigest !== manifest.data.digest)
    throw new Refusal(
      "run_changed",
      `The data of run ${run.name} is no longer what its manifest pins.`,
      "Put the prepared data back as it was.",
      { pinned: manifest.data.digest, found: dataset.manifestDigest },
    );
  const { backend } = await openBackend(options.isa, options.threads);
  const executor = new Executor(backend, plan, clock);
  const trainer = new Trainer(executor, manifest, assignTrainingData(dataset, manifest));
  try {
    const startedFrom = await startState(
      run,
      trainer,
      disk,
      `${home.runs}/${run.id}/checkpoints`,
      options.from - 1,
    );
    emit({
      type: "replaying",
      startedFrom,
      from: options.from,
      to: options.to,
      backend: backend.name,
    });
    const states = new Map(runs.checkpoints(run.id).map((each) => [each.step, each.stateDigest]));
    let comparedStates = 0;
    while (trainer.step < options.to) {
      if (signal.aborted) throw signal.reason;
      const record = await trainer.trainStep();
      if (record.step < options.from) continue;
      compareStep(run, recorded.get(record.step)!, record);
      emit({
        type: "replayed",
        step: record.step,
        of: options.to,
        loss: record.loss,
        lossBits: record.lossBits,
      });
      const stated = states.get(record.step);
      if (stated === undefined) continue;
      compareState(run, record.step, stated, digestState(executor, record.step).digest);
      comparedStates++;
    }
    return {
      startedFrom,
      comparedSteps: options.to - options.from + 1,
      comparedStates,
      backend: backend.name,
      digest: digestState(executor, trainer.step).digest,
    };
  } finally {
    executor.release();
    backend.release();
  }
}

/** The records of the stretch, every one of which must be there. */
function recordedSteps(
  run: Run,
  runs: RunStore,
  { from, to }: ReplayOptions,
): Map<number, TimedStep> {
  const recorded = new Map(runs.steps(run.id, from, to).map((record) => [record.step, record]));
  for (let step = from; step <= to; step++) {
    if (recorded.has(step)) continue;
    const last = runs.lastStep(run.id)?.step ?? 0;
    throw new Refusal(
      "run_unfit",
      `Run ${run.name} has no record of step ${step}.`,
      last > 0
        ? `It has taken ${last} steps; choose a stretch of 1..${last}.`
        : "It has taken no step yet.",
      { run: run.id, step, last },
    );
  }
  return recorded;
}

/** Brings the trainer to the newest usable state at or before a step; returns its step. */
async function startState(
  run: Run,
  trainer: Trainer,
  disk: Services["disk"],
  directory: string,
  atMostStep: number,
): Promise<number> {
  const steps = (await checkpointSteps(disk, directory)).filter((step) => step <= atMostStep);
  if (steps.length > 0) {
    try {
      const expectation = { run: run.id, planDigest: run.manifest.planDigest, atMostStep };
      const restored = await restoreCheckpoint(disk, directory, trainer.executor, expectation);
      if (restored) {
        trainer.restored(restored.manifest.step);
        return restored.manifest.step;
      }
    } catch (error) {
      // With every checkpoint unusable the seed still gives the same states, only later.
      if (!(error instanceof Refusal) || error.code !== "checkpoint_missing") throw error;
    }
  }
  await trainer.initialise();
  return 0;
}

function compareStep(run: Run, recorded: TimedStep, computed: StepRecord): void {
  const differing = (["lossBits", "gradientNormBits"] as const).find(
    (name) => recorded[name] !== computed[name],
  );
  if (differing === undefined) return;
  const what = differing === "lossBits" ? "loss" : "gradient norm";
  throw new Refusal(
    "replay_differs",
    `Step ${computed.step} of run ${run.name} differs: its ${what} was recorded as ${recorded[differing]} and is ${computed[differing]}.`,
    "The record was changed, or the machine that trained or this one computes wrongly; replay on another machine tells which.",
    {
      run: run.id,
      step: computed.step,
      what,
      recorded: recorded[differing],
      computed: computed[differing],
    },
  );
}

function compareState(run: Run, step: number, recorded: string, computed: string): void {
  if (recorded === computed) return;
  throw new Refusal(
    "replay_differs",
    `The state after step ${step} of run ${run.name} differs: its digest was recorded as ${recorded} and is ${computed}.`,
    "The record was changed, or the machine that trained or this one computes wrongly.",
    { run: run.id, step, what: "state", recorded, computed },
  );
}
