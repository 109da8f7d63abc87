import { assertExtent, assertShape, type Graph } from "./graph.ts";
import type { Backward, Forward, Value } from "./node.ts";
import type { Tensor } from "./tensor.ts";

export interface AttentionOptions {
  readonly heads: number;
  /** Key and value heads. */
  readonly groups: number;
  readonly headSize: number;
  /** Sequences side by side in the rows. */
  readonly batchSize: number;
  /** Queries see keys up to their own index plus this i32 (decoding against a cache). */
  readonly position?: Value | null;
}

interface Attention {
  readonly query: Value;
  readonly key: Value;
  readonly value: Value;
  readonly out: Value;
  readonly statistics: Value;
  readonly options: AttentionOptions;
}

/** Causal attention. query (batch·queries)×(heads·headSize), key and value (batch·keys)×(groups·headSize). */
export function attention(
  graph: Graph,
  query: Value,
  key: Value,
  value: Value,
  options: AttentionOptions,
): Value {
  const { heads, groups, headSize, batchSize, position = null } = options;
  assertExtent("attention", query, null, heads * headSize);
  assertExtent("attention", key, null, groups * headSize);
  assertExtent("attention", value, key.rows, groups * headSize);
  assertShape(heads % groups === 0, `attention: ${groups} groups do not divide ${heads} heads`);
  assertShape(
    query.rows % batchSize === 0 && key.rows % batchSize === 0,
    `attention: rows are not whole sequences of a batch of ${batchSize}`,
  );
  assertShape(
    position || query.rows === key.rows,
    "attention: as many queries as keys without a cache",
  );
  const out = graph.produced("out", query.rows, heads * headSize, [query, key, value]);
  const statistics = graph.produced("statistics", query.rows, heads * 2, []);
  const parts: Attention = { query, key, value, out, statistics, options };
  graph.apply({
    name: "attention",
    inputs: [query, key, value, position],
    outputs: [out, statistics],
    forward: (run) => forward(run, parts),
    backward: position ? undefined : (run) => backward(run, parts),
  });
  return out;
}

const scaleOf = ({ options }: Attention) => ({ scale: 1 / Math.sqrt(options.headSize) });

function sizesAndTensors(run: Forward, parts: Attention) {
  const { heads, groups, headSize, batchSize } = parts.options;
  const query = run.place(parts.query);
  const key = run.place(parts.key);
  const value = run.place(parts.value);
  const out = run.place(parts.out);
  const tensors = { query, key, value, out, statistics: run.place(parts.statistics) };
  const sizes = {
    batch: batchSize,
    queries: parts.query.rows / batchSize,
    keys: parts.key.rows / batchSize,
    heads,
    groups,
    headSize,
    queryStride: query.stride,
    keyStride: key.stride,
    valueStride: value.stride,
    outStride: out.stride,
  };
  return { tensors, sizes };
}

function forward(run: Forward, parts: Attention): void {
  const { tensors, sizes } = sizesAndTensors(run, parts);
  const position = run.placeOptional(parts.options.position);
  run.emit("attention", { ...tensors, position }, sizes, scaleOf(parts));
}

/** One call makes all three gradients. */
function backward(run: Backward, parts: Attention): void {
  const outGradient = run.gradientOf(parts.out);
  if (!outGradient) return;
  const { tensors, sizes } = sizesAndTensors(run, parts);
  run.overwrite([parts.query, parts.key, parts.value], (outs) => {
    const [queryGradient, keyGradient, valueGradient] = outs as [Tensor, Tensor, Tensor];
    run.emit(
      "attention_backward",
      { ...tensors, outGradient, queryGradient, keyGradient, valueGradient },
      {
        ...sizes,
        outGradientStride: outGradient.stride,
        queryGradientStride: queryGradient.stride,
        keyGradientStride: keyGradient.stride,
        valueGradientStride: valueGradient.stride,
      },
      scaleOf(parts),
    );
  });
}
