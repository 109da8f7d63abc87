import { assertExtent, assertShape, type Graph } from "./graph.ts";
import type { Forward, Value } from "./node.ts";
import type { Tensor } from "./tensor.ts";

export interface RopeOptions {
  readonly headSize: number;
  /** Tokens per sequence; row n has position n mod sequenceLength. */
  readonly sequenceLength: number;
  /** positions × headSize: half cosines, half sines. */
  readonly table: Value;
  /** One i32 added to every position while decoding. */
  readonly position?: Value | null;
}

/**
 * Rotates the heads of x in place: the result takes over x's memory, so x must have no other reader
 * and its producer must not need it (a linear or a norm). The gradient is turned back in place too.
 */
export function rope(graph: Graph, x: Value, options: RopeOptions): Value {
  const { headSize, table, position = null } = options;
  assertExtent("rope", table, null, headSize);
  assertShape(headSize % 2 === 0, `rope: headSize ${headSize} is odd`);
  assertShape(x.columns % headSize === 0, `rope: ${x.columns} columns are not whole heads`);
  assertShape(
    options.sequenceLength <= table.rows,
    `rope: ${options.sequenceLength} positions exceed the table's ${table.rows}`,
  );
  assertShape(x.consumers.length === 0 && x.fixed === null, `rope: ${x.name} has another reader`);
  const owner = (x.view?.of ?? x).producer;
  assertShape(owner !== null && owner.block === graph.block, `rope: ${x.name} is of another block`);
  const y = graph.produced("rotated", x.rows, x.columns, [x], x);
  const turn = (run: Forward, from: Tensor, to: Tensor, inverse: 0 | 1): void =>
    run.emit(
      "rope",
      { x: from, table: run.place(table), position: run.placeOptional(position), y: to },
      {
        rows: x.rows,
        heads: x.columns / headSize,
        headSize,
        contextLength: options.sequenceLength,
        tableRows: table.rows,
        xStride: from.stride,
        yStride: to.stride,
        inverse,
      },
    );
  graph.apply({
    name: "rope",
    inputs: [x, table, position],
    outputs: [y],
    forward: (run) => turn(run, run.place(x), run.place(y), 0),
    backward: (run) => {
      const yGradient = run.gradientOf(y);
      if (yGradient) run.overwrite([x], ([out]) => turn(run, yGradient, out!, 1));
    },
  });
  return y;
}
