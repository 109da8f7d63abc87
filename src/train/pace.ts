/** How fast this machine takes the steps of a run, and how many fit a time budget. */
import type { Clock } from "#src/port/clock.ts";
import type { Trainer } from "./trainer.ts";
import { stepMaximum } from "./schedule.ts";

export interface Pace {
  readonly stepMs: number;
  /** One evaluation of the held-out sample, and of all of it. */
  readonly sampleMs: number;
  readonly fullMs: number;
}

/** How long measuring goes on, after a first step that is not counted. */
const measureMs = 2_000;
/** Share of the budget that is planned for; the rest absorbs checkpoints and a busier machine. */
const plannedShare = 0.94;

/**
 * Takes real steps and measures them. The trainer's state is spoilt: initialise it again afterwards.
 * Initialisation depends on the seed alone, so the run does not remember that it was measured.
 */
export async function measurePace(trainer: Trainer, clock: Clock): Promise<Pace> {
  await trainer.trainStep();
  const startMs = clock.monotonicMs();
  let count = 0;
  do {
    await trainer.trainStep();
    count++;
  } while (clock.monotonicMs() - startMs < measureMs);
  const stepMs = (clock.monotonicMs() - startMs) / count;
  const evaluationStartMs = clock.monotonicMs();
  const { sample, full } = trainer.data;
  if (sample.batchCount > 0) await trainer.evaluate("sample");
  const sampleMs = clock.monotonicMs() - evaluationStartMs;
  return {
    stepMs,
    sampleMs,
    fullMs: (sampleMs * full.batchCount) / Math.max(1, sample.batchCount),
  };
}

/** Steps that fit what is left of the budget, evaluations included; at least one. */
export function stepsWithin(pace: Pace, remainingMs: number, evaluateEverySteps: number): number {
  const evaluationMsPerStep = evaluateEverySteps > 0 ? pace.sampleMs / evaluateEverySteps : 0;
  const available = remainingMs * plannedShare - pace.fullMs;
  const steps = Math.floor(available / (pace.stepMs + evaluationMsPerStep));
  return Math.min(stepMaximum, Math.max(1, steps));
}
