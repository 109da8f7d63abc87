import { assertExtent, assertShape, type Graph } from "./graph.ts";
import type { Value } from "./node.ts";

/**
 * Writes the rows of x into a cache (capacity×columns) from row `position` on, and returns the cache
 * as the value attention reads. Only in graphs without gradients.
 */
export function cacheWrite(graph: Graph, x: Value, cache: Value, position: Value): Value {
  assertExtent("cache", cache, null, x.columns);
  assertShape(cache.fixed !== null && !graph.gradients, "cache: only decoding writes a cache");
  assertShape(x.rows <= cache.rows, `cache: ${x.rows} rows exceed its ${cache.rows}`);
  const filled: Value = { ...cache, consumers: [], views: [], producer: null };
  graph.apply({
    name: "cache",
    inputs: [x, position],
    outputs: [filled],
    forward: (run) => {
      const from = run.place(x);
      const out = run.place(filled);
      run.emit(
        "copy",
        { x: from, position: run.place(position), out },
        {
          rows: x.rows,
          columns: x.columns,
          xStride: from.stride,
          outStride: out.stride,
          outRows: cache.rows,
        },
      );
    },
  });
  return filled;
}
