import { assert } from "#src/refusal/refusal.ts";
import type { Evaluation } from "./operands.ts";

export const addRows: Evaluation = (arithmetic, operands) => {
  const x = operands.floats("x");
  const y = operands.floats("y");
  const out = operands.floats("out");
  const xStride = operands.integer("xStride");
  const yStride = operands.integer("yStride");
  const outStride = operands.integer("outStride");
  for (let row = 0; row < operands.integer("rows"); row++) {
    for (let column = 0; column < operands.integer("columns"); column++) {
      out[row * outStride + column] = arithmetic.add(
        x[row * xStride + column]!,
        y[row * yStride + column]!,
      );
    }
  }
};

export const copyRows: Evaluation = (_arithmetic, operands) => {
  const x = operands.floats("x");
  const out = operands.floats("out");
  const rows = operands.integer("rows");
  const columns = operands.integer("columns");
  const xStride = operands.integer("xStride");
  const outStride = operands.integer("outStride");
  const position = operands.position();
  assert(position >= 0 && position + rows <= operands.integer("outRows"), "copy fits outRows");
  for (let row = 0; row < rows; row++) {
    const source = x.subarray(row * xStride, row * xStride + columns);
    out.set(source, (position + row) * outStride);
  }
};

export const fill: Evaluation = (arithmetic, operands) => {
  const value = arithmetic.constant(operands.float("value"));
  operands.floats("out").fill(value, 0, operands.integer("count"));
};
