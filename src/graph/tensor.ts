import { assert } from "#src/refusal/refusal.ts";
import type { ElementType } from "#src/kernel/contract.ts";
import type { SpaceName } from "./plan.ts";

/** Every element type is four bytes wide. */
export const elementBytes = 4;

/** Planned buffers start at multiples of this many bytes: one cache line, one AVX-512 register. */
export const alignmentBytes = 64;

/**
 * Memory that is planned as one piece. Storages of the activations space receive their offset from
 * the planner; all others have theirs when they are made.
 */
export interface Storage {
  readonly name: string;
  readonly space: SpaceName;
  readonly elements: number;
  /** Undefined until planned. */
  offsetBytes: number | undefined;
}

/** A row-major window on a storage: `rows` rows of `columns` elements, `stride` elements apart. */
export interface Tensor {
  readonly storage: Storage;
  /** First element, counted from the storage's start. */
  readonly offset: number;
  readonly rows: number;
  readonly columns: number;
  readonly stride: number;
  readonly type: ElementType;
}

/** The whole of a storage as rows × columns. */
export function tensorOn(
  storage: Storage,
  rows: number,
  columns: number,
  type: ElementType = "f32",
): Tensor {
  assert(rows * columns <= storage.elements, `${storage.name} is too small for its tensor`);
  return { storage, offset: 0, rows, columns, stride: columns, type };
}

/** Columns [from, from + count) of a tensor, sharing its memory. */
export function columnsOf(tensor: Tensor, from: number, count: number): Tensor {
  assert(from >= 0 && from + count <= tensor.columns, "a column view leaves its tensor");
  return { ...tensor, offset: tensor.offset + from, columns: count };
}

/** Rounds a size up to the alignment of planned buffers. */
export function aligned(sizeBytes: number): number {
  return Math.ceil(sizeBytes / alignmentBytes) * alignmentBytes;
}

/** A whole space as one row. */
export function wholeOf(storage: Storage): Tensor {
  const { elements } = storage;
  return { storage, offset: 0, rows: 1, columns: elements, stride: elements, type: "f32" };
}
