import { chunkLength } from "#src/kernel/contract.ts";
import { assert } from "#src/refusal/refusal.ts";
import type { Arithmetic } from "./arithmetic.ts";
import { chain, dot, flushed } from "./chain.ts";
import type { Evaluation, Operands } from "./operands.ts";
import { reduce, reduceProduct } from "./reduction.ts";

interface Shape {
  readonly batch: number;
  readonly queries: number;
  readonly keys: number;
  readonly heads: number;
  readonly groups: number;
  readonly headSize: number;
  readonly headsPerGroup: number;
}

function shapeOf(operands: Operands): Shape {
  const heads = operands.integer("heads");
  const groups = operands.integer("groups");
  assert(heads % groups === 0, "attention heads are a multiple of groups");
  return {
    batch: operands.integer("batch"),
    queries: operands.integer("queries"),
    keys: operands.integer("keys"),
    heads,
    groups,
    headSize: operands.integer("headSize"),
    headsPerGroup: heads / groups,
  };
}

/** One head's or group's rows of a strided operand, flushed; `byColumn` packs it transposed. */
function headRows(
  arithmetic: Arithmetic,
  operands: Operands,
  name: string,
  place: { firstRow: number; rows: number; head: number; byColumn?: boolean },
): Float64Array {
  const stride = operands.integer(`${name}Stride`);
  const headSize = operands.integer("headSize");
  const { byColumn } = place;
  return flushed(arithmetic, {
    source: operands.floats(name),
    offset: place.firstRow * stride + place.head * headSize,
    rows: byColumn ? headSize : place.rows,
    columns: byColumn ? place.rows : headSize,
    rowStride: byColumn ? 1 : stride,
    columnStride: byColumn ? stride : 1,
  });
}

/** Causal attention: two passes over the keys, so that no result depends on a tile size. */
export const attention: Evaluation = (arithmetic, operands) => {
  const { batch, queries, keys, heads, headSize, headsPerGroup } = shapeOf(operands);
  const { divide, exponential, multiply, subtract } = arithmetic;
  const position = operands.position();
  const scale = arithmetic.constant(operands.float("scale"));
  const out = operands.floats("out");
  const outStride = operands.integer("outStride");
  const statistics = operands.floats("statistics");
  assert(queries + position <= keys, "attention queries see only keys that exist");
  const weights = new Float64Array(keys);
  const flushedWeights = new Float64Array(keys);
  for (let b = 0; b < batch; b++) {
    for (let head = 0; head < heads; head++) {
      const group = Math.floor(head / headsPerGroup);
      const keyPlace = { firstRow: b * keys, rows: keys, head: group };
      const queryPlace = { firstRow: b * queries, rows: queries, head };
      const query = headRows(arithmetic, operands, "query", queryPlace);
      const key = headRows(arithmetic, operands, "key", keyPlace);
      const value = headRows(arithmetic, operands, "value", { ...keyPlace, byColumn: true });
      for (let i = 0; i < queries; i++) {
        const visible = i + position + 1;
        let maximum = -Infinity;
        for (let j = 0; j < visible; j++) {
          const score = dot(arithmetic, query, i * headSize, key, j * headSize, headSize);
          weights[j] = multiply(score, scale);
          if (weights[j]! > maximum) maximum = weights[j]!;
        }
        for (let j = 0; j < visible; j++) {
          weights[j] = exponential(subtract(weights[j]!, maximum));
          flushedWeights[j] = arithmetic.flush(weights[j]!);
        }
        const total = reduce(arithmetic, weights, 0, visible);
        const inverse = divide(1, total);
        const row = b * queries + i;
        for (let d = 0; d < headSize; d++) {
          const weighted = dot(arithmetic, flushedWeights, 0, value, d * keys, visible);
          out[row * outStride + head * headSize + d] = multiply(weighted, inverse);
        }
        statistics[(row * heads + head) * 2] = maximum;
        statistics[(row * heads + head) * 2 + 1] = total;
      }
    }
  }
};

/** Probabilities and score gradients of one head, flushed, each key's queries contiguous and each query's keys contiguous. */
interface HeadGradients {
  readonly probabilityByKey: Float64Array;
  readonly scoreByKey: Float64Array;
  readonly scoreByQuery: Float64Array;
}

function headGradients(
  arithmetic: Arithmetic,
  operands: Operands,
  shape: Shape,
  b: number,
  head: number,
): HeadGradients {
  const { divide, exponential, flush, multiply, subtract } = arithmetic;
  const { queries, heads, headSize, headsPerGroup } = shape;
  const scale = arithmetic.constant(operands.float("scale"));
  const statistics = operands.floats("statistics");
  const out = operands.floats("out");
  const outGradient = operands.floats("outGradient");
  const outStride = operands.integer("outStride");
  const outGradientStride = operands.integer("outGradientStride");
  const group = Math.floor(head / headsPerGroup);
  const queryPlace = { firstRow: b * queries, rows: queries, head };
  const keyPlace = { firstRow: b * queries, rows: queries, head: group };
  const query = headRows(arithmetic, operands, "query", queryPlace);
  const key = headRows(arithmetic, operands, "key", keyPlace);
  const value = headRows(arithmetic, operands, "value", keyPlace);
  const gradient = headRows(arithmetic, operands, "outGradient", queryPlace);
  const probabilityByKey = new Float64Array(queries * queries);
  const scoreByKey = new Float64Array(queries * queries);
  const scoreByQuery = new Float64Array(queries * queries);
  for (let i = 0; i < queries; i++) {
    const row = b * queries + i;
    const maximum = statistics[(row * heads + head) * 2]!;
    const inverse = divide(1, statistics[(row * heads + head) * 2 + 1]!);
    const gradientStart = row * outGradientStride + head * headSize;
    const outStart = row * outStride + head * headSize;
    const delta = reduceProduct(arithmetic, outGradient, gradientStart, out, outStart, headSize);
    for (let j = 0; j <= i; j++) {
      const raw = dot(arithmetic, query, i * headSize, key, j * headSize, headSize);
      const weight = exponential(subtract(multiply(raw, scale), maximum));
      const probability = multiply(weight, inverse);
      const upstream = dot(arithmetic, gradient, i * headSize, value, j * headSize, headSize);
      const score = multiply(multiply(probability, subtract(upstream, delta)), scale);
      probabilityByKey[j * queries + i] = flush(probability);
      scoreByKey[j * queries + i] = flush(score);
      scoreByQuery[i * queries + j] = flush(score);
    }
  }
  return { probabilityByKey, scoreByKey, scoreByQuery };
}

/** Continues `total` by the chunk chains over queries key … queries−1, chunks starting at multiples of 512. */
function addQueryChunks(
  arithmetic: Arithmetic,
  total: number,
  byKey: Float64Array,
  columns: Float64Array,
  at: { key: number; column: number; queries: number },
): number {
  const { key, column, queries } = at;
  for (let from = key; from < queries;) {
    const to = Math.min((Math.floor(from / chunkLength) + 1) * chunkLength, queries);
    const part = chain(
      arithmetic,
      byKey,
      key * queries + from,
      columns,
      column * queries + from,
      to - from,
    );
    total = arithmetic.add(total, part);
    from = to;
  }
  return total;
}

export const attentionBackward: Evaluation = (arithmetic, operands) => {
  const shape = shapeOf(operands);
  const { batch, queries, headSize, headsPerGroup } = shape;
  assert(queries === shape.keys, "attention_backward needs queries = keys");
  const queryGradient = operands.floats("queryGradient");
  const keyGradient = operands.floats("keyGradient");
  const valueGradient = operands.floats("valueGradient");
  const queryStride = operands.integer("queryGradientStride");
  const keyStride = operands.integer("keyGradientStride");
  const valueStride = operands.integer("valueGradientStride");
  for (let b = 0; b < batch; b++) {
    const rows = { firstRow: b * queries, rows: queries, byColumn: true };
    for (let group = 0; group < shape.groups; group++) {
      const keyTotals = new Float64Array(queries * headSize);
      const valueTotals = new Float64Array(queries * headSize);
      const keyByColumn = headRows(arithmetic, operands, "key", { ...rows, head: group });
      for (let head = group * headsPerGroup; head < (group + 1) * headsPerGroup; head++) {
        const gradients = headGradients(arithmetic, operands, shape, b, head);
        const query = headRows(arithmetic, operands, "query", { ...rows, head });
        const outGradient = headRows(arithmetic, operands, "outGradient", { ...rows, head });
        for (let i = 0; i < queries; i++) {
          for (let column = 0; column < headSize; column++) {
            queryGradient[(b * queries + i) * queryStride + head * headSize + column] = dot(
              arithmetic,
              gradients.scoreByQuery,
              i * queries,
              keyByColumn,
              column * queries,
              i + 1,
            );
            const at = { key: i, column, queries };
            const index = i * headSize + column;
            keyTotals[index] = addQueryChunks(
              arithmetic,
              keyTotals[index]!,
              gradients.scoreByKey,
              query,
              at,
            );
            valueTotals[index] = addQueryChunks(
              arithmetic,
              valueTotals[index]!,
              gradients.probabilityByKey,
              outGradient,
              at,
            );
          }
        }
      }
      for (let j = 0; j < queries; j++) {
        const row = b * queries + j;
        const totals = [j * headSize, (j + 1) * headSize] as const;
        keyGradient.set(keyTotals.subarray(...totals), row * keyStride + group * headSize);
        valueGradient.set(valueTotals.subarray(...totals), row * valueStride + group * headSize);
      }
    }
  }
};
