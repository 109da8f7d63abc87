import { assert } from "#src/refusal/refusal.ts";
import type { Backward, Forward, Node, Value } from "./node.ts";
import type { Parameter } from "./parameters.ts";
import type { Tensor } from "./tensor.ts";

export interface NodeDeclaration {
  readonly name: string;
  readonly inputs: readonly (Value | null | undefined)[];
  readonly outputs: readonly Value[];
  forward(run: Forward): void;
  backward?(run: Backward): void;
}

const plain = {
  producer: null,
  fixed: null,
  parameter: null,
  view: null,
  inPlaceOf: null,
} as const;

/** A list of nodes in the order they were applied, which is the order they run in. */
export class Graph {
  readonly nodes: Node[] = [];
  /** Name of the part being built (`layers.3`); becomes the label of its calls. */
  scope = "";
  /** Current recomputation block, or -1 outside of one. */
  block = -1;

  /** `gradients: false` makes an evaluation graph: nothing in it requires a gradient. */
  constructor(readonly gradients: boolean) {}

  /** A value whose memory lies outside the activations: an input, a result, a table, a cache. */
  fixed(name: string, tensor: Tensor): Value {
    const { rows, columns, type } = tensor;
    return {
      ...plain,
      name,
      rows,
      columns,
      type,
      fixed: tensor,
      requiresGradient: false,
      consumers: [],
      views: [],
    };
  }

  /** A parameter's value; it requires a gradient unless it is frozen or the graph takes none. */
  parameter(parameter: Parameter): Value {
    return {
      ...plain,
      name: parameter.name,
      rows: parameter.tensor.rows,
      columns: parameter.tensor.columns,
      type: "f32",
      fixed: parameter.tensor,
      parameter,
      requiresGradient: this.gradients && !parameter.frozen,
      consumers: [],
      views: [],
    };
  }

  /** A value some node of this graph will write. It requires a gradient when one of `from` does. */
  produced(
    name: string,
    rows: number,
    columns: number,
    from: readonly (Value | null | undefined)[],
    inPlaceOf: Value | null = null,
  ): Value {
    assertShape(Number.isSafeInteger(rows) && rows > 0, `${name} has ${rows} rows`);
    assertShape(Number.isSafeInteger(columns) && columns > 0, `${name} has ${columns} columns`);
    const requiresGradient = from.some((value) => value?.requiresGradient ?? false);
    return {
      ...plain,
      name,
      rows,
      columns,
      type: "f32",
      requiresGradient,
      inPlaceOf,
      consumers: [],
      views: [],
    };
  }

  /** Columns [column, column + columns) of a value as a value of its own, without a copy. */
  slice(of: Value, column: number, columns: number, name = "slice"): Value {
    assertShape(
      column >= 0 && columns > 0 && column + columns <= of.columns,
      `columns ${column} to ${column + columns} are not in ${of.name} of ${of.columns}`,
    );
    for (const { view, columns: width, name: other } of of.views) {
      const apart = column + columns <= view!.column || view!.column + width <= column;
      assertShape(apart, `column views ${other} and ${of.name}.${name} overlap`);
    }
    const value: Value = {
      ...plain,
      name: `${of.name}.${name}`,
      rows: of.rows,
      columns,
      type: of.type,
      requiresGradient: of.requiresGradient,
      view: { of, column },
      consumers: [],
      views: [],
    };
    of.views.push(value);
    return value;
  }

  /** The same numbers, through which no gradient flows. */
  detach(of: Value): Value {
    const view = { of, column: 0 };
    return {
      ...of,
      name: `${of.name}.detached`,
      requiresGradient: false,
      view,
      producer: null,
      fixed: null,
      parameter: null,
      inPlaceOf: null,
      consumers: [],
      views: [],
    };
  }

  /** Appends a node; its outputs must be fresh values of this graph. */
  apply(declaration: NodeDeclaration): Node {
    const inputs = declaration.inputs.filter((value) => value !== null && value !== undefined);
    const node: Node = {
      ...declaration,
      inputs,
      label: this.scope ? `${this.scope}.${declaration.name}` : declaration.name,
      block: this.block,
    };
    for (const value of inputs) value.consumers.push(node);
    for (const output of declaration.outputs) {
      assert(output.producer === null, `${output.name} has two producers`);
      (output as { producer: Node | null }).producer = node;
    }
    this.nodes.push(node);
    return node;
  }
}

/** Raised by shape rules: the model builder asked for something that cannot be. */
export class ShapeError extends Error {
  override readonly name = "ShapeError";
}

/** A condition of a shape rule. */
export function assertShape(condition: unknown, message: string): asserts condition {
  if (!condition) throw new ShapeError(message);
}

/** Checks a value's extent against the rule of the operation that reads it. */
export function assertExtent(
  operation: string,
  value: Value,
  rows: number | null,
  columns: number | null,
): void {
  assertShape(
    (rows === null || value.rows === rows) && (columns === null || value.columns === columns),
    `${operation}: ${value.name} is ${value.rows}×${value.columns}, not ${rows ?? "any"}×${columns ?? "any"}`,
  );
}
