import { assertExtent, type Graph } from "./graph.ts";
import type { Backward, Value } from "./node.ts";

interface LayerNorm {
  readonly x: Value;
  readonly gain: Value;
  readonly shift: Value | null;
  readonly y: Value;
  readonly mean: Value;
  readonly rstd: Value;
}

/** y = (x − mean)/√(variance + epsilon)·gain + shift per row; gain and shift are 1×columns. */
export function layernorm(
  graph: Graph,
  x: Value,
  gain: Value,
  shift: Value | null,
  epsilon: number,
): Value {
  assertExtent("layernorm", gain, 1, x.columns);
  if (shift) assertExtent("layernorm", shift, 1, x.columns);
  const from = [x, gain, shift];
  const y = graph.produced("out", x.rows, x.columns, from);
  const mean = graph.produced("mean", 1, x.rows, []);
  const rstd = graph.produced("rstd", 1, x.rows, []);
  const parts: LayerNorm = { x, gain, shift, y, mean, rstd };
  graph.apply({
    name: "layernorm",
    inputs: from,
    outputs: [y, mean, rstd],
    forward: (run) =>
      run.emit(
        "layernorm",
        {
          x: run.place(x),
          gain: run.place(gain),
          shift: run.placeOptional(shift),
          y: run.place(y),
          mean: run.place(mean),
          rstd: run.place(rstd),
        },
        { rows: x.rows, columns: x.columns },
        { epsilon },
      ),
    backward: (run) => backward(run, parts),
  });
  return y;
}

function backward(run: Backward, parts: LayerNorm): void {
  const { x, gain } = parts;
  const yGradient = run.gradientOf(parts.y);
  if (!yGradient) return;
  const sizes = { rows: x.rows, columns: x.columns };
  const saved = { x: run.place(x), mean: run.place(parts.mean), rstd: run.place(parts.rstd) };
  parameterGradients(run, parts, yGradient, saved);
  const target = run.into(x);
  if (!target) return;
  run.emit(
    "layernorm_backward",
    {
      yGradient,
      ...saved,
      gain: run.place(gain),
      residual: target.residual,
      xGradient: target.out,
    },
    sizes,
  );
}

type Saved = Readonly<Record<"x" | "mean" | "rstd", ReturnType<Backward["place"]>>>;

function parameterGradients(
  run: Backward,
  { x, gain, shift }: LayerNorm,
  yGradient: Saved["x"],
  saved: Saved,
): void {
  const sizes = { rows: x.rows, columns: x.columns };
  const gainGradient = run.parameterGradient(gain);
  const shiftGradient = shift && run.parameterGradient(shift);
  if (gainGradient) {
    run.emit(
      "layernorm_backward_parameters",
      { yGradient, ...saved, gainGradient: gainGradient.out, shiftGradient: shiftGradient?.out },
      { ...sizes, accumulate: gainGradient.accumulate },
    );
  } else if (shiftGradient) {
    const { out, accumulate } = shiftGradient;
    run.emit("column_sum", { x: yGradient, out }, { ...sizes, xStride: x.columns, accumulate });
  }
}
