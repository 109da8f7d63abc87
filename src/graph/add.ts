import { assertExtent, type Graph } from "./graph.ts";
import type { Value } from "./node.ts";

/** out = x + y, both of one shape. Its gradient is shared by both terms without a copy. */
export function add(graph: Graph, x: Value, y: Value): Value {
  assertExtent("add", y, x.rows, x.columns);
  const out = graph.produced("out", x.rows, x.columns, [x, y]);
  graph.apply({
    name: "add",
    inputs: [x, y],
    outputs: [out],
    forward: (run) => {
      const [one, other, sum] = [run.place(x), run.place(y), run.place(out)];
      const strides = { xStride: one.stride, yStride: other.stride, outStride: sum.stride };
      run.emit(
        "add",
        { x: one, y: other, out: sum },
        { rows: x.rows, columns: x.columns, ...strides },
      );
    },
    backward: (run) => {
      const gradient = run.gradientOf(out);
      if (!gradient) return;
      run.pass(x, gradient);
      run.pass(y, gradient);
    },
  });
  return out;
}
