import type { Arithmetic, Floats } from "./arithmetic.ts";
import { columnChain } from "./chain.ts";
import type { Evaluation, Operands } from "./operands.ts";
import { reduce, reduceProduct } from "./reduction.ts";

const inverseDeviation = (arithmetic: Arithmetic, variance: number, epsilon: number): number =>
  arithmetic.divide(1, arithmetic.squareRoot(arithmetic.add(variance, epsilon)));

export const layernorm: Evaluation = (arithmetic, operands) => {
  const { divide, fma, multiply, subtract } = arithmetic;
  const x = operands.floats("x");
  const gain = operands.floats("gain");
  const shift = operands.optionalFloats("shift");
  const y = operands.floats("y");
  const mean = operands.floats("mean");
  const rstd = operands.floats("rstd");
  const columns = operands.integer("columns");
  const epsilon = arithmetic.constant(operands.float("epsilon"));
  const centred = new Float64Array(columns);
  for (let row = 0; row < operands.integer("rows"); row++) {
    const start = row * columns;
    const average = divide(reduce(arithmetic, x, start, columns), columns);
    for (let i = 0; i < columns; i++) centred[i] = subtract(x[start + i]!, average);
    const squares = reduceProduct(arithmetic, centred, 0, centred, 0, columns);
    const inverse = inverseDeviation(arithmetic, divide(squares, columns), epsilon);
    for (let i = 0; i < columns; i++) {
      const h = multiply(centred[i]!, inverse);
      y[start + i] = shift ? fma(h, gain[i]!, shift[i]!) : multiply(h, gain[i]!);
    }
    mean[row] = average;
    rstd[row] = inverse;
  }
};

export const layernormBackward: Evaluation = (arithmetic, operands) => {
  const { add, divide, fma, multiply, subtract } = arithmetic;
  const x = operands.floats("x");
  const gain = operands.floats("gain");
  const yGradient = operands.floats("yGradient");
  const xGradient = operands.floats("xGradient");
  const residual = operands.optionalFloats("residual");
  const mean = operands.floats("mean");
  const rstd = operands.floats("rstd");
  const columns = operands.integer("columns");
  const h = new Float64Array(columns);
  const g = new Float64Array(columns);
  for (let row = 0; row < operands.integer("rows"); row++) {
    const start = row * columns;
    for (let i = 0; i < columns; i++) {
      h[i] = multiply(subtract(x[start + i]!, mean[row]!), rstd[row]!);
      g[i] = multiply(yGradient[start + i]!, gain[i]!);
    }
    const a = divide(reduce(arithmetic, g, 0, columns), columns);
    const b = divide(reduceProduct(arithmetic, g, 0, h, 0, columns), columns);
    for (let i = 0; i < columns; i++) {
      const gradient = multiply(fma(-h[i]!, b, subtract(g[i]!, a)), rstd[row]!);
      xGradient[start + i] = residual ? add(residual[start + i]!, gradient) : gradient;
    }
  }
};

export const layernormBackwardParameters: Evaluation = (arithmetic, operands) => {
  const { add, fma, multiply, subtract } = arithmetic;
  const x = operands.floats("x");
  const yGradient = operands.floats("yGradient");
  const mean = operands.floats("mean");
  const rstd = operands.floats("rstd");
  const gainGradient = operands.floats("gainGradient");
  const shiftGradient = operands.optionalFloats("shiftGradient");
  const rows = operands.integer("rows");
  const columns = operands.integer("columns");
  const accumulate = operands.integer("accumulate") !== 0;
  for (let column = 0; column < columns; column++) {
    const oldGain = accumulate ? gainGradient[column]! : null;
    gainGradient[column] = columnChain(arithmetic, rows, oldGain, (row, accumulator) => {
      const index = row * columns + column;
      const h = multiply(subtract(x[index]!, mean[row]!), rstd[row]!);
      return fma(yGradient[index]!, h, accumulator);
    });
    if (!shiftGradient) continue;
    const oldShift = accumulate ? shiftGradient[column]! : null;
    shiftGradient[column] = columnChain(arithmetic, rows, oldShift, (row, accumulator) =>
      add(accumulator, yGradient[row * columns + column]!),
    );
  }
};

/** Where logical rows start in a buffer that holds `groups` of them side by side per stride. */
interface GroupedRows {
  readonly elements: Floats;
  start(row: number): number;
}

function groupedRows(operands: Operands, elements: Floats, strideName: string): GroupedRows {
  const groups = operands.integer("groups");
  const columns = operands.integer("columns");
  const stride = operands.integer(strideName);
  return {
    elements,
    start: (row) => Math.floor(row / groups) * stride + (row % groups) * columns,
  };
}

export const rmsnorm: Evaluation = (arithmetic, operands) => {
  const { divide, multiply } = arithmetic;
  const x = groupedRows(operands, operands.floats("x"), "xStride");
  const y = groupedRows(operands, operands.floats("y"), "yStride");
  const gain = operands.floats("gain");
  const rstd = operands.floats("rstd");
  const columns = operands.integer("columns");
  const epsilon = arithmetic.constant(operands.float("epsilon"));
  for (let row = 0; row < operands.integer("rows"); row++) {
    const start = x.start(row);
    const squares = reduceProduct(arithmetic, x.elements, start, x.elements, start, columns);
    const inverse = inverseDeviation(arithmetic, divide(squares, columns), epsilon);
    for (let i = 0; i < columns; i++) {
      const h = multiply(x.elements[start + i]!, inverse);
      y.elements[y.start(row) + i] = multiply(h, gain[i]!);
    }
    rstd[row] = inverse;
  }
};

export const rmsnormBackward: Evaluation = (arithmetic, operands) => {
  const { add, divide, fma, multiply } = arithmetic;
  const x = groupedRows(operands, operands.floats("x"), "xStride");
  const yGradient = groupedRows(operands, operands.floats("yGradient"), "yGradientStride");
  const xGradient = groupedRows(operands, operands.floats("xGradient"), "xGradientStride");
  const residualFloats = operands.optionalFloats("residual");
  const residual = residualFloats && groupedRows(operands, residualFloats, "residualStride");
  const gain = operands.floats("gain");
  const rstd = operands.floats("rstd");
  const columns = operands.integer("columns");
  const h = new Float64Array(columns);
  const g = new Float64Array(columns);
  for (let row = 0; row < operands.integer("rows"); row++) {
    for (let i = 0; i < columns; i++) {
      h[i] = multiply(x.elements[x.start(row) + i]!, rstd[row]!);
      g[i] = multiply(yGradient.elements[yGradient.start(row) + i]!, gain[i]!);
    }
    const b = divide(reduceProduct(arithmetic, g, 0, h, 0, columns), columns);
    for (let i = 0; i < columns; i++) {
      const gradient = multiply(fma(-h[i]!, b, g[i]!), rstd[row]!);
      xGradient.elements[xGradient.start(row) + i] = residual
        ? add(residual.elements[residual.start(row) + i]!, gradient)
        : gradient;
    }
  }
};

export const rmsnormBackwardParameters: Evaluation = (arithmetic, operands) => {
  const { fma, multiply } = arithmetic;
  const x = groupedRows(operands, operands.floats("x"), "xStride");
  const yGradient = groupedRows(operands, operands.floats("yGradient"), "yGradientStride");
  const rstd = operands.floats("rstd");
  const gainGradient = operands.floats("gainGradient");
  const rows = operands.integer("rows");
  const accumulate = operands.integer("accumulate") !== 0;
  for (let column = 0; column < operands.integer("columns"); column++) {
    const old = accumulate ? gainGradient[column]! : null;
    gainGradient[column] = columnChain(arithmetic, rows, old, (row, accumulator) => {
      const h = multiply(x.elements[x.start(row) + column]!, rstd[row]!);
      return fma(yGradient.elements[yGradient.start(row) + column]!, h, accumulator);
    });
  }
};
