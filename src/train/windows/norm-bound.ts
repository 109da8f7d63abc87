/**
 * How far honest work can move the parameters in a window. A delta beyond it is a lie whatever was computed, so it
 * is refused without recomputing anything; one within it may still be one.
 *
 * Adam and AdamW: an element moves by at most rate × c per step, where c bounds |m̂|/√v̂ for any sequence of
 * gradients (Cauchy–Schwarz over the two moving averages, whose weights are known, Kingma & Ba 2015 §2.1 state the
 * special cases); decoupled decay adds rate × λ × ‖p‖. Clipped SGD and momentum: the norm of a gradient is at most
 * the clip. A codec that keeps a residual sends what earlier windows of this worker left: the sum of all they moved,
 * at the highest rate of the schedule. A codec's answer is never longer than twice what it was given, since it is
 * nearer to that than zero is.
 */
import { type Optimizer, RepeatedPower } from "../optimizer.ts";

export interface Movement {
  readonly optimizer: Optimizer;
  /** Learning rates of the window's steps, in order. */
  readonly rates: readonly number[];
  /** The highest rate of the run's schedule. */
  readonly peakRate: number;
  /** Updates since the worker's moments were zero, before the window. */
  readonly age: number;
  readonly parameterCount: number;
  /** ‖p‖₂ of the window's revision. */
  readonly parameterNorm: number;
  /** Whether the codec loses anything, and whether what it lost is carried on. */
  readonly codec: "exact" | "lossy" | "residual";
}

/** Rounding of float32 in some hundred thousand steps stays far below this share of the bound. */
const roundingShare = 1.01;
/**
 * What earlier windows left is bounded with the present norm of the parameters, which was another then; decay, the
 * only term it enters, is small beside the others.
 */
const earlierShare = 2;

/**
 * The largest ‖delta‖₂ of honest work; Infinity where the optimizer has no bound that holds for every gradient (LARS
 * gives its velocity the present layer's trust; SGD without a clip follows the gradient).
 */
export function deltaNormMaximum(movement: Movement): number {
  const { rates, age, peakRate, codec } = movement;
  const moved = movedAtMost(movement, rates, age);
  if (codec === "exact") return moved * roundingShare;
  const earlier = Array.from({ length: Math.min(age, stepsConsidered) }, () => peakRate);
  const beyond = age > stepsConsidered ? age / stepsConsidered : 1;
  const left = codec === "residual" ? earlierShare * beyond * movedAtMost(movement, earlier, 0) : 0;
  return 2 * (moved + left) * roundingShare;
}

/** Steps whose rates are summed one by one; what lies beyond counts as much on average. */
const stepsConsidered = 65_536;

function movedAtMost(movement: Movement, rates: readonly number[], age: number): number {
  const { optimizer, parameterCount, parameterNorm } = movement;
  const perStep = stepBound(optimizer, parameterCount);
  let moved = 0;
  for (const [index, rate] of rates.entries()) {
    const norm = parameterNorm + moved;
    if (rate > 0) moved += rate * perStep(age + index, norm);
    // Nothing is added to what has no bound: no product of zero and infinity comes to be.
    if (moved === Infinity) return moved;
  }
  return moved;
}

/** Far above the square root of the least float32 times the ratio. */
const epsilonMinimum = 1e-15;

/** ‖update‖₂ / rate at most, for a step after `age` updates and parameters of that norm. */
function stepBound(
  { kind, beta1, beta2, epsilon, weightDecay, clipNorm }: Optimizer,
  parameterCount: number,
): (age: number, norm: number) => number {
  const gradient = clipNorm > 0 ? clipNorm : Infinity;
  switch (kind) {
    case "adam":
    case "adamw":
    case "lamb": {
      // Moments too small for float32 have any ratio at all; epsilon has to outweigh them.
      if (epsilon < epsilonMinimum || !(beta1 * beta1 < beta2)) return () => Infinity;
      // LAMB's layers move as far as they are long, or as Adam's where they are zero.
      const share = { adam: 0, adamw: weightDecay, lamb: 1 }[kind];
      const ratio = momentRatio(beta1, beta2);
      return (age, norm) => ratio(age + 1) * Math.sqrt(parameterCount) + share * norm;
    }
    case "sgd":
      return (_, norm) => gradient + weightDecay * norm;
    case "momentum":
      // The velocity is a sum of decayed gradients; Nesterov's looks one step further.
      return (_, norm) => ((gradient + weightDecay * norm) / (1 - beta1)) * (1 + beta1);
    case "lars":
      return () => Infinity;
  }
}

/** Bounds |m̂|/√v̂ after `count` updates: at most 1 after the first, and bounded ever after. */
function momentRatio(beta1: number, beta2: number): (count: number) => number {
  const power1 = new RepeatedPower(beta1);
  const power2 = new RepeatedPower(beta2);
  const mixed = new RepeatedPower((beta1 * beta1) / beta2);
  const factor = (1 - beta1) / Math.sqrt(1 - beta2);
  return (count) => {
    const terms = (1 - mixed.at(count)) / (1 - (beta1 * beta1) / beta2);
    const corrections = Math.sqrt(1 - power2.at(count)) / (1 - power1.at(count));
    return factor * Math.sqrt(terms) * corrections;
  };
}
