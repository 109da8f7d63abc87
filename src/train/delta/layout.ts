/**
 * How the parameters of a plan lie in one array of float32: tensor after tensor in manifest order, without
 * holes. Deltas, revisions and the outer step all speak of this array; blocks of a codec end where a
 * tensor ends, so that what two tensors hold is never scaled together.
 */
import { digestJson, type Digest } from "#src/codec/digest.ts";
import { elementsOf } from "#src/graph/parameters.ts";
import type { Plan } from "#src/graph/plan.ts";
import { assert, Refusal } from "#src/refusal/refusal.ts";
import { type Executor, forEachPiece } from "../executor.ts";

/** Parameters of a model that is trained in windows: 2 GiB of float32, what one array holds. */
export const parameterMaximum = 2 ** 29;

export interface LaidTensor {
  readonly name: string;
  readonly shape: readonly number[];
  /** Elements; the product of the shape. */
  readonly length: number;
}

export interface DeltaLayout {
  /** In manifest order. */
  readonly tensors: readonly LaidTensor[];
  /** Elements of all tensors. */
  readonly count: number;
  /** Of names and shapes in order: what a delta names as the model it is of. */
  readonly digest: Digest;
}

/** Refuses with `run_unfit` where there are more parameters than one array holds. */
export function makeLayout(
  tensors: readonly { readonly name: string; readonly shape: readonly number[] }[],
): DeltaLayout {
  const laid = tensors.map(({ name, shape }) => ({ name, shape, length: elementsOf(shape) }));
  const count = laid.reduce((sum, { length }) => sum + length, 0);
  if (count > parameterMaximum)
    throw new Refusal(
      "run_unfit",
      `The model has ${count} parameters; at most ${parameterMaximum} can be trained in windows.`,
      "Choose a smaller --size, or train on one machine.",
      { count, parameterMaximum },
    );
  const digest = digestJson({
    type: "psionic-delta-layout",
    version: 1,
    tensors: laid.map(({ name, shape }) => [name, [...shape]]),
  });
  return { tensors: laid, count, digest };
}

/** The layout of a plan's parameters. Refuses as `makeLayout` does. */
export function layoutOf(plan: Plan): DeltaLayout {
  return makeLayout(plan.parameters);
}

/** Calls with the first element and the length of every block: whole ones, then a tensor's rest. */
export function forEachBlock(
  { tensors }: DeltaLayout,
  blockLength: number,
  visit: (start: number, length: number) => void,
): void {
  let start = 0;
  for (const tensor of tensors) {
    for (let done = 0; done < tensor.length; done += blockLength)
      visit(start + done, Math.min(blockLength, tensor.length - done));
    start += tensor.length;
  }
}

/** The tensor an element belongs to, and its place there: for messages. */
export function placeOf({ tensors }: DeltaLayout, element: number) {
  let start = 0;
  for (const { name, length } of tensors) {
    if (element < start + length) return { tensor: name, element: element - start };
    start += length;
  }
  return { tensor: "", element };
}

/** Copies the parameters that an executor holds, whose plan the layout is of. */
export function readParameters(executor: Executor, layout: DeltaLayout): Float32Array {
  const values = new Float32Array(layout.count);
  forEachStretch(executor, values, (theirs, ours) => ours.set(theirs));
  return values;
}

/** Overwrites the parameters that an executor holds; moments stay as they are. */
export function writeParameters(
  executor: Executor,
  layout: DeltaLayout,
  values: Float32Array,
): void {
  assert(values.length === layout.count, "as many values as the layout has");
  forEachStretch(executor, values, (theirs, ours) => theirs.set(ours));
}

function forEachStretch(
  executor: Executor,
  values: Float32Array,
  visit: (theirs: Uint8Array, ours: Uint8Array) => void,
): void {
  const memory = executor.memory("parameters");
  assert(memory, "the plan has parameters");
  let start = values.byteOffset;
  for (const { shape, offsetBytes } of executor.plan.parameters) {
    const sizeBytes = elementsOf(shape) * 4;
    forEachPiece(sizeBytes, (offset, length) =>
      visit(
        memory.view(offsetBytes + offset, length),
        new Uint8Array(values.buffer, start + offset, length),
      ),
    );
    start += sizeBytes;
  }
}
