import { type DeltaLayout, makeLayout } from "./layout.ts";

/** Tensors `tensor.0`, `tensor.1` … of these lengths. */
export function layoutOfLengths(lengths: readonly number[]): DeltaLayout {
  return makeLayout(lengths.map((length, index) => ({ name: `tensor.${index}`, shape: [length] })));
}

/** Values about ±scale with heavier ends than even ones: a number of its own for every seed and place. */
export function drawnValues(count: number, seed: number, scale: number): Float32Array {
  const values = new Float32Array(count);
  let state = seed | 0;
  for (let index = 0; index < count; index++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    const even = (state >> 8) / 2 ** 23;
    values[index] = even * even * even * scale;
  }
  return values;
}
