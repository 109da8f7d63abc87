import { assert } from "#src/refusal/refusal.ts";
import type { Evaluation } from "./operands.ts";

/** Rotary positions (Su et al. 2021), halves layout. `y` may be `x`: a pair is read before it is written. */
export const rope: Evaluation = (arithmetic, operands) => {
  const { fma, multiply } = arithmetic;
  const x = operands.floats("x");
  const y = operands.floats("y");
  const table = operands.floats("table");
  const headSize = operands.integer("headSize");
  const half = headSize / 2;
  const contextLength = operands.integer("contextLength");
  const xStride = operands.integer("xStride");
  const yStride = operands.integer("yStride");
  const inverse = operands.integer("inverse") !== 0;
  const firstPosition = operands.position();
  assert(Number.isInteger(half), "rope headSize is even");
  for (let n = 0; n < operands.integer("rows"); n++) {
    const position = (n % contextLength) + firstPosition;
    assert(position < operands.integer("tableRows"), `rope position ${position}`);
    for (let head = 0; head < operands.integer("heads"); head++) {
      const from = n * xStride + head * headSize;
      const to = n * yStride + head * headSize;
      for (let i = 0; i < half; i++) {
        const cosine = table[position * headSize + i]!;
        const forward = table[position * headSize + half + i]!;
        const sine = inverse ? -forward : forward;
        const x1 = x[from + i]!;
        const x2 = x[from + half + i]!;
        y[to + i] = fma(x1, cosine, -multiply(x2, sine));
        y[to + half + i] = fma(x2, cosine, multiply(x1, sine));
      }
    }
  }
};
