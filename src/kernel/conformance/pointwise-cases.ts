import { blockLength } from "#src/kernel/contract.ts";
import { type CaseBuilder, matrix, vector } from "./case-builder.ts";
import { boundedKinds, everyKind } from "./draw.ts";
import type { CaseDrawer } from "./layer-cases.ts";

const elementBudget = 20_011;

const drawState = (builder: CaseBuilder): void =>
  builder.words(
    "state",
    Array.from({ length: 4 }, () => builder.draw.word() | 0),
  );

export const geluCase: CaseDrawer = (builder) => {
  builder.allowNonfinite();
  const count = builder.draw.size(elementBudget);
  builder.floats("x", vector(count), everyKind);
  builder.output("y", vector(count));
  builder.integers({ count });
};

export const geluBackwardCase: CaseDrawer = (builder) => {
  builder.allowNonfinite();
  const count = builder.draw.size(elementBudget);
  builder.floats("yGradient", vector(count), everyKind);
  builder.floats("x", vector(count), everyKind);
  builder.output("xGradient", vector(count));
  builder.integers({ count });
};

export const swigluCase: CaseDrawer = (builder) => {
  builder.allowNonfinite();
  const [rows, columns] = builder.draw.sizes(2, elementBudget) as [number, number];
  builder.floats("x", matrix(rows, 2 * columns), everyKind);
  builder.output("y", matrix(rows, columns));
  builder.integers({ rows, columns });
};

export const swigluBackwardCase: CaseDrawer = (builder) => {
  builder.allowNonfinite();
  const [rows, columns] = builder.draw.sizes(2, elementBudget) as [number, number];
  builder.floats("yGradient", matrix(rows, columns), everyKind);
  builder.floats("x", matrix(rows, 2 * columns), everyKind);
  builder.output("xGradient", matrix(rows, 2 * columns));
  builder.integers({ rows, columns });
};

export const dropoutCase: CaseDrawer = (builder) => {
  const { draw } = builder;
  builder.allowNonfinite();
  const count = draw.size(elementBudget);
  builder.floats("x", vector(count), everyKind);
  drawState(builder);
  if (draw.flag()) builder.floats("residual", vector(count), everyKind);
  builder.output("y", vector(count));
  const threshold = draw.pick([0, 0xffffffff, 0x19999999, 0x80000000, draw.word()]);
  builder.integers({ count, purpose: draw.below(1000), threshold });
  builder.numbers({ scale: draw.pick([1, Math.fround(1 / 0.9), 2]) });
};

export const initNormalCase: CaseDrawer = (builder) => {
  const { draw } = builder;
  const count = draw.size(elementBudget);
  drawState(builder);
  builder.output("out", vector(count));
  builder.integers({ count, purpose: draw.below(1000) });
  builder.numbers({ deviation: draw.pick([1, Math.fround(0.02), Math.fround(1e-3)]) });
};

export const addCase: CaseDrawer = (builder) => {
  const { draw } = builder;
  builder.allowNonfinite();
  const [rows, columns] = draw.sizes(2, elementBudget) as [number, number];
  const [xStride, yStride, outStride] = [columns, columns, columns].map((c) => draw.stride(c)) as [
    number,
    number,
    number,
  ];
  builder.floats("x", matrix(rows, columns, xStride), everyKind);
  builder.floats("y", matrix(rows, columns, yStride), everyKind);
  builder.output("out", matrix(rows, columns, outStride));
  builder.integers({ rows, columns, xStride, yStride, outStride });
};

export const copyCase: CaseDrawer = (builder) => {
  const { draw } = builder;
  builder.allowNonfinite();
  const [rows, columns] = draw.sizes(2, elementBudget) as [number, number];
  const [xStride, outStride] = [draw.stride(columns), draw.stride(columns)];
  const outRows = rows + draw.below(9);
  builder.floats("x", matrix(rows, columns, xStride), everyKind);
  if (draw.flag()) builder.words("position", [draw.below(outRows - rows + 1)]);
  builder.output("out", matrix(outRows, columns, outStride));
  builder.integers({ rows, columns, xStride, outStride, outRows });
};

export const fillCase: CaseDrawer = (builder) => {
  const count = builder.draw.size(elementBudget);
  builder.output("out", vector(count));
  builder.integers({ count });
  builder.numbers({ value: builder.draw.value(builder.draw.pick(everyKind)) });
};

/** Counts around whole blocks, beyond the awkward sizes. */
const drawCount = (builder: CaseBuilder): number =>
  builder.seed % 8 === 1
    ? builder.draw.pick([2, 5, 17]) * blockLength + builder.draw.below(3) - 1
    : builder.draw.size(elementBudget);

export const sumCase: CaseDrawer = (builder) => {
  builder.allowNonfinite();
  const count = drawCount(builder);
  builder.floats("x", vector(count), everyKind);
  builder.output("partial", vector(Math.ceil(count / blockLength)));
  builder.output("out", vector(1));
  builder.integers({ count });
};

export const countNonfiniteCase: CaseDrawer = (builder) => {
  const { draw } = builder;
  builder.allowNonfinite();
  const [rows, columns] = draw.sizes(2, elementBudget) as [number, number];
  const xStride = draw.stride(columns);
  builder.floats("x", matrix(rows, columns, xStride), everyKind);
  builder.output("out", vector(1));
  builder.integers({ rows, columns, xStride });
};

export const argmaxCase: CaseDrawer = (builder) => {
  const [rows, columns] = builder.draw.sizes(2, elementBudget) as [number, number];
  builder.floats("x", matrix(rows, columns), boundedKinds);
  builder.output("out", vector(rows));
  builder.integers({ rows, columns });
};
