import { assert } from "#src/refusal/refusal.ts";
import { assertExtent, assertShape, type Graph } from "./graph.ts";
import type { Forward, Value } from "./node.ts";
import type { Tensor } from "./tensor.ts";

export interface DropoutOptions {
  /** Share of elements set to zero. */
  readonly rate: number;
  /** i32[4]: seed, step, rank. The host changes it every micro-batch. */
  readonly state: Value;
  /** Number of this dropout in the model; no two places share random words. */
  readonly purpose: number;
  readonly residual?: Value | null;
}

/** y = residual + x with a share of x's elements dropped and the others scaled up. */
export function dropout(graph: Graph, x: Value, options: DropoutOptions): Value {
  const { rate, state, purpose, residual = null } = options;
  assertShape(rate > 0 && rate < 1, `dropout: rate ${rate} is not between 0 and 1`);
  assertShape(!x.view, "dropout: x must be whole rows");
  if (residual) assertExtent("dropout", residual, x.rows, x.columns);
  const y = graph.produced("out", x.rows, x.columns, [x, residual]);
  const drop = (run: Forward, from: Tensor, added: Tensor | null, to: Tensor): void => {
    assert(from.stride === from.columns, "dropout reads contiguous memory");
    run.emit(
      "dropout",
      { x: from, state: run.place(state), residual: added, y: to },
      { count: x.rows * x.columns, purpose, threshold: Math.floor(rate * 2 ** 32) },
      { scale: 1 / (1 - rate) },
    );
  };
  graph.apply({
    name: "dropout",
    inputs: [x, state, residual],
    outputs: [y],
    forward: (run) => drop(run, run.place(x), run.placeOptional(residual), run.place(y)),
    backward: (run) => {
      const gradient = run.gradientOf(y);
      if (!gradient) return;
      if (residual) run.pass(residual, gradient);
      // The operation adds a residual itself, so an earlier contribution costs no second pass.
      const target = run.into(x);
      if (target) drop(run, gradient, target.residual, target.out);
    },
  });
  return y;
}
