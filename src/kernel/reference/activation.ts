import type { Arithmetic } from "./arithmetic.ts";
import type { Evaluation } from "./operands.ts";

export function sigmoid(arithmetic: Arithmetic, z: number): number {
  const q = arithmetic.exponential(-Math.abs(z));
  return arithmetic.divide(z >= 0 ? 1 : q, arithmetic.add(1, q));
}

/** 2·√(2/π): the tanh form of GELU (Hendrycks and Gimpel 2016) written through the sigmoid. */
const slope = 1.5957691216057308;
const cubic = 0.044715;
const cubicTimesThree = 0.134145;

function geluSigmoid(arithmetic: Arithmetic, x: number, q: number): number {
  const { constant, fma, multiply } = arithmetic;
  const t = fma(multiply(q, constant(cubic)), x, x);
  return sigmoid(arithmetic, multiply(t, constant(slope)));
}

export function gelu(arithmetic: Arithmetic, x: number): number {
  return arithmetic.multiply(x, geluSigmoid(arithmetic, x, arithmetic.multiply(x, x)));
}

export function geluDerivative(arithmetic: Arithmetic, x: number): number {
  const { constant, fma, multiply, subtract } = arithmetic;
  const q = multiply(x, x);
  const s = geluSigmoid(arithmetic, x, q);
  const d = multiply(fma(q, constant(cubicTimesThree), 1), constant(slope));
  return fma(multiply(multiply(x, s), subtract(1, s)), d, s);
}

export const silu = (arithmetic: Arithmetic, x: number): number =>
  arithmetic.multiply(x, sigmoid(arithmetic, x));

export function siluDerivative(arithmetic: Arithmetic, x: number): number {
  const s = sigmoid(arithmetic, x);
  return arithmetic.fma(arithmetic.multiply(x, s), arithmetic.subtract(1, s), s);
}

export const geluForward: Evaluation = (arithmetic, operands) => {
  const x = operands.floats("x");
  const y = operands.floats("y");
  for (let i = 0; i < operands.integer("count"); i++) y[i] = gelu(arithmetic, x[i]!);
};

export const geluBackward: Evaluation = (arithmetic, operands) => {
  const x = operands.floats("x");
  const yGradient = operands.floats("yGradient");
  const xGradient = operands.floats("xGradient");
  for (let i = 0; i < operands.integer("count"); i++) {
    xGradient[i] = arithmetic.multiply(yGradient[i]!, geluDerivative(arithmetic, x[i]!));
  }
};

export const swiglu: Evaluation = (arithmetic, operands) => {
  const x = operands.floats("x");
  const y = operands.floats("y");
  const columns = operands.integer("columns");
  for (let row = 0; row < operands.integer("rows"); row++) {
    for (let column = 0; column < columns; column++) {
      const gate = x[2 * row * columns + column]!;
      const up = x[(2 * row + 1) * columns + column]!;
      y[row * columns + column] = arithmetic.multiply(silu(arithmetic, gate), up);
    }
  }
};

export const swigluBackward: Evaluation = (arithmetic, operands) => {
  const { multiply } = arithmetic;
  const x = operands.floats("x");
  const yGradient = operands.floats("yGradient");
  const xGradient = operands.floats("xGradient");
  const columns = operands.integer("columns");
  for (let row = 0; row < operands.integer("rows"); row++) {
    for (let column = 0; column < columns; column++) {
      const gateIndex = 2 * row * columns + column;
      const gate = x[gateIndex]!;
      const up = x[gateIndex + columns]!;
      const gradient = yGradient[row * columns + column]!;
      xGradient[gateIndex] = multiply(multiply(gradient, up), siluDerivative(arithmetic, gate));
      xGradient[gateIndex + columns] = multiply(gradient, silu(arithmetic, gate));
    }
  }
};
