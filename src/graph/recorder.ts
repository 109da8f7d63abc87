import { assert } from "#src/refusal/refusal.ts";
import { operations, type OperationName } from "#src/kernel/contract.ts";
import type { PhaseName } from "./plan.ts";
import type { Storage, Tensor } from "./tensor.ts";
import { tensorOn } from "./tensor.ts";

/** A kernel call whose arguments are tensors that may not have an address yet. */
export interface SymbolicCall {
  readonly operation: OperationName;
  readonly arguments: readonly (Tensor | null)[];
  readonly integers: readonly number[];
  readonly floats: readonly number[];
  readonly label: string;
}

export type NamedArguments = Readonly<Record<string, Tensor | null | undefined>>;

/** Collects the calls of one phase, checking each against the operation contract. */
export class Recorder {
  readonly calls: SymbolicCall[] = [];
  /** Label of the calls recorded next. */
  label = "";

  constructor(readonly phase: PhaseName) {}

  /** A new buffer that lives from its first to its last use in this phase. */
  activation(name: string, rows: number, columns: number, type: Tensor["type"] = "f32"): Tensor {
    const storage: Storage = {
      name,
      space: "activations",
      elements: rows * columns,
      offsetBytes: undefined,
    };
    return tensorOn(storage, rows, columns, type);
  }

  /**
   * Records one call. Arguments and numbers are given by their contract names; optional arguments
   * may be absent. Every argument must reach only inside its own storage.
   */
  emit(
    name: OperationName,
    given: NamedArguments,
    integers: Readonly<Record<string, number>>,
    floats: Readonly<Record<string, number>> = {},
  ): void {
    const operation = operations[name];
    const tensors = operation.arguments.map((argument) => {
      const tensor = given[argument.name] ?? null;
      assert(tensor || argument.optional, `${name}: argument ${argument.name} is missing`);
      assert(
        !tensor || tensor.type === argument.type,
        `${name}: ${argument.name} has a wrong type`,
      );
      return tensor;
    });
    const numbers = operation.integers.map((key) => {
      const value = integers[key];
      assert(Number.isSafeInteger(value), `${name}: integer ${key} is missing`);
      return value!;
    });
    const rounded = operation.floats.map((key) => {
      assert(floats[key] !== undefined, `${name}: float ${key} is missing`);
      return Math.fround(floats[key]);
    });
    const known = new Set(operation.arguments.map((argument) => argument.name));
    for (const key of Object.keys(given)) assert(known.has(key), `${name}: no argument ${key}`);
    assertInside(name, tensors, operation.extents(integers));
    this.calls.push({
      operation: name,
      arguments: tensors,
      integers: numbers,
      floats: rounded,
      label: this.label,
    });
  }
}

function assertInside(
  name: OperationName,
  tensors: readonly (Tensor | null)[],
  extents: readonly number[],
): void {
  for (const [index, tensor] of tensors.entries()) {
    if (!tensor) continue;
    const end = tensor.offset + extents[index]!;
    assert(
      end <= tensor.storage.elements,
      `${name}: argument ${index} ends at ${end} in ${tensor.storage.name} of ${tensor.storage.elements}`,
    );
  }
}
