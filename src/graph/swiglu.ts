import { assertShape, type Graph } from "./graph.ts";
import type { Value } from "./node.ts";

/** y = silu(gate)·up, where a row of x holds gate and then up, each half as wide as x. */
export function swiglu(graph: Graph, x: Value): Value {
  assertShape(x.columns % 2 === 0, `swiglu: ${x.columns} columns have no halves`);
  assertShape(!x.view, "swiglu: x must be whole rows");
  const sizes = { rows: x.rows, columns: x.columns / 2 };
  const y = graph.produced("out", sizes.rows, sizes.columns, [x]);
  graph.apply({
    name: "swiglu",
    inputs: [x],
    outputs: [y],
    forward: (run) => run.emit("swiglu", { x: run.place(x), y: run.place(y) }, sizes),
    backward: (run) => {
      const yGradient = run.gradientOf(y);
      if (!yGradient) return;
      run.overwrite([x], ([xGradient]) =>
        run.emit("swiglu_backward", { yGradient, x: run.place(x), xGradient }, sizes),
      );
    },
  });
  return y;
}
