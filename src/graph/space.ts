import type { ElementType } from "#src/kernel/contract.ts";
import { elementsOf } from "./parameters.ts";
import type { PlannedTensor, SpaceName } from "./plan.ts";
import { aligned, elementBytes, tensorOn, type Tensor } from "./tensor.ts";

/** A memory space filled front to back with named tensors that live as long as the plan. */
export class FixedSpace {
  readonly tensors: PlannedTensor[] = [];
  #sizeBytes = 0;

  constructor(readonly name: SpaceName) {}

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** Adds a named tensor; vectors are one row, matrices their own shape. */
  add(name: string, shape: readonly number[], type: ElementType = "f32"): Tensor {
    const elements = elementsOf(shape);
    const offsetBytes = this.#sizeBytes;
    this.#sizeBytes += aligned(elements * elementBytes);
    this.tensors.push({ name, space: this.name, offsetBytes, shape: [...shape], type });
    const columns = shape.length > 1 ? shape[shape.length - 1]! : elements;
    const storage = { name, space: this.name, elements, offsetBytes };
    return tensorOn(storage, elements / columns, columns, type);
  }
}
