import { blockLength } from "#src/kernel/contract.ts";
import type { Arithmetic, Floats } from "./arithmetic.ts";
import { columnChain } from "./chain.ts";
import type { Evaluation } from "./operands.ts";

const laneCount = 16;

/** Sixteen lanes over at most one block, then the tree 8-4-2-1. */
function reduceBlock(
  arithmetic: Arithmetic,
  count: number,
  step: (index: number, lane: number) => number,
): number {
  const lanes = new Float64Array(laneCount);
  for (let i = 0; i < count; i++) lanes[i % laneCount] = step(i, lanes[i % laneCount]!);
  for (let width = laneCount / 2; width >= 1; width /= 2) {
    for (let j = 0; j < width; j++) lanes[j] = arithmetic.add(lanes[j]!, lanes[j + width]!);
  }
  return lanes[0]!;
}

/** The block reductions of `count` elements, one per block of 4,096. */
export function reduceBlocks(
  arithmetic: Arithmetic,
  count: number,
  step: (index: number, lane: number) => number,
): Float64Array {
  return Float64Array.from({ length: Math.ceil(count / blockLength) }, (_, block) => {
    const from = block * blockLength;
    const length = Math.min(blockLength, count - from);
    return reduceBlock(arithmetic, length, (index, lane) => step(from + index, lane));
  });
}

function combineBlocks(arithmetic: Arithmetic, blocks: Float64Array): number {
  if (blocks.length === 0) return 0;
  return blocks.length === 1 ? blocks[0]! : reduce(arithmetic, blocks, 0, blocks.length);
}

/** `reduce(x; n)` of docs/NUMERICS.md. */
export function reduce(arithmetic: Arithmetic, x: Floats, offset: number, count: number): number {
  const { add } = arithmetic;
  const blocks = reduceBlocks(arithmetic, count, (i, lane) => add(lane, x[offset + i]!));
  return combineBlocks(arithmetic, blocks);
}

/** `reduceProduct(x, y; n)`: the same with fused products inside the blocks. */
export function reduceProduct(
  arithmetic: Arithmetic,
  x: Floats,
  xOffset: number,
  y: Floats,
  yOffset: number,
  count: number,
): number {
  const { fma } = arithmetic;
  const blocks = reduceBlocks(arithmetic, count, (i, lane) =>
    fma(x[xOffset + i]!, y[yOffset + i]!, lane),
  );
  return combineBlocks(arithmetic, blocks);
}

/** The index of the largest of `count` elements; the lowest index wins ties. */
export function largestIndex(x: Floats, offset: number, count: number): number {
  let best = 0;
  for (let i = 1; i < count; i++) if (x[offset + i]! > x[offset + best]!) best = i;
  return best;
}

export const sum: Evaluation = (arithmetic, operands) => {
  const x = operands.floats("x");
  const blocks = reduceBlocks(arithmetic, operands.integer("count"), (i, lane) =>
    arithmetic.add(lane, x[i]!),
  );
  operands.floats("partial").set(blocks);
  operands.floats("out")[0] = combineBlocks(arithmetic, blocks);
};

export const sumSquares: Evaluation = (arithmetic, operands) => {
  const x = operands.floats("x");
  const blocks = reduceBlocks(arithmetic, operands.integer("count"), (i, lane) => {
    const value = arithmetic.flush(x[i]!);
    return arithmetic.fma(value, value, lane);
  });
  operands.floats("partial").set(blocks);
  operands.floats("out")[0] = combineBlocks(arithmetic, blocks);
};

export const columnSum: Evaluation = (arithmetic, operands) => {
  const x = operands.floats("x");
  const out = operands.floats("out");
  const stride = operands.integer("xStride");
  const accumulate = operands.integer("accumulate") !== 0;
  for (let column = 0; column < operands.integer("columns"); column++) {
    const old = accumulate ? out[column]! : null;
    out[column] = columnChain(arithmetic, operands.integer("rows"), old, (row, accumulator) =>
      arithmetic.add(accumulator, x[row * stride + column]!),
    );
  }
};

export const countNonfinite: Evaluation = (_arithmetic, operands) => {
  const x = operands.floats("x");
  const stride = operands.integer("xStride");
  let count = 0;
  for (let row = 0; row < operands.integer("rows"); row++) {
    for (let column = 0; column < operands.integer("columns"); column++) {
      if (!Number.isFinite(x[row * stride + column]!)) count++;
    }
  }
  operands.words("out")[0] = count;
};

export const argmax: Evaluation = (_arithmetic, operands) => {
  const x = operands.floats("x");
  const out = operands.words("out");
  const columns = operands.integer("columns");
  for (let row = 0; row < operands.integer("rows"); row++) {
    out[row] = largestIndex(x, row * columns, columns);
  }
};
