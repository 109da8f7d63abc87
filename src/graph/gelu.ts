import { assertShape, type Graph } from "./graph.ts";
import type { Value } from "./node.ts";

/** y = gelu(x) as a call of its own; `linear` fuses it where a matrix product comes before it. */
export function gelu(graph: Graph, x: Value): Value {
  assertShape(!x.view, "gelu: x must be whole rows");
  const sizes = { count: x.rows * x.columns };
  const y = graph.produced("out", x.rows, x.columns, [x]);
  graph.apply({
    name: "gelu",
    inputs: [x],
    outputs: [y],
    forward: (run) => run.emit("gelu", { x: run.place(x), y: run.place(y) }, sizes),
    backward: (run) => {
      const yGradient = run.gradientOf(y);
      if (!yGradient) return;
      run.overwrite([x], ([xGradient]) =>
        run.emit("gelu_backward", { yGradient, x: run.place(x), xGradient }, sizes),
      );
    },
  });
  return y;
}
