import { chunkLength } from "#src/kernel/contract.ts";
import { assert } from "#src/refusal/refusal.ts";
import type { Arithmetic, Floats } from "./arithmetic.ts";
import { chain, dot, flushed } from "./chain.ts";
import type { Evaluation, Operands } from "./operands.ts";
import { largestIndex, reduce } from "./reduction.ts";

const ignoredTarget = -1;

/** The head's operands packed for chains, and what one row of logits gives. */
interface Head {
  readonly rows: number;
  readonly columns: number;
  readonly vocabulary: number;
  readonly x: Float64Array;
  readonly weight: Float64Array;
}

interface RowLoss {
  /** Logits on entry, exp(z − maximum) on return. */
  readonly exponentials: Float64Array;
  readonly total: number;
  readonly loss: number;
  readonly prediction: number;
}

function headOf(arithmetic: Arithmetic, operands: Operands): Head {
  const rows = operands.integer("rows");
  const columns = operands.integer("columns");
  const vocabulary = operands.integer("vocabulary");
  const pack = (source: Floats, count: number): Float64Array =>
    flushed(arithmetic, {
      source,
      offset: 0,
      rows: count,
      columns,
      rowStride: columns,
      columnStride: 1,
    });
  const x = pack(operands.floats("x"), rows);
  const weight = pack(operands.floats("weight"), vocabulary);
  return { rows, columns, vocabulary, x, weight };
}

function rowLoss(
  arithmetic: Arithmetic,
  head: Head,
  row: number,
  target: number,
  exponentials: Float64Array,
): RowLoss {
  const { add, exponential, logarithm, subtract } = arithmetic;
  const { columns, vocabulary, x, weight } = head;
  assert(target >= ignoredTarget && target < vocabulary, `head target ${target} of row ${row}`);
  for (let v = 0; v < vocabulary; v++) {
    exponentials[v] = dot(arithmetic, x, row * columns, weight, v * columns, columns);
  }
  const prediction = largestIndex(exponentials, 0, vocabulary);
  const maximum = exponentials[prediction]!;
  const targetLogit = target === ignoredTarget ? 0 : exponentials[target]!;
  for (let v = 0; v < vocabulary; v++) {
    exponentials[v] = exponential(subtract(exponentials[v]!, maximum));
  }
  const total = reduce(arithmetic, exponentials, 0, vocabulary);
  const loss = target === ignoredTarget ? 0 : subtract(add(logarithm(total), maximum), targetLogit);
  return { exponentials, total, loss, prediction };
}

export const headLoss: Evaluation = (arithmetic, operands) => {
  const head = headOf(arithmetic, operands);
  const targets = operands.words("targets");
  const losses = operands.floats("losses");
  const predictions = operands.optionalWords("predictions");
  const exponentials = new Float64Array(head.vocabulary);
  for (let row = 0; row < head.rows; row++) {
    const result = rowLoss(arithmetic, head, row, targets[row]!, exponentials);
    losses[row] = result.loss;
    if (predictions) predictions[row] = result.prediction;
  }
};

export const headLossGradient: Evaluation = (arithmetic, operands) => {
  const { add, divide, flush, multiply, subtract } = arithmetic;
  const head = headOf(arithmetic, operands);
  const { rows, columns, vocabulary } = head;
  const targets = operands.words("targets");
  const lossScale = operands.floats("lossScale")[0]!;
  const losses = operands.floats("losses");
  const xGradient = operands.floats("xGradient");
  const weightGradient = operands.optionalFloats("weightGradient");
  const accumulate = operands.integer("accumulate") !== 0;
  const weightByColumn = transposed(head.weight, vocabulary, columns);
  const xByColumn = transposed(head.x, rows, columns);
  const exponentials = new Float64Array(vocabulary);
  const gradient = new Float64Array(vocabulary);
  if (!accumulate) weightGradient?.fill(0, 0, vocabulary * columns);
  for (let from = 0; from < rows; from += chunkLength) {
    const count = Math.min(chunkLength, rows - from);
    const gradientByEntry = new Float64Array(vocabulary * count);
    for (let row = from; row < from + count; row++) {
      const target = targets[row]!;
      const result = rowLoss(arithmetic, head, row, target, exponentials);
      losses[row] = result.loss;
      const inverse = divide(1, result.total);
      for (let v = 0; v < vocabulary; v++) {
        const probability = multiply(exponentials[v]!, inverse);
        const difference = v === target ? subtract(probability, 1) : probability;
        const scaled = target === ignoredTarget ? 0 : multiply(difference, lossScale);
        gradient[v] = flush(scaled);
        gradientByEntry[v * count + row - from] = gradient[v]!;
      }
      for (let c = 0; c < columns; c++) {
        xGradient[row * columns + c] = dot(
          arithmetic,
          gradient,
          0,
          weightByColumn,
          c * vocabulary,
          vocabulary,
        );
      }
    }
    if (!weightGradient) continue;
    for (let v = 0; v < vocabulary; v++) {
      for (let c = 0; c < columns; c++) {
        const part = chain(
          arithmetic,
          gradientByEntry,
          v * count,
          xByColumn,
          c * rows + from,
          count,
        );
        weightGradient[v * columns + c] = add(weightGradient[v * columns + c]!, part);
      }
    }
  }
};

function transposed(matrix: Float64Array, rows: number, columns: number): Float64Array {
  const result = new Float64Array(matrix.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      result[column * rows + row] = matrix[row * columns + column]!;
    }
  }
  return result;
}
