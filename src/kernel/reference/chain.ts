import { chunkLength } from "#src/kernel/contract.ts";
import type { Arithmetic, Floats } from "./arithmetic.ts";

/** A rectangle of a buffer: element (row, column) lies at offset + row·rowStride + column·columnStride. */
export interface Rectangle {
  readonly source: Floats;
  readonly offset: number;
  readonly rows: number;
  readonly columns: number;
  readonly rowStride: number;
  readonly columnStride: number;
}

/** The rectangle's elements, flushed, packed row by row: the form `chain` and `dot` read. */
export function flushed(arithmetic: Arithmetic, from: Rectangle): Float64Array {
  const { source, offset, rows, columns, rowStride, columnStride } = from;
  const { flush } = arithmetic;
  const packed = new Float64Array(rows * columns);
  let next = 0;
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      packed[next++] = flush(source[offset + row * rowStride + column * columnStride]!);
    }
  }
  return packed;
}

/** A fused chain from +0 over `count` flushed pairs. */
export function chain(
  arithmetic: Arithmetic,
  a: Float64Array,
  aOffset: number,
  b: Float64Array,
  bOffset: number,
  count: number,
): number {
  const { fma } = arithmetic;
  let accumulator = 0;
  for (let k = 0; k < count; k++) accumulator = fma(a[aOffset + k]!, b[bOffset + k]!, accumulator);
  return accumulator;
}

/** Chunk chains over `count` flushed pairs, added in ascending order, onto `old` when it is given. */
export function dot(
  arithmetic: Arithmetic,
  a: Float64Array,
  aOffset: number,
  b: Float64Array,
  bOffset: number,
  count: number,
  old: number | null = null,
): number {
  let total = old;
  for (let from = 0; from < count; from += chunkLength) {
    const length = Math.min(chunkLength, count - from);
    const part = chain(arithmetic, a, aOffset + from, b, bOffset + from, length);
    total = total === null ? part : arithmetic.add(total, part);
  }
  return total ?? 0;
}

/**
 * The column chain of `step` over rows 0 … rows−1, onto `old` when it is given;
 * `step(row, accumulator)` is one addition or one fused operation.
 */
export function columnChain(
  arithmetic: Arithmetic,
  rows: number,
  old: number | null,
  step: (row: number, accumulator: number) => number,
): number {
  let total = old;
  for (let from = 0; from < rows; from += chunkLength) {
    const to = Math.min(from + chunkLength, rows);
    let accumulator = 0;
    for (let row = from; row < to; row++) accumulator = step(row, accumulator);
    total = total === null ? accumulator : arithmetic.add(total, accumulator);
  }
  return total ?? 0;
}
