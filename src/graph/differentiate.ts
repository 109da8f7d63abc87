import { assert } from "#src/refusal/refusal.ts";
import type { Graph } from "./graph.ts";
import { Lowering } from "./lower.ts";
import type { Backward, Node, Value } from "./node.ts";
import { trainedTensor } from "./parameters.ts";
import type { Recorder } from "./recorder.ts";
import { columnsOf, type Storage, type Tensor } from "./tensor.ts";

export interface DifferentiationOptions {
  /** Memory of all parameter gradients. */
  readonly gradients: Storage;
  /** True adds to the parameter gradients of the previous micro-batch; false overwrites them. */
  readonly accumulate: boolean;
  /** Run a block's forward calls again when its backward begins, instead of keeping its values. */
  readonly recompute: boolean;
}

/**
 * Reverse-mode differentiation: walks a graph's nodes backwards and lets each emit its
 * vector-Jacobian product. Gradients are written, never zeroed first; a second contribution to a
 * value is added by the operation that makes it (its `residual` argument) where it can.
 */
export class Differentiation extends Lowering implements Backward {
  readonly #gradients = new Map<Value, Tensor>();
  readonly #slots = new Map<Value, Tensor>();
  readonly #written = new Set<string>();
  #active: ReadonlySet<Node> = new Set();

  constructor(
    recorder: Recorder,
    readonly options: DifferentiationOptions,
  ) {
    super(recorder);
  }

  /** Emits forward and backward calls of a graph whose last node is the loss. */
  differentiate(graph: Graph): void {
    for (const node of graph.nodes) this.run(node);
    this.#active = activeNodes(graph);
    let recomputed = -1;
    for (const node of graph.nodes.toReversed()) {
      if (!this.#active.has(node)) continue;
      if (this.options.recompute && node.block >= 0 && node.block !== recomputed) {
        recomputed = node.block;
        const block = graph.nodes.filter((other) => other.block === recomputed);
        for (const other of block) this.run(other, "recompute.");
      }
      this.recorder.label = `backward.${node.label}`;
      assert(node.backward, `${node.name} has no gradient`);
      node.backward(this);
    }
  }

  gradientOf(value: Value): Tensor | null {
    return this.#gradients.get(value) ?? null;
  }

  into(value: Value): { readonly out: Tensor; readonly residual: Tensor | null } | null {
    if (!value.requiresGradient) return null;
    const residual = this.gradientOf(value);
    const out = residual ? this.#newGradient(value) : this.slot(value);
    this.#gradients.set(value, out);
    return { out, residual };
  }

  overwrite(values: readonly Value[], write: (outs: readonly Tensor[]) => void): void {
    if (!values.some((value) => value.requiresGradient)) return;
    const direct = values.map((value) => value.requiresGradient && !this.gradientOf(value));
    const outs = values.map((value, index) =>
      direct[index]
        ? this.slot(value)
        : this.activation(`part.${value.name}`, value.rows, value.columns),
    );
    write(outs);
    for (const [index, value] of values.entries()) {
      if (direct[index]) this.#gradients.set(value, outs[index]!);
      else this.pass(value, outs[index]!);
    }
  }

  pass(value: Value, contribution: Tensor): void {
    if (!value.requiresGradient) return;
    const earlier = this.gradientOf(value);
    if (!earlier && !value.view && !value.inPlaceOf) {
      this.#gradients.set(value, contribution);
      return;
    }
    const out = earlier ? this.#newGradient(value) : this.slot(value);
    this.emit(
      earlier ? "add" : "copy",
      earlier ? { x: earlier, y: contribution, out } : { x: contribution, out },
      {
        rows: value.rows,
        columns: value.columns,
        xStride: (earlier ?? contribution).stride,
        yStride: contribution.stride,
        outStride: out.stride,
        outRows: value.rows,
      },
    );
    this.#gradients.set(value, out);
  }

  slot(value: Value): Tensor {
    if (value.inPlaceOf) return this.slot(value.inPlaceOf);
    if (value.view)
      return columnsOf(this.#parentSlot(value.view.of), value.view.column, value.columns);
    const known = this.#slots.get(value);
    if (known) return known;
    const made = this.#newGradient(value);
    this.#slots.set(value, made);
    return made;
  }

  settle(value: Value, gradient: Tensor): void {
    this.#gradients.set(value, gradient);
  }

  parameterGradient(value: Value): { readonly out: Tensor; readonly accumulate: 0 | 1 } | null {
    if (!value.requiresGradient) return null;
    const { parameter } = value;
    assert(parameter, `${value.name} is used as a weight but is no parameter`);
    const out = trainedTensor(parameter, this.options.gradients);
    const accumulate = this.options.accumulate || this.#written.has(parameter.name) ? 1 : 0;
    this.#written.add(parameter.name);
    return { out, accumulate };
  }

  parameterGradientToAdd(value: Value): Tensor | null {
    const gradient = this.parameterGradient(value);
    if (!gradient) return null;
    if (!gradient.accumulate) {
      this.emit("fill", { out: gradient.out }, { count: value.rows * value.columns }, { value: 0 });
    }
    return gradient.out;
  }

  #newGradient(value: Value): Tensor {
    assert(!value.view && !value.inPlaceOf, `${value.name} is a view with two readers`);
    return this.activation(`gradient.${value.name}`, value.rows, value.columns);
  }

  /** The parent's gradient, zeroed first only when its views will not cover it. */
  #parentSlot(parent: Value): Tensor {
    const known = this.#gradients.get(parent);
    if (known) return known;
    assert(parent.consumers.length === 0, `${parent.name} is read both whole and by column views`);
    const slot = this.slot(parent);
    const covered = parent.views
      .filter((view) => receivesGradient(view, this.#active))
      .reduce((total, view) => total + view.columns, 0);
    if (covered < parent.columns) {
      assert(slot.stride === slot.columns, `the gradient of ${parent.name} has holes`);
      this.emit("fill", { out: slot }, { count: slot.rows * slot.columns }, { value: 0 });
    }
    this.#gradients.set(parent, slot);
    return slot;
  }
}

const receivesGradient = (value: Value, active: ReadonlySet<Node>): boolean =>
  value.requiresGradient &&
  (value.consumers.some((node) => active.has(node)) ||
    value.views.some((view) => receivesGradient(view, active)));

/** Nodes through which the loss, the last node, depends on something that requires a gradient. */
function activeNodes(graph: Graph): ReadonlySet<Node> {
  const active = new Set<Node>();
  const loss = graph.nodes.at(-1);
  for (const node of graph.nodes.toReversed()) {
    const reached = node === loss || node.outputs.some((value) => receivesGradient(value, active));
    if (reached && node.inputs.some((value) => value.requiresGradient)) active.add(node);
  }
  return active;
}
