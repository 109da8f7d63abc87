import { assertExtent, assertShape, type Graph } from "./graph.ts";
import type { Backward, Value } from "./node.ts";

interface RmsNorm {
  readonly x: Value;
  readonly gain: Value;
  readonly y: Value;
  readonly rstd: Value;
  /** Norms side by side in a row: 1, or the heads of a query or key. */
  readonly groups: number;
}

/**
 * y = x/√(mean of squares + epsilon)·gain over every stretch of gain.columns elements: the whole row,
 * or each head of it. x may be a column view.
 */
export function rmsnorm(graph: Graph, x: Value, gain: Value, epsilon: number): Value {
  assertExtent("rmsnorm", gain, 1, null);
  assertShape(
    x.columns % gain.columns === 0,
    `rmsnorm: ${x.columns} columns are not whole groups of ${gain.columns}`,
  );
  const groups = x.columns / gain.columns;
  const y = graph.produced("out", x.rows, x.columns, [x, gain]);
  const rstd = graph.produced("rstd", 1, x.rows * groups, []);
  const parts: RmsNorm = { x, gain, y, rstd, groups };
  graph.apply({
    name: "rmsnorm",
    inputs: [x, gain],
    outputs: [y, rstd],
    forward: (run) => {
      const source = run.place(x);
      const out = run.place(y);
      run.emit(
        "rmsnorm",
        { x: source, gain: run.place(gain), y: out, rstd: run.place(rstd) },
        { ...sizesOf(parts), xStride: source.stride, yStride: out.stride },
        { epsilon },
      );
    },
    backward: (run) => backward(run, parts),
  });
  return y;
}

const sizesOf = ({ x, gain, groups }: RmsNorm) => ({
  rows: x.rows * groups,
  columns: gain.columns,
  groups,
});

function backward(run: Backward, parts: RmsNorm): void {
  const yGradient = run.gradientOf(parts.y);
  if (!yGradient) return;
  const x = run.place(parts.x);
  const rstd = run.place(parts.rstd);
  const sizes = { ...sizesOf(parts), yGradientStride: yGradient.stride, xStride: x.stride };
  const gainGradient = run.parameterGradient(parts.gain);
  if (gainGradient) {
    const { out, accumulate } = gainGradient;
    run.emit(
      "rmsnorm_backward_parameters",
      { yGradient, x, rstd, gainGradient: out },
      { ...sizes, accumulate },
    );
  }
  const target = run.into(parts.x);
  if (!target) return;
  const { out, residual } = target;
  run.emit(
    "rmsnorm_backward",
    { yGradient, x, gain: run.place(parts.gain), rstd, residual, xGradient: out },
    { ...sizes, residualStride: residual?.stride ?? 0, xGradientStride: out.stride },
  );
}
