import type { Values } from "./curve.ts";

/** The parts a step's time is measured in, in the order they happen. */
export const splitParts = ["data", "gradient", "norm", "update", "evaluate", "checkpoint"] as const;
export type SplitPart = (typeof splitParts)[number];

/** Columns of `run/series`, one entry per step that was sent. */
export interface StepColumns {
  readonly step: readonly number[];
  readonly loss: Values;
  readonly gradientNorm: Values;
  readonly learningRate: Values;
  readonly tokensPerSecond: Values;
  readonly percentOfPeak: Values;
  readonly split: Readonly<Record<SplitPart, Values>>;
}

export interface EvaluationColumns {
  readonly step: readonly number[];
  readonly loss: Values;
  readonly bitsPerByte: Values;
  readonly exactMatch: Values;
}

export interface Series {
  readonly run: string;
  readonly steps: StepColumns;
  readonly evaluations: EvaluationColumns;
}

/** The page keeps at most this many points of a run; then every second one goes. */
export const keptMaximum = 4_000;

const stepNames = [
  "loss",
  "gradientNorm",
  "learningRate",
  "tokensPerSecond",
  "percentOfPeak",
] as const satisfies readonly (keyof StepColumns)[];

type Columns = Readonly<Record<string, Values>>;

function rows(columns: Columns, indices: readonly number[]): Record<string, (number | null)[]> {
  return Object.fromEntries(
    Object.entries(columns).map(([name, values]) => [
      name,
      indices.map((index) => values[index] ?? null),
    ]),
  );
}

/** Rows of `before` that are older than the first of `after`, then all of `after`. */
function append(before: Columns, after: Columns, most: number): Columns {
  const first = after["step"]?.[0];
  if (first === undefined || first === null) return before;
  const old = before["step"] ?? [];
  let kept = old.length;
  while (kept > 0 && (old[kept - 1] ?? 0) >= first) kept--;
  const joined: Record<string, (number | null)[]> = {};
  for (const [name, values] of Object.entries(after)) {
    const past = (before[name] ?? []).slice(0, kept);
    while (past.length < kept) past.push(null);
    joined[name] = [...past, ...values];
  }
  const count = joined["step"]?.length ?? 0;
  if (count <= most) return joined;
  // The last point is always kept; from there every second one.
  const indices = Array.from({ length: count }, (_, index) => index);
  return rows(
    joined,
    indices.filter((index) => (count - 1 - index) % 2 === 0),
  );
}

const flat = (steps: StepColumns): Columns => {
  const columns: Record<string, Values> = { step: steps.step };
  for (const name of stepNames) columns[name] = steps[name];
  for (const part of splitParts) columns[`split.${part}`] = steps.split[part] ?? [];
  return columns;
};

const unflat = (columns: Columns): StepColumns => ({
  step: (columns["step"] ?? []) as readonly number[],
  loss: columns["loss"] ?? [],
  gradientNorm: columns["gradientNorm"] ?? [],
  learningRate: columns["learningRate"] ?? [],
  tokensPerSecond: columns["tokensPerSecond"] ?? [],
  percentOfPeak: columns["percentOfPeak"] ?? [],
  split: Object.fromEntries(
    splitParts.map((part) => [part, columns[`split.${part}`] ?? []]),
  ) as Record<SplitPart, Values>,
});

/**
 * Adds what came after to what is there. Where a run went back to a checkpoint, its new steps
 * replace the old ones of the same number.
 */
export function appendSeries(before: Series | null, after: Series, most = keptMaximum): Series {
  if (before === null || before.run !== after.run) return after;
  return {
    run: after.run,
    steps: unflat(append(flat(before.steps), flat(after.steps), most)),
    evaluations: append(
      before.evaluations as unknown as Columns,
      after.evaluations as unknown as Columns,
      most,
    ) as unknown as EvaluationColumns,
  };
}

/** The last step a series holds; what comes next is asked for after it. */
export function lastStepOf(series: Series | null): number {
  return series?.steps.step.at(-1) ?? 0;
}

/** Seconds each step took: the sum of its parts. */
export function stepSeconds(steps: StepColumns): number[] {
  return steps.step.map((_, index) =>
    splitParts.reduce((sum, part) => sum + (steps.split[part]?.[index] ?? 0), 0),
  );
}
