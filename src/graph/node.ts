import type { ElementType, OperationName } from "#src/kernel/contract.ts";
import type { Parameter } from "./parameters.ts";
import type { NamedArguments } from "./recorder.ts";
import type { Tensor } from "./tensor.ts";

/**
 * A matrix in the graph, written by one node and read by any number. Vectors are matrices of one row.
 * It has no memory of its own: lowering gives it a tensor per incarnation.
 */
export interface Value {
  readonly name: string;
  readonly rows: number;
  readonly columns: number;
  readonly type: ElementType;
  /** False for everything nothing trainable lies above of: no backward call is made for it. */
  readonly requiresGradient: boolean;
  readonly producer: Node | null;
  readonly consumers: Node[];
  /** Memory decided outside the graph: parameters, inputs, results, constants, caches. */
  readonly fixed: Tensor | null;
  readonly parameter: Parameter | null;
  /** A column view of another value, sharing its memory and its gradient's memory. */
  readonly view: { readonly of: Value; readonly column: number } | null;
  /** The value whose memory this one takes over (written in place). */
  readonly inPlaceOf: Value | null;
  readonly views: Value[];
}

/** One application of a coarse operation: how it is computed and how its gradient is. */
export interface Node {
  readonly name: string;
  readonly label: string;
  /** Index of the recomputation block, or -1. */
  readonly block: number;
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  /** Emits the forward calls; outputs have memory already. */
  forward(run: Forward): void;
  /** Emits the calls of the vector-Jacobian product; absent: not differentiable. */
  backward?(run: Backward): void;
}

/** What a node's forward rule is given: where values lie, and a way to emit calls. */
export interface Forward {
  /** The tensor that holds a value now. */
  place(value: Value): Tensor;
  /** The same for an optional value. */
  placeOptional(value: Value | null | undefined): Tensor | null;
  /** Memory of this node's own, free again after its last use. */
  activation(name: string, rows: number, columns: number): Tensor;
  /** Records one kernel call; see Recorder.emit. */
  emit(
    name: OperationName,
    given: NamedArguments,
    integers: Readonly<Record<string, number>>,
    floats?: Readonly<Record<string, number>>,
  ): void;
}

/** What a node's gradient rule is given besides: gradients to read and places to write them. */
export interface Backward extends Forward {
  /** The finished gradient of a node's output; null when nothing below the loss reads it. */
  gradientOf(value: Value): Tensor | null;
  /**
   * Where an operation that can add should write its contribution to a value's gradient: it must
   * write residual + contribution (residual null: the contribution alone). Null: not needed.
   */
  into(value: Value): { readonly out: Tensor; readonly residual: Tensor | null } | null;
  /**
   * The same for operations that can only overwrite, possibly several gradients in one call: an
   * earlier contribution is added by a call of its own, and a gradient nobody needs goes to memory
   * that is free again at once.
   */
  overwrite(values: readonly Value[], write: (outs: readonly Tensor[]) => void): void;
  /** Contributes a tensor that already exists: the gradient of an addition's terms. No copy is made. */
  pass(value: Value, contribution: Tensor): void;
  /**
   * The place of a value's first gradient contribution. A column view's lies in its parent's
   * gradient, a value's written in place lies where the gradient of what it replaced will lie.
   */
  slot(value: Value): Tensor;
  /** Sets a gradient that a fused operation has written itself. */
  settle(value: Value, gradient: Tensor): void;
  /** Where a parameter's gradient goes and whether to add to it; null when it does not learn. */
  parameterGradient(value: Value): { readonly out: Tensor; readonly accumulate: 0 | 1 } | null;
  /** For an operation that always adds: the gradient is zeroed first unless something wrote it. */
  parameterGradientToAdd(value: Value): Tensor | null;
}
