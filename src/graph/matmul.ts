import { activation } from "#src/kernel/contract.ts";
import { assertExtent, type Graph } from "./graph.ts";
import type { Backward, Forward, Value } from "./node.ts";
import type { Tensor } from "./tensor.ts";

export interface LinearOptions {
  readonly bias?: Value | null;
  /** GELU of the sum; its argument is kept for the backward pass. */
  readonly gelu?: boolean;
  /** Added to the result, in the same pass over memory. */
  readonly residual?: Value | null;
}

interface Linear {
  readonly x: Value;
  /** outputs × inputs. */
  readonly weight: Value;
  readonly bias: Value | null;
  readonly residual: Value | null;
  readonly y: Value;
  /** GELU's argument; null without GELU or where no gradient will ask for it. */
  readonly preActivation: Value | null;
  readonly gelu: boolean;
}

/** Arguments of GELU by the value GELU produced, for the consumer that fuses GELU's gradient. */
const preActivations = new WeakMap<Value, Value>();

/**
 * y = residual + gelu(x·weightᵀ + bias), where bias, gelu and residual are optional.
 * x rows×inputs, weight outputs×inputs, bias 1×outputs, residual and y rows×outputs.
 */
export function linear(graph: Graph, x: Value, weight: Value, options: LinearOptions = {}): Value {
  const { bias = null, residual = null, gelu = false } = options;
  assertExtent("linear", weight, null, x.columns);
  if (bias) assertExtent("linear", bias, 1, weight.rows);
  if (residual) assertExtent("linear", residual, x.rows, weight.rows);
  const from = [x, weight, bias, residual];
  const y = graph.produced("out", x.rows, weight.rows, from);
  const preActivation =
    gelu && y.requiresGradient ? graph.produced("preActivation", x.rows, weight.rows, from) : null;
  if (preActivation) preActivations.set(y, preActivation);
  const parts: Linear = { x, weight, bias, residual, y, preActivation, gelu };
  graph.apply({
    name: "linear",
    inputs: from,
    outputs: preActivation ? [y, preActivation] : [y],
    forward: (run) => forward(run, parts),
    backward: (run) => backward(run, parts),
  });
  return y;
}

function forward(
  run: Forward,
  { x, weight, bias, residual, y, preActivation, gelu }: Linear,
): void {
  const a = run.place(x);
  const b = run.place(weight);
  const out = run.place(y);
  const auxiliary = run.placeOptional(preActivation);
  const added = run.placeOptional(residual);
  run.emit(
    "matmul",
    { a, b, out, bias: run.placeOptional(bias), auxiliary, residual: added },
    {
      ...noEpilogue,
      M: x.rows,
      N: weight.rows,
      K: x.columns,
      aStride: a.stride,
      bStride: b.stride,
      outStride: out.stride,
      transposeB: 1,
      activation: gelu ? activation.gelu : activation.none,
      auxiliaryStride: auxiliary?.stride ?? 0,
      residualStride: added?.stride ?? 0,
    },
  );
}

const noEpilogue = {
  transposeA: 0,
  transposeB: 0,
  activation: activation.none,
  accumulate: 0,
  auxiliaryStride: 0,
  residualStride: 0,
};

function backward(run: Backward, parts: Linear): void {
  const { x, weight, bias, residual } = parts;
  const outGradient = run.gradientOf(parts.y);
  if (residual && outGradient) run.pass(residual, outGradient);
  const gradient = parts.gelu ? preActivationGradient(run, parts) : outGradient;
  if (!gradient) return;
  weightGradient(run, parts, gradient);
  const biasGradient = bias && run.parameterGradient(bias);
  if (biasGradient) {
    const { out, accumulate } = biasGradient;
    const sizes = { rows: x.rows, columns: weight.rows, xStride: gradient.stride, accumulate };
    run.emit("column_sum", { x: gradient, out }, sizes);
  }
  inputGradient(run, x, weight, gradient);
}

/** dWeight(outputs×inputs) = gradientᵀ · x. */
function weightGradient(run: Backward, { x, weight }: Linear, gradient: Tensor): void {
  const target = run.parameterGradient(weight);
  if (!target) return;
  const b = run.place(x);
  run.emit(
    "matmul",
    { a: gradient, b, out: target.out },
    {
      ...noEpilogue,
      M: weight.rows,
      N: weight.columns,
      K: x.rows,
      aStride: gradient.stride,
      bStride: b.stride,
      outStride: target.out.stride,
      transposeA: 1,
      accumulate: target.accumulate,
    },
  );
}

/** dx(rows×inputs) = gradient · weight, through the GELU that made x where x has no other reader. */
function inputGradient(run: Backward, x: Value, weight: Value, gradient: Tensor): void {
  const argument = x.consumers.length === 1 ? preActivations.get(x) : undefined;
  const target = run.into(argument ?? x);
  if (!target) return;
  const b = run.place(weight);
  const auxiliary = argument ? run.place(argument) : null;
  run.emit(
    "matmul",
    { a: gradient, b, out: target.out, auxiliary, residual: target.residual },
    {
      ...noEpilogue,
      M: x.rows,
      N: weight.columns,
      K: weight.rows,
      aStride: gradient.stride,
      bStride: b.stride,
      outStride: target.out.stride,
      activation: argument ? activation.geluBackward : activation.none,
      auxiliaryStride: auxiliary?.stride ?? 0,
      residualStride: target.residual?.stride ?? 0,
    },
  );
}

/** The gradient before GELU: written by the consumer that fused it, or by a call of its own. */
function preActivationGradient(run: Backward, { y, preActivation }: Linear): Tensor | null {
  if (!preActivation) return null;
  const fused = run.gradientOf(preActivation);
  const outGradient = run.gradientOf(y);
  if (fused || !outGradient) return fused;
  const xGradient = run.slot(preActivation);
  run.emit(
    "gelu_backward",
    { yGradient: outGradient, x: run.place(preActivation), xGradient },
    { count: y.rows * y.columns },
  );
  run.settle(preActivation, xGradient);
  return xGradient;
}
