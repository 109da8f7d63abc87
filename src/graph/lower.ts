import { assert } from "#src/refusal/refusal.ts";
import type { Graph } from "./graph.ts";
import type { Forward, Node, Value } from "./node.ts";
import type { Recorder } from "./recorder.ts";
import { columnsOf, type Tensor } from "./tensor.ts";

/**
 * Turns nodes into calls. A value's tensor is the one its node was last given: recomputing a block
 * runs its nodes again and gives their values new memory.
 */
export class Lowering implements Forward {
  readonly #places = new Map<Value, Tensor>();

  constructor(readonly recorder: Recorder) {}

  emit(...call: Parameters<Recorder["emit"]>): void {
    this.recorder.emit(...call);
  }

  activation(name: string, rows: number, columns: number): Tensor {
    return this.recorder.activation(name, rows, columns);
  }

  place(value: Value): Tensor {
    if (value.fixed) return value.fixed;
    if (value.view) return columnsOf(this.place(value.view.of), value.view.column, value.columns);
    if (value.inPlaceOf) return this.place(value.inPlaceOf);
    const tensor = this.#places.get(value);
    assert(tensor, `${value.name} is read before it is written`);
    return tensor;
  }

  placeOptional(value: Value | null | undefined): Tensor | null {
    return value ? this.place(value) : null;
  }

  /** Emits a node's forward calls into fresh memory for its outputs. */
  run(node: Node, prefix = ""): void {
    for (const output of node.outputs) {
      if (output.fixed || output.inPlaceOf || output.view) continue;
      const name = `${node.label}:${output.name}`;
      this.#places.set(
        output,
        this.recorder.activation(name, output.rows, output.columns, output.type),
      );
    }
    this.recorder.label = prefix + node.label;
    node.forward(this);
  }
}

/** Emits the forward calls of a whole graph. */
export function lowerForward(graph: Graph, recorder: Recorder): Lowering {
  const forward = new Lowering(recorder);
  for (const node of graph.nodes) forward.run(node);
  return forward;
}
