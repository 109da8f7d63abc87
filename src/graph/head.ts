import { assertExtent, assertShape, type Graph } from "./graph.ts";
import type { Backward, Value } from "./node.ts";

export interface HeadLossOptions {
  /** rows (i32); −1 is ignored. */
  readonly targets: Value;
  /** One f32 by which every row's gradient is multiplied; needed in a graph with gradients. */
  readonly lossScale?: Value | null;
  /** Where the losses go: 1×rows outside the activations. */
  readonly losses: Value;
  /** Where the most likely tokens go (i32), in a graph without gradients. */
  readonly predictions?: Value | null;
}

interface Head {
  readonly x: Value;
  readonly weight: Value;
  readonly options: HeadLossOptions;
}

/**
 * Cross-entropy of softmax(x·weightᵀ) against the targets; x rows×columns, weight vocabulary×columns.
 * In a graph with gradients the losses come with the gradients from one call in the backward pass,
 * because the logits exist only there.
 */
export function headLoss(graph: Graph, x: Value, weight: Value, options: HeadLossOptions): void {
  const { targets, lossScale = null, losses, predictions = null } = options;
  assertExtent("head", weight, null, x.columns);
  assertExtent("head", targets, 1, x.rows);
  assertExtent("head", losses, 1, x.rows);
  assertShape(targets.type === "i32", "head: targets must be i32");
  assertShape(!graph.gradients || lossScale !== null, "head: gradients need a lossScale");
  const parts: Head = { x, weight, options };
  const sizes = { rows: x.rows, columns: x.columns, vocabulary: weight.rows };
  graph.apply({
    name: "head",
    inputs: [x, weight, targets, lossScale],
    outputs: [losses, ...(predictions ? [predictions] : [])],
    forward: (run) => {
      if (x.requiresGradient || weight.requiresGradient) return;
      run.emit(
        "head_loss",
        {
          x: run.place(x),
          weight: run.place(weight),
          targets: run.place(targets),
          losses: run.place(losses),
          predictions: run.placeOptional(predictions),
        },
        sizes,
      );
    },
    backward: (run) => backward(run, parts),
  });
}

function backward(run: Backward, { x, weight, options }: Head): void {
  const weightGradient = run.parameterGradient(weight);
  const write = (xGradient: Parameters<Parameters<Backward["overwrite"]>[1]>[0][number]) =>
    run.emit(
      "head_loss_gradient",
      {
        x: run.place(x),
        weight: run.place(weight),
        targets: run.place(options.targets),
        lossScale: run.placeOptional(options.lossScale),
        losses: run.place(options.losses),
        xGradient,
        weightGradient: weightGradient?.out,
      },
      {
        rows: x.rows,
        columns: x.columns,
        vocabulary: weight.rows,
        accumulate: weightGradient?.accumulate ?? 0,
      },
    );
  if (x.requiresGradient) run.overwrite([x], ([out]) => write(out!));
  else write(run.activation("unused", x.rows, x.columns));
}

/** logits(rows×vocabulary) = x·weightᵀ of the last row of every sequence alone, for decoding. */
export function lastRowLogits(graph: Graph, x: Value, weight: Value, logits: Value): void {
  assertExtent("logits", weight, null, x.columns);
  assertExtent("logits", logits, 1, weight.rows);
  graph.apply({
    name: "logits",
    inputs: [x, weight],
    outputs: [logits],
    forward: (run) => {
      const rows = run.place(x);
      run.emit(
        "matmul",
        {
          a: { ...rows, offset: rows.offset + (x.rows - 1) * rows.stride, rows: 1 },
          b: run.place(weight),
          out: run.place(logits),
        },
        {
          M: 1,
          N: weight.rows,
          K: x.columns,
          aStride: rows.stride,
          bStride: weight.columns,
          outStride: weight.rows,
          transposeA: 0,
          transposeB: 1,
          activation: 0,
          accumulate: 0,
          auxiliaryStride: 0,
          residualStride: 0,
        },
      );
    },
  });
}
