/**
 * A run's curves with a bound on their points: steps are looked up by number, evenly spaced, so that a
 * run of a million steps costs what one of a thousand does.
 */
import type { Row, Store } from "#src/port/store.ts";
import { trainingFlopsPerToken } from "#src/model/cost.ts";
import { asStep, splitParts, type Run, type TimedStep } from "./run-rows.ts";

/** Whole numbers from `first` to `last`, at most `points` of them, both ends among them. */
export function spread(first: number, last: number, points: number): number[] {
  const count = last - first + 1;
  if (count <= points)
    return Array.from({ length: Math.max(0, count) }, (_, index) => first + index);
  const stride = (last - first) / (points - 1);
  return Array.from({ length: points }, (_, index) => Math.round(first + index * stride));
}

interface Evaluation {
  readonly step: number;
  readonly loss: number;
  readonly bitsPerByte: number | null;
  readonly exactMatch: number;
}

/** Per cent of the machine's peak that a speed of this run is; null where no peak was measured. */
export function percentOfPeak(
  { manifest }: Run,
  tokensPerSecond: number,
  peakFlops: number | null,
): number | null {
  if (peakFlops === null) return null;
  return (
    (100 * tokensPerSecond * trainingFlopsPerToken(manifest.model, manifest.contextLength)) /
    peakFlops
  );
}

/**
 * Columns of at most `points` steps after a step, and as many evaluations from that step on: a step is
 * measured after it was recorded, so whoever saw the step may not have seen its evaluation.
 */
export function readSeries(
  store: Store,
  run: Run,
  { after, points, peakFlops }: { after: number; points: number; peakFlops: number | null },
) {
  const bounds = stepBounds(store, run.id);
  const steps = readSteps(
    store,
    run.id,
    spread(Math.max(bounds.first, after + 1), bounds.last, points),
  );
  const evaluations = readEvaluations(store, run.id, after, points);
  const column = <Key extends keyof TimedStep>(key: Key) => steps.map((step) => step[key]);
  const factor = percentOfPeak(run, 1, peakFlops);
  const split = Object.fromEntries(
    splitParts.map((part) => [part, steps.map((step) => step.split?.[part] ?? null)]),
  ) as Record<(typeof splitParts)[number], (number | null)[]>;
  return {
    run: run.id,
    ...bounds,
    steps: {
      step: column("step"),
      loss: column("loss"),
      gradientNorm: column("gradientNorm"),
      learningRate: column("learningRate"),
      tokensPerSecond: column("tokensPerSecond"),
      percentOfPeak: steps.map((step) => (factor === null ? null : factor * step.tokensPerSecond)),
      split,
    },
    evaluations: {
      step: evaluations.map(({ step }) => step),
      loss: evaluations.map(({ loss }) => loss),
      bitsPerByte: evaluations.map(({ bitsPerByte }) => bitsPerByte),
      exactMatch: evaluations.map(({ exactMatch }) => exactMatch),
    },
  };
}

/** The first and last recorded step; both 0 without any. */
function stepBounds(store: Store, run: string): { readonly first: number; readonly last: number } {
  const end = (order: "ASC" | "DESC") =>
    Number(
      store.get(`SELECT step FROM run_step WHERE run = ? ORDER BY step ${order} LIMIT 1`, run)?.[
        "step"
      ] ?? 0,
    );
  return { first: end("ASC"), last: end("DESC") };
}

function readSteps(store: Store, run: string, wanted: readonly number[]): TimedStep[] {
  return store
    .all(
      `SELECT run_step.* FROM json_each(?2) AS wanted
       CROSS JOIN run_step ON run_step.run = ?1 AND run_step.step = wanted.value
       ORDER BY run_step.step`,
      run,
      JSON.stringify(wanted.filter((step) => step > 0)),
    )
    .map(asStep);
}

/** Of a step with a sampled and a full evaluation, the full one counts. */
function readEvaluations(store: Store, run: string, from: number, points: number): Evaluation[] {
  const where = "run = ?1 AND step >= ?2";
  const count = Number(
    store.get(`SELECT count(*) AS count FROM run_evaluation WHERE ${where}`, run, from)!["count"],
  );
  const stride = Math.max(1, Math.ceil(count / Math.max(1, points - 2)));
  const rows = store.all(
    `SELECT step, loss, bits_per_byte, exact_match FROM (
       SELECT *, row_number() OVER (ORDER BY step, is_full) AS place FROM run_evaluation WHERE ${where}
     ) WHERE (place - 1) % ?3 = 0 OR place = ?4 ORDER BY step, is_full`,
    run,
    from,
    stride,
    count,
  );
  const byStep = new Map(rows.map((row) => [Number(row["step"]), asEvaluation(row)]));
  return [...byStep.values()];
}

function asEvaluation(row: Row): Evaluation {
  return {
    step: Number(row["step"]),
    loss: Number(row["loss"]),
    bitsPerByte: row["bits_per_byte"] === null ? null : Number(row["bits_per_byte"]),
    exactMatch: Number(row["exact_match"]),
  };
}
