import { binary32 } from "#src/kernel/reference/arithmetic.ts";
import { evaluate } from "#src/kernel/reference/evaluate.ts";
import { type CaseBuilder, type Location, matrix, Region, vector } from "./case-builder.ts";
import { boundedKinds } from "./draw.ts";
import type { CaseDrawer } from "./layer-cases.ts";

interface AttentionSizes {
  readonly batch: number;
  readonly queries: number;
  readonly keys: number;
  readonly heads: number;
  readonly groups: number;
  readonly headSize: number;
}

const pairBudget = 60_000;
/** More keys than one chunk of the weighted sum. */
const longKeys = [511, 513, 600, 1025];

function drawSizes(builder: CaseBuilder, backward: boolean): AttentionSizes {
  const { draw } = builder;
  if (builder.seed % 8 === 3) {
    const keys = backward ? draw.pick([513, 600]) : draw.pick(longKeys);
    const headsPerGroup = 1 + draw.below(2);
    const queries = backward ? keys : draw.pick([1, 3, 17]);
    const sizes = { batch: 1, queries, keys, heads: headsPerGroup, groups: 1 };
    return { ...sizes, headSize: draw.pick([1, 2, 3]) };
  }
  const [headSize, length, batch, groups, headsPerGroup] = [
    draw.pick([1, 2, 3, 4, 7, 8, 16, 17, 24, 32, 64, 65, 128]),
    draw.pick([1, 2, 3, 5, 8, 15, 16, 17, 31, 33, 48, 65]),
    1 + draw.below(3),
    1 + draw.below(3),
    1 + draw.below(4),
  ];
  const perHead = headSize * length * length;
  const groupsThatFit = Math.max(1, Math.min(groups, Math.floor(pairBudget / perHead)));
  const heads = groupsThatFit * headsPerGroup;
  const queries = backward ? length : draw.chance(1, 3) ? 1 : draw.size(length);
  return { batch, queries, keys: length, heads, groups: groupsThatFit, headSize };
}

/** The widths of several operands side by side in one row, as a fused projection writes them. */
interface Fused {
  readonly stride: number;
  at(index: number): Location | undefined;
}

function fuse(builder: CaseBuilder, rows: number, widths: readonly number[]): Fused {
  const total = widths.reduce((sum, width) => sum + width, 0);
  const stride = builder.draw.stride(total);
  const region = new Region((rows - 1) * stride + total);
  const offsets = widths.map((_, index) =>
    widths.slice(0, index).reduce((sum, width) => sum + width, 0),
  );
  return { stride, at: (index) => ({ region, offset: offsets[index]! }) };
}

/** Queries, keys and values: one fused buffer, or each its own. */
function drawInputs(builder: CaseBuilder, sizes: AttentionSizes) {
  const { draw } = builder;
  const { batch, queries, keys, heads, groups, headSize } = sizes;
  const widths = [heads * headSize, groups * headSize, groups * headSize] as const;
  const fused = queries === keys && draw.flag() ? fuse(builder, batch * queries, widths) : null;
  const [queryStride, keyStride, valueStride] = widths.map(
    (width) => fused?.stride ?? draw.stride(width),
  ) as [number, number, number];
  const query = matrix(batch * queries, widths[0], queryStride);
  const key = matrix(batch * keys, widths[1], keyStride);
  const value = matrix(batch * keys, widths[2], valueStride);
  return {
    widths,
    strides: { queryStride, keyStride, valueStride },
    query: builder.floats("query", query, boundedKinds, fused?.at(0)),
    key: builder.floats("key", key, boundedKinds, fused?.at(1)),
    value: builder.floats("value", value, boundedKinds, fused?.at(2)),
  };
}

export const attentionCase: CaseDrawer = (builder) => {
  const { draw } = builder;
  const sizes = drawSizes(builder, false);
  const { batch, queries, keys, heads, headSize } = sizes;
  const { strides, widths } = drawInputs(builder, sizes);
  const outStride = draw.stride(widths[0]);
  if (queries < keys && draw.chance(3, 4)) {
    builder.words("position", [draw.flag() ? keys - queries : draw.below(keys - queries + 1)]);
  }
  builder.output("out", matrix(batch * queries, widths[0], outStride));
  builder.output("statistics", vector(batch * queries * heads * 2));
  builder.integers({ ...sizes, ...strides, outStride });
  builder.numbers({ scale: Math.fround(1 / Math.sqrt(headSize)) });
};

/** Statistics and outputs come from the reference's forward pass: others have no meaning here. */
export const attentionBackwardCase: CaseDrawer = (builder) => {
  const { draw } = builder;
  const sizes = drawSizes(builder, true);
  const { batch, queries, heads } = sizes;
  const rows = batch * queries;
  const { strides, widths, query, key, value } = drawInputs(builder, sizes);
  const scale = Math.fround(1 / Math.sqrt(sizes.headSize));
  const outStride = draw.stride(widths[0]);
  const outShape = matrix(rows, widths[0], outStride);
  const out = builder.floats("out", outShape, boundedKinds);
  const statistics = new Float32Array(rows * heads * 2);
  const names = ["batch", "queries", "keys", "heads", "groups", "headSize"] as const;
  evaluate(
    binary32,
    {
      operation: "attention",
      arguments: [],
      integers: [...names.map((name) => sizes[name]), ...Object.values(strides), outStride],
      floats: [scale],
    },
    [query, key, value, null, out, statistics],
  );
  builder.given("statistics", statistics);
  const outGradientStride = draw.stride(widths[0]);
  builder.floats("outGradient", matrix(rows, widths[0], outGradientStride), boundedKinds);
  const fused = draw.flag() ? fuse(builder, rows, widths) : null;
  const [queryGradientStride, keyGradientStride, valueGradientStride] = widths.map(
    (width) => fused?.stride ?? draw.stride(width),
  ) as [number, number, number];
  const gradients = { queryGradientStride, keyGradientStride, valueGradientStride };
  for (const [index, name] of ["queryGradient", "keyGradient", "valueGradient"].entries()) {
    const stride = Object.values(gradients)[index]!;
    builder.output(name, matrix(rows, widths[index]!, stride), fused?.at(index));
  }
  builder.integers({ ...sizes, ...strides, outStride, outGradientStride, ...gradients });
  builder.numbers({ scale });
};
