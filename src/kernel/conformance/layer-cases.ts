import { activation as activations } from "#src/kernel/contract.ts";
import { type CaseBuilder, groupedRows, matrix, Region, vector } from "./case-builder.ts";
import { boundedKinds, everyKind } from "./draw.ts";

/** Fills a builder with one drawn call. */
export type CaseDrawer = (builder: CaseBuilder) => void;

const elementBudget = 12_000;
const multiplyAddBudget = 250_000;
const longReduction = 4;

export const matmulCase: CaseDrawer = (builder) => {
  const { draw } = builder;
  builder.allowNonfinite();
  let [M, N, K] = draw.sizes(3, multiplyAddBudget) as [number, number, number];
  if (builder.seed % 8 === longReduction) [M, N, K] = [draw.size(17), draw.size(33), 1537];
  if (draw.chance(1, 40)) K = 0;
  const [transposeA, transposeB, accumulate] = [draw.flag(), draw.flag(), draw.flag()];
  const aStride = draw.stride(transposeA ? M : K);
  const bStride = draw.stride(transposeB ? K : N);
  const [outStride, auxiliaryStride, residualStride] = [N, N, N].map((n) => draw.stride(n));
  const activation = draw.pick(Object.values(activations));
  builder.floats("a", transposeA ? matrix(K, M, aStride) : matrix(M, K, aStride), everyKind);
  builder.floats("b", transposeB ? matrix(N, K, bStride) : matrix(K, N, bStride), everyKind);
  const out = matrix(M, N, outStride);
  if (accumulate) builder.floats("out", out, everyKind);
  else builder.output("out", out);
  if (draw.flag()) builder.floats("bias", vector(N), everyKind);
  const auxiliary = matrix(M, N, auxiliaryStride);
  if (activation === activations.geluBackward) builder.floats("auxiliary", auxiliary, everyKind);
  else if (activation === activations.gelu && draw.flag()) builder.output("auxiliary", auxiliary);
  if (draw.flag()) builder.floats("residual", matrix(M, N, residualStride), everyKind);
  builder.integers({
    ...{ M, N, K, aStride, bStride, outStride: outStride!, transposeA, transposeB },
    ...{
      activation,
      accumulate,
      auxiliaryStride: auxiliaryStride!,
      residualStride: residualStride!,
    },
  });
};

export const columnSumCase: CaseDrawer = (builder) => {
  const { draw } = builder;
  builder.allowNonfinite();
  const [rows, columns] = draw.sizes(2, elementBudget) as [number, number];
  const xStride = draw.stride(columns);
  const accumulate = draw.flag();
  builder.floats("x", matrix(rows, columns, xStride), everyKind);
  if (accumulate) builder.floats("out", vector(columns), everyKind);
  else builder.output("out", vector(columns));
  builder.integers({ rows, columns, xStride, accumulate });
};

export const embeddingCase: CaseDrawer = (builder) => {
  const { draw } = builder;
  builder.allowNonfinite();
  const [batch, contextLength, columns] = draw.sizes(3, elementBudget) as [number, number, number];
  const rows = Math.max(1, batch * contextLength - draw.below(contextLength));
  const vocabulary = draw.size(65);
  const first = draw.flag() ? draw.below(9) : 0;
  const positionRows = contextLength + first + draw.below(3);
  builder.words(
    "tokens",
    Array.from({ length: rows }, () => draw.below(vocabulary)),
  );
  builder.floats("table", matrix(vocabulary, columns), everyKind);
  if (draw.flag()) {
    builder.floats("positions", matrix(positionRows, columns), everyKind);
    if (first > 0) builder.words("position", [first]);
  }
  builder.output("out", matrix(rows, columns));
  builder.integers({ rows, columns, vocabulary, contextLength, positionRows });
};

export const embeddingBackwardCase: CaseDrawer = (builder) => {
  const { draw } = builder;
  builder.allowNonfinite();
  const [rows, columns] = draw.sizes(2, elementBudget) as [number, number];
  const vocabulary = draw.size(33);
  builder.words(
    "tokens",
    Array.from({ length: rows }, () => draw.below(vocabulary)),
  );
  builder.floats("outGradient", matrix(rows, columns), everyKind);
  builder.floats("tableGradient", matrix(vocabulary, columns), everyKind);
  builder.integers({ rows, columns, vocabulary });
};

export const positionBackwardCase: CaseDrawer = (builder) => {
  const { draw } = builder;
  builder.allowNonfinite();
  const [batch, contextLength, columns] = draw.sizes(3, elementBudget) as [number, number, number];
  const rows = batch * contextLength;
  const accumulate = draw.flag();
  builder.floats("outGradient", matrix(rows, columns), everyKind);
  const gradient = matrix(contextLength, columns);
  if (accumulate) builder.floats("positionsGradient", gradient, everyKind);
  else builder.output("positionsGradient", gradient);
  builder.integers({ rows, columns, contextLength, accumulate });
};

export const layernormCase: CaseDrawer = (builder) => {
  const { draw } = builder;
  builder.allowNonfinite();
  const [rows, columns] = draw.sizes(2, elementBudget) as [number, number];
  const shape = matrix(rows, columns);
  builder.floats("x", shape, everyKind);
  builder.floats("gain", vector(columns), everyKind);
  if (draw.flag()) builder.floats("shift", vector(columns), everyKind);
  builder.output("y", shape);
  builder.output("mean", vector(rows));
  builder.output("rstd", vector(rows));
  builder.integers({ rows, columns });
  builder.numbers({ epsilon: draw.pick([1e-5, 1e-6, 1e-12]) });
};

export const layernormBackwardCase: CaseDrawer = (builder) => {
  const { draw } = builder;
  builder.allowNonfinite();
  const [rows, columns] = draw.sizes(2, elementBudget) as [number, number];
  const shape = matrix(rows, columns);
  builder.floats("yGradient", shape, boundedKinds);
  builder.floats("x", shape, boundedKinds);
  builder.floats("gain", vector(columns), boundedKinds);
  builder.floats("mean", vector(rows), boundedKinds);
  builder.magnitudes("rstd", vector(rows), boundedKinds);
  if (draw.flag()) builder.floats("residual", shape, boundedKinds);
  builder.output("xGradient", shape);
  builder.integers({ rows, columns });
};

export const layernormBackwardParametersCase: CaseDrawer = (builder) => {
  const { draw } = builder;
  builder.allowNonfinite();
  const [rows, columns] = draw.sizes(2, elementBudget) as [number, number];
  const accumulate = draw.flag();
  builder.floats("yGradient", matrix(rows, columns), boundedKinds);
  builder.floats("x", matrix(rows, columns), boundedKinds);
  builder.floats("mean", vector(rows), boundedKinds);
  builder.magnitudes("rstd", vector(rows), boundedKinds);
  const gradients = draw.flag() ? ["gainGradient", "shiftGradient"] : ["gainGradient"];
  for (const name of gradients) {
    if (accumulate) builder.floats(name, vector(columns), boundedKinds);
    else builder.output(name, vector(columns));
  }
  builder.integers({ rows, columns, accumulate });
};

/** Sizes of grouped rows, the last physical row sometimes partly used. */
function groupedSizes(builder: CaseBuilder): { rows: number; columns: number; groups: number } {
  const { draw } = builder;
  const [physical, columns, groups] = draw.sizes(3, elementBudget) as [number, number, number];
  const missing = draw.chance(1, 4) ? draw.below(groups) : 0;
  return { rows: physical * groups - missing, columns, groups };
}

export const rmsnormCase: CaseDrawer = (builder) => {
  const { draw } = builder;
  builder.allowNonfinite();
  const { rows, columns, groups } = groupedSizes(builder);
  const [xStride, yStride] = [draw.stride(groups * columns), draw.stride(groups * columns)];
  builder.floats("x", groupedRows(rows, columns, groups, xStride), everyKind);
  builder.floats("gain", vector(columns), everyKind);
  builder.output("y", groupedRows(rows, columns, groups, yStride));
  builder.output("rstd", vector(rows));
  builder.integers({ rows, columns, groups, xStride, yStride });
  builder.numbers({ epsilon: draw.pick([1e-5, 1e-6, 1e-12]) });
};

export const rmsnormBackwardCase: CaseDrawer = (builder) => {
  const { draw } = builder;
  builder.allowNonfinite();
  const { rows, columns, groups } = groupedSizes(builder);
  const strides = {
    yGradientStride: draw.stride(groups * columns),
    xStride: draw.stride(groups * columns),
    residualStride: draw.stride(groups * columns),
    xGradientStride: draw.stride(groups * columns),
  };
  const shape = (stride: number) => groupedRows(rows, columns, groups, stride);
  builder.floats("yGradient", shape(strides.yGradientStride), boundedKinds);
  builder.floats("x", shape(strides.xStride), boundedKinds);
  builder.floats("gain", vector(columns), boundedKinds);
  builder.magnitudes("rstd", vector(rows), boundedKinds);
  if (draw.flag()) builder.floats("residual", shape(strides.residualStride), boundedKinds);
  builder.output("xGradient", shape(strides.xGradientStride));
  builder.integers({ rows, columns, groups, ...strides });
};

export const rmsnormBackwardParametersCase: CaseDrawer = (builder) => {
  const { draw } = builder;
  builder.allowNonfinite();
  const { rows, columns, groups } = groupedSizes(builder);
  const accumulate = draw.flag();
  const yGradientStride = draw.stride(groups * columns);
  const xStride = draw.stride(groups * columns);
  builder.floats("yGradient", groupedRows(rows, columns, groups, yGradientStride), boundedKinds);
  builder.floats("x", groupedRows(rows, columns, groups, xStride), boundedKinds);
  builder.magnitudes("rstd", vector(rows), boundedKinds);
  if (accumulate) builder.floats("gainGradient", vector(columns), boundedKinds);
  else builder.output("gainGradient", vector(columns));
  builder.integers({ rows, columns, groups, yGradientStride, xStride, accumulate });
};

export const ropeCase: CaseDrawer = (builder) => {
  const { draw } = builder;
  builder.allowNonfinite();
  const [rows, heads, half] = draw.sizes(3, elementBudget) as [number, number, number];
  const headSize = 2 * half;
  const width = heads * headSize;
  const contextLength = draw.size(rows);
  const first = draw.flag() ? draw.below(9) : 0;
  const tableRows = contextLength + first + draw.below(3);
  const inPlace = draw.flag();
  const xStride = draw.stride(width);
  const yStride = inPlace ? xStride : draw.stride(width);
  const wider = draw.below(20);
  // A view into wider rows, as the queries of a fused projection are.
  const region = new Region((rows - 1) * (xStride + wider) + width + wider);
  const at = { region, offset: draw.below(wider + 1) };
  builder.floats("x", matrix(rows, width, xStride + wider), everyKind, at);
  builder.floats("table", matrix(tableRows, headSize), boundedKinds);
  if (first > 0) builder.words("position", [first]);
  if (inPlace) builder.alias("y", "x");
  else builder.output("y", matrix(rows, width, yStride));
  builder.integers({
    ...{ rows, heads, headSize, contextLength, tableRows, xStride: xStride + wider },
    ...{ yStride: inPlace ? xStride + wider : yStride, inverse: draw.flag() },
  });
};
