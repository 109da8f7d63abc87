import { type CaseBuilder, matrix, vector } from "./case-builder.ts";
import { boundedKinds } from "./draw.ts";
import type { CaseDrawer } from "./layer-cases.ts";

const budget = 60_000;

/** Most heads are small; some have more rows than a chunk, some a vocabulary beyond one block. */
function headSizes(builder: CaseBuilder): [rows: number, columns: number, vocabulary: number] {
  const { draw } = builder;
  if (builder.seed % 16 === 5) return [draw.size(5), draw.size(9), draw.pick([4097, 4111, 8193])];
  if (builder.seed % 16 === 13)
    return [draw.pick([513, 1025]), draw.pick([3, 5, 17]), draw.pick([5, 9, 33])];
  const [rows, columns, vocabulary] = draw.sizes(3, budget) as [number, number, number];
  return [rows, columns, vocabulary];
}

function drawInputs(builder: CaseBuilder, sizes: [number, number, number]): void {
  const { draw } = builder;
  const [rows, columns, vocabulary] = sizes;
  builder.floats("x", matrix(rows, columns), boundedKinds);
  builder.floats("weight", matrix(vocabulary, columns), boundedKinds);
  const ignored = draw.pick([0, 1, 4]);
  builder.words(
    "targets",
    Array.from({ length: rows }, () => (draw.chance(ignored, 4) ? -1 : draw.below(vocabulary))),
  );
}

export const headLossCase: CaseDrawer = (builder) => {
  const sizes = headSizes(builder);
  const [rows, columns, vocabulary] = sizes;
  drawInputs(builder, sizes);
  builder.output("losses", vector(rows));
  if (builder.draw.flag()) builder.output("predictions", vector(rows));
  builder.integers({ rows, columns, vocabulary });
};

export const headLossGradientCase: CaseDrawer = (builder) => {
  const { draw } = builder;
  const sizes = headSizes(builder);
  const [rows, columns, vocabulary] = sizes;
  const accumulate = draw.flag();
  drawInputs(builder, sizes);
  builder.given("lossScale", [draw.pick([1, 1 / rows, -0.5, 1024])]);
  builder.output("losses", vector(rows));
  builder.output("xGradient", matrix(rows, columns));
  if (draw.chance(3, 4)) {
    const gradient = matrix(vocabulary, columns);
    if (accumulate) builder.floats("weightGradient", gradient, boundedKinds);
    else builder.output("weightGradient", gradient);
  }
  builder.integers({ rows, columns, vocabulary, accumulate });
};
