import { hyper } from "#src/kernel/contract.ts";
import type { Arithmetic, Floats } from "./arithmetic.ts";
import type { Evaluation, Operands } from "./operands.ts";
import { reduceBlocks } from "./reduction.ts";

/** Index of the scale in clip_scale's out. */
const clipScaleIndex = 1;

export const clipScale: Evaluation = (arithmetic, operands) => {
  const maximum = arithmetic.constant(operands.float("maximum"));
  const norm = arithmetic.squareRoot(operands.floats("sumSquares")[0]!);
  const out = operands.floats("out");
  out[0] = norm;
  out[clipScaleIndex] = maximum <= 0 || norm <= maximum ? 1 : arithmetic.divide(maximum, norm);
};

/** The gradient every optimizer starts from: flushed, clipped, with L2 added. */
function commonStart(
  arithmetic: Arithmetic,
  operands: Operands,
): (parameter: number, index: number) => number {
  const gradient = operands.floats("gradient");
  const clip = operands.optionalFloats("clip");
  const l2 = operands.floats("hyper")[hyper.l2]!;
  const scale = clip?.[clipScaleIndex] ?? 1;
  return (parameter, index) => {
    let g = arithmetic.flush(gradient[index]!);
    if (clip) g = arithmetic.multiply(g, scale);
    return l2 !== 0 ? arithmetic.fma(l2, parameter, g) : g;
  };
}

/** Updates Adam's moments of one element and returns them as stored. */
function updateMoments(
  arithmetic: Arithmetic,
  values: Floats,
  moments: { readonly first: Floats; readonly second: Floats },
  index: number,
  g: number,
): { readonly m: number; readonly v: number } {
  const { floor, fma, multiply } = arithmetic;
  const { first, second } = moments;
  const m = floor(
    fma(values[hyper.beta1]!, first[index]!, multiply(values[hyper.oneMinusBeta1]!, g)),
  );
  const square = multiply(g, g);
  const v = floor(
    fma(values[hyper.beta2]!, second[index]!, multiply(values[hyper.oneMinusBeta2]!, square)),
  );
  first[index] = m;
  second[index] = v;
  return { m, v };
}

/**
 * Replaces every parameter by `next(old, index)` and stores, per block of 4,096, the sums of
 * squares of the new parameters and of their changes.
 */
function updateParameters(
  arithmetic: Arithmetic,
  operands: Operands,
  next: (parameter: number, index: number) => number,
): void {
  const { flush, fma, subtract } = arithmetic;
  const parameter = operands.floats("parameter");
  const count = operands.integer("count");
  const changes = new Float64Array(count);
  for (let i = 0; i < count; i++) {
    const old = parameter[i]!;
    const updated = next(old, i);
    parameter[i] = updated;
    changes[i] = flush(subtract(updated, old));
  }
  const squares = reduceBlocks(arithmetic, count, (i, lane) => {
    const value = flush(parameter[i]!);
    return fma(value, value, lane);
  });
  const changeSquares = reduceBlocks(arithmetic, count, (i, lane) =>
    fma(changes[i]!, changes[i]!, lane),
  );
  operands.floats("parameterPartial").set(squares);
  operands.floats("updatePartial").set(changeSquares);
}

export const sgd: Evaluation = (arithmetic, operands) => {
  const { floor, fma, multiply } = arithmetic;
  const values = operands.floats("hyper");
  const velocity = operands.optionalFloats("velocity");
  const ratio = operands.optionalFloats("ratio");
  const beta = values[hyper.beta1]!;
  const stepSize = values[hyper.stepSize]!;
  const step = ratio ? multiply(stepSize, ratio[0]!) : stepSize;
  const start = commonStart(arithmetic, operands);
  updateParameters(arithmetic, operands, (parameter, index) => {
    const g = start(parameter, index);
    let direction = g;
    if (velocity) {
      const moved = floor(fma(beta, velocity[index]!, g));
      velocity[index] = moved;
      direction = values[hyper.nesterov]! !== 0 ? fma(beta, moved, g) : moved;
    }
    return fma(-step, direction, multiply(parameter, values[hyper.decayFactor]!));
  });
};

export const adam: Evaluation = (arithmetic, operands) => {
  const { divide, fma, multiply, squareRoot } = arithmetic;
  const values = operands.floats("hyper");
  const moments = { first: operands.floats("first"), second: operands.floats("second") };
  const start = commonStart(arithmetic, operands);
  updateParameters(arithmetic, operands, (parameter, index) => {
    const g = start(parameter, index);
    const { m, v } = updateMoments(arithmetic, values, moments, index, g);
    const correction = values[hyper.inverseRootCorrection2]!;
    const d = fma(squareRoot(v), correction, values[hyper.epsilon]!);
    const decayed = multiply(parameter, values[hyper.decayFactor]!);
    return fma(-values[hyper.stepSize]!, divide(m, d), decayed);
  });
};

export const lambDirection: Evaluation = (arithmetic, operands) => {
  const { divide, fma, multiply, squareRoot } = arithmetic;
  const values = operands.floats("hyper");
  const parameter = operands.floats("parameter");
  const direction = operands.floats("direction");
  const moments = { first: operands.floats("first"), second: operands.floats("second") };
  const start = commonStart(arithmetic, operands);
  for (let i = 0; i < operands.integer("count"); i++) {
    const g = start(parameter[i]!, i);
    const { m, v } = updateMoments(arithmetic, values, moments, i, g);
    const correction = values[hyper.inverseRootCorrection2]!;
    const d = fma(squareRoot(v), correction, values[hyper.epsilon]!);
    const adamStep = divide(multiply(m, values[hyper.inverseCorrection1]!), d);
    direction[i] = fma(values[hyper.weightDecay]!, parameter[i]!, adamStep);
  }
};

export const applyDirection: Evaluation = (arithmetic, operands) => {
  const { fma, multiply } = arithmetic;
  const values = operands.floats("hyper");
  const direction = operands.floats("direction");
  const step = multiply(values[hyper.stepSize]!, operands.floats("ratio")[0]!);
  updateParameters(arithmetic, operands, (parameter, index) =>
    fma(-step, direction[index]!, multiply(parameter, values[hyper.decayFactor]!)),
  );
};

const larsMode = 0;

/** LARS (You et al. 2017) and LAMB (You et al. 2020): how long a step a layer may take. */
export const trustRatio: Evaluation = (arithmetic, operands) => {
  const { add, divide, fma, multiply, squareRoot } = arithmetic;
  const values = operands.floats("hyper");
  const clip = operands.optionalFloats("clip");
  const parameterNorm = squareRoot(operands.floats("parameterSquares")[0]!);
  let updateNorm = squareRoot(operands.floats("updateSquares")[0]!);
  let ratio = 1;
  if (parameterNorm !== 0 && updateNorm !== 0) {
    if (operands.integer("mode") === larsMode) {
      if (clip) updateNorm = multiply(updateNorm, clip[clipScaleIndex]!);
      const decayed = fma(values[hyper.weightDecay]!, parameterNorm, updateNorm);
      const numerator = multiply(values[hyper.trust]!, parameterNorm);
      ratio = divide(numerator, add(decayed, values[hyper.epsilon]!));
    } else {
      ratio = divide(parameterNorm, updateNorm);
    }
  }
  operands.floats("out")[0] = ratio;
};
