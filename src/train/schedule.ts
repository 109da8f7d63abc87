/**
 * The learning rate of every step, in float64 from + − × ÷ √ and our own cosine, so that the same
 * schedule gives the same bits on every JavaScript engine. (`Math.cos` and `Math.pow` may differ
 * between engines and versions; the five operations used here may not.)
 */
import * as v from "valibot";

export const scheduleKinds = ["constant", "linear", "cosine", "inverse-sqrt", "wsd"] as const;

/** Steps are counted in 31 bits wherever they are counted; at a millisecond a step that is a month. */
export const stepMaximum = 2 ** 31 - 1;

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const fraction = v.pipe(v.number(), v.minValue(0), v.maxValue(1));

export const scheduleSchema = v.strictObject({
  kind: v.picklist(scheduleKinds),
  peakRate: v.pipe(v.number(), v.finite(), v.minValue(0)),
  /** Steps over which the rate climbs linearly from peak/warmupSteps to peak. */
  warmupSteps: count,
  /** All steps of the run, warm-up included. */
  steps: v.pipe(count, v.minValue(1)),
  /** What linear, cosine and wsd end at, as a fraction of the peak. */
  finalFraction: fraction,
  /** wsd only: the last part of the run in which the rate falls. */
  decayFraction: fraction,
});

export type Schedule = v.InferOutput<typeof scheduleSchema>;

/**
 * The learning rate of a zero-based step. Beyond the last step it stays at the final rate.
 * "inverse-sqrt": Vaswani et al. 2017; "wsd" (warm-up, stable, decay): Hu et al. 2024.
 */
export function learningRate(schedule: Schedule, step: number): number {
  const { kind, peakRate, warmupSteps, steps, finalFraction, decayFraction } = schedule;
  if (step < warmupSteps) return (peakRate * (step + 1)) / warmupSteps;
  const past = step - warmupSteps;
  const progress = Math.min(1, past / Math.max(1, steps - warmupSteps));
  switch (kind) {
    case "constant":
      return peakRate;
    case "linear":
      return peakRate * (1 - (1 - finalFraction) * progress);
    case "cosine":
      return peakRate * (finalFraction + (1 - finalFraction) * 0.5 * (1 + cosineOfTurns(progress)));
    case "inverse-sqrt":
      return peakRate * Math.sqrt(Math.max(1, warmupSteps) / (step + 1));
    case "wsd": {
      const decaySteps = Math.floor(steps * decayFraction);
      const decayed = step - (steps - decaySteps) + 1;
      if (decayed <= 0 || decaySteps === 0) return peakRate;
      return peakRate * (1 - (1 - finalFraction) * Math.min(1, decayed / decaySteps));
    }
  }
}

/** cos(πx) for 0 ≤ x ≤ 1, within 2⁻⁵² of the true value. */
export function cosineOfTurns(x: number): number {
  if (x > 0.5) return -cosineOfTurns(1 - x);
  if (x > 0.25) return sineSeries(Math.PI * (0.5 - x));
  return cosineSeries(Math.PI * x);
}

/** Taylor series by Horner, for |a| ≤ π/4; the first term left out is below 2⁻⁶⁰. */
function cosineSeries(a: number): number {
  const s = a * a;
  let sum = 0;
  for (let n = 18; n >= 2; n -= 2) sum = (-s / (n * (n - 1))) * (1 + sum);
  return 1 + sum;
}

function sineSeries(a: number): number {
  const s = a * a;
  let sum = 0;
  for (let n = 19; n >= 3; n -= 2) sum = (-s / (n * (n - 1))) * (1 + sum);
  return a * (1 + sum);
}
