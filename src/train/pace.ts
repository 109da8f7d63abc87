/** How fast this machine takes the steps of a run, and how many fit a time budget. */
import type { Clock } from "#src/port/clock.ts";
import type { Trainer } from "./trainer.ts";

export interface Pace {
  readonly stepMs: number;
  readonly evaluationBatchMs: number;
  readonly validationBatches: number;
}

/** How long measuring goes on, after a first step that is not counted. */
const measureMs = 2_000;
/** Share of the budget that is planned for; the rest absorbs checkpoints and a busier machine. */
const plannedShare = 0.94;

/**
 * Takes real steps and measures them. The trainer's state is spoilt: initialise it again afterwards.
 * Initialisation depends on the seed alone, so the run does not remember that it was measured.
 */
export async function measurePace(trainer: Trainer, clock: Clock, batches: number): Promise<Pace> {
  await trainer.trainStep();
  const startMs = clock.monotonicMs();
  let count = 0;
  do {
    await trainer.trainStep();
    count++;
  } while (clock.monotonicMs() - startMs < measureMs);
  const stepMs = (clock.monotonicMs() - startMs) / count;
  const validationBatches = trainer.data.validationBatchCount;
  const measured = Math.min(2, batches, validationBatches);
  const evaluationStartMs = clock.monotonicMs();
  if (measured > 0) await trainer.evaluate(measured);
  const evaluationBatchMs = (clock.monotonicMs() - evaluationStartMs) / Math.max(1, measured);
  return { stepMs, evaluationBatchMs, validationBatches };
}

/** Steps that fit what is left of the budget, evaluations included; at least one. */
export function stepsWithin(
  pace: Pace,
  remainingMs: number,
  evaluation: { readonly everySteps: number; readonly batches: number },
): number {
  const closingMs = pace.evaluationBatchMs * pace.validationBatches;
  const perEvaluation =
    pace.evaluationBatchMs * Math.min(evaluation.batches, pace.validationBatches);
  const evaluationMsPerStep = evaluation.everySteps > 0 ? perEvaluation / evaluation.everySteps : 0;
  const available = remainingMs * plannedShare - closingMs;
  return Math.max(1, Math.floor(available / (pace.stepMs + evaluationMsPerStep)));
}
