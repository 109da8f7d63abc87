import { evaluateCall } from "#src/kernel/reference/evaluate.ts";
import { integersOf, operations, type Call } from "#src/kernel/contract.ts";
import { assert } from "#src/refusal/refusal.ts";
import { elementsOf } from "./parameters.ts";
import type { PhaseName, Plan, PlannedTensor } from "./plan.ts";
import { elementBytes } from "./tensor.ts";

/**
 * Runs a plan in float64, where differences of losses are exact enough to check gradients against.
 * Offsets are those of the plan: element 4·n of a space is double n here, so a planning mistake
 * that lets two tensors share memory shows here as it would in float32.
 */
export class DoubleProgram {
  readonly #floats: readonly Float64Array[];
  readonly #words: readonly Int32Array[];

  constructor(readonly plan: Plan) {
    this.#floats = plan.spaces.map(({ sizeBytes }) => new Float64Array(sizeBytes / elementBytes));
    this.#words = plan.spaces.map(({ sizeBytes }) => new Int32Array(sizeBytes / elementBytes));
    for (const { tensor, values } of plan.constants) this.floats(tensor).set(values);
  }

  /** The f32 elements of a tensor, live. */
  floats(tensor: PlannedTensor): Float64Array {
    return this.#window(this.#floats, tensor);
  }

  /** The i32 elements of a tensor, live. */
  words(tensor: PlannedTensor): Int32Array {
    return this.#window(this.#words, tensor);
  }

  /** An input or result by name. */
  input(name: string): PlannedTensor {
    const tensor = this.plan.inputs.find((input) => input.name === name);
    assert(tensor, `the plan has no input ${name}`);
    return tensor;
  }

  run(phase: PhaseName): void {
    const found = this.plan.phases.find(({ name }) => name === phase);
    assert(found, `the plan has no phase ${phase}`);
    for (const call of this.plan.calls.slice(found.from, found.to)) this.#evaluate(call);
  }

  #evaluate(call: Call): void {
    const operation = operations[call.operation];
    const extents = operation.extents(integersOf(call));
    const buffers = call.arguments.map((place, index) => {
      if (!place) return null;
      const from = place.offsetBytes / elementBytes;
      const spaces = operation.arguments[index]!.type === "i32" ? this.#words : this.#floats;
      return spaces[place.space]!.subarray(from, from + extents[index]!);
    });
    evaluateCall(call, buffers);
  }

  #window<T extends Float64Array | Int32Array>(spaces: readonly T[], tensor: PlannedTensor): T {
    const space = this.plan.spaces.findIndex(({ name }) => name === tensor.space);
    const from = tensor.offsetBytes / elementBytes;
    return spaces[space]!.subarray(from, from + elementsOf(tensor.shape)) as T;
  }
}
