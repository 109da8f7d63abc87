import { assert } from "#src/refusal/refusal.ts";
import type { SpaceName } from "./plan.ts";
import { alignmentBytes, elementBytes, tensorOn, type Storage, type Tensor } from "./tensor.ts";

/** Decides where a parameter lies and which optimizer group takes it. */
export type ParameterKind = "matrix" | "embedding" | "vector";

export interface ParameterDeclaration {
  readonly name: string;
  readonly shape: readonly number[];
  readonly kind: ParameterKind;
  readonly initial:
    | { readonly kind: "normal"; readonly deviation: number }
    | { readonly kind: "constant"; readonly value: number };
}

/** A parameter with its memory: its own elements, and its gradient's and moments' when it learns. */
export interface Parameter extends ParameterDeclaration {
  /** Position in manifest order. */
  readonly index: number;
  readonly frozen: boolean;
  readonly tensor: Tensor;
  /** Offset in elements of the gradient and of each moment in their spaces; null when frozen. */
  readonly trainedOffset: number | null;
}

/** The parameters of a model in manifest order, with the sizes of the spaces they need. */
export interface ParameterTable {
  readonly list: readonly Parameter[];
  readonly byName: ReadonlyMap<string, Parameter>;
  /** Elements of the parameters space, padding included. */
  readonly elements: number;
  /** Elements of the gradients space and of each moment's space. */
  readonly trainedElements: number;
}

/** Tensors are padded to whole cache lines; the padding is zero and every update keeps it zero. */
const padElements = alignmentBytes / elementBytes;

export const padded = (elements: number): number => Math.ceil(elements / padElements) * padElements;

/** How many elements a tensor of a shape has; one where it has no extents. */
export const elementsOf = (shape: readonly number[]): number =>
  shape.reduce((product, extent) => product * extent, 1);

const order: readonly ParameterKind[] = ["matrix", "embedding", "vector"];

/**
 * Lays parameters out: matrices, then embeddings, then vectors, each kind in declaration order, so
 * that a group with one decay rule is one stretch of memory. The layout depends on the declarations
 * alone; freezing changes only which of them have gradients.
 */
export function layOutParameters(
  declarations: readonly ParameterDeclaration[],
  isFrozen: (name: string) => boolean = () => false,
): ParameterTable {
  const ordered = order.flatMap((kind) =>
    declarations.filter((declaration) => declaration.kind === kind),
  );
  const elements = ordered.reduce((total, { shape }) => total + padded(elementsOf(shape)), 0);
  const storage: Storage = { name: "parameters", space: "parameters", elements, offsetBytes: 0 };
  const whole = tensorOn(storage, 1, elements);
  const byName = new Map<string, Parameter>();
  let offset = 0;
  let trainedOffset = 0;
  const list = ordered.map((declaration, index) => {
    const { name, shape } = declaration;
    assert(shape.length === 1 || shape.length === 2, `${name} must be a vector or a matrix`);
    assert(!byName.has(name), `two parameters are called ${name}`);
    const columns = shape[shape.length - 1]!;
    const rows = shape.length === 2 ? shape[0]! : 1;
    const frozen = isFrozen(name);
    const parameter: Parameter = {
      ...declaration,
      index,
      frozen,
      tensor: { ...whole, offset, rows, columns, stride: columns },
      trainedOffset: frozen ? null : trainedOffset,
    };
    const size = padded(rows * columns);
    offset += size;
    if (!frozen) trainedOffset += size;
    byName.set(name, parameter);
    return parameter;
  });
  return { list, byName, elements, trainedElements: trainedOffset };
}

/** A trained parameter's gradient or moment in a space laid out like the trained parameters. */
export function trainedTensor(parameter: Parameter, storage: Storage): Tensor {
  assert(parameter.trainedOffset !== null, `${parameter.name} is frozen`);
  return { ...parameter.tensor, storage, offset: parameter.trainedOffset };
}

/** The storage of a whole gradients or moments space. */
export function trainedStorage(space: SpaceName, table: ParameterTable): Storage {
  return { name: space, space, elements: table.trainedElements, offsetBytes: 0 };
}
