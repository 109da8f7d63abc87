import { assert } from "#src/refusal/refusal.ts";
import { columnChain } from "./chain.ts";
import type { Evaluation } from "./operands.ts";

export const embedding: Evaluation = (arithmetic, operands) => {
  const tokens = operands.words("tokens");
  const table = operands.floats("table");
  const positions = operands.optionalFloats("positions");
  const out = operands.floats("out");
  const columns = operands.integer("columns");
  const vocabulary = operands.integer("vocabulary");
  const contextLength = operands.integer("contextLength");
  const firstPosition = operands.position();
  for (let n = 0; n < operands.integer("rows"); n++) {
    const token = tokens[n]!;
    assert(token >= 0 && token < vocabulary, `embedding token ${token} at ${n}`);
    const position = positions ? (n % contextLength) + firstPosition : 0;
    assert(!positions || position < operands.integer("positionRows"), `embedding position ${n}`);
    for (let c = 0; c < columns; c++) {
      const value = table[token * columns + c]!;
      out[n * columns + c] = positions
        ? arithmetic.add(value, positions[position * columns + c]!)
        : value;
    }
  }
};

export const embeddingBackward: Evaluation = (arithmetic, operands) => {
  const tokens = operands.words("tokens");
  const outGradient = operands.floats("outGradient");
  const tableGradient = operands.floats("tableGradient");
  const columns = operands.integer("columns");
  for (let n = 0; n < operands.integer("rows"); n++) {
    const token = tokens[n]!;
    assert(token >= 0 && token < operands.integer("vocabulary"), `embedding_backward token ${n}`);
    for (let c = 0; c < columns; c++) {
      const index = token * columns + c;
      tableGradient[index] = arithmetic.add(tableGradient[index]!, outGradient[n * columns + c]!);
    }
  }
};

export const positionBackward: Evaluation = (arithmetic, operands) => {
  const outGradient = operands.floats("outGradient");
  const positionsGradient = operands.floats("positionsGradient");
  const rows = operands.integer("rows");
  const columns = operands.integer("columns");
  const contextLength = operands.integer("contextLength");
  const accumulate = operands.integer("accumulate") !== 0;
  assert(rows % contextLength === 0, "position_backward rows are whole batch entries");
  for (let t = 0; t < contextLength; t++) {
    for (let c = 0; c < columns; c++) {
      const index = t * columns + c;
      const old = accumulate ? positionsGradient[index]! : null;
      const batch = rows / contextLength;
      positionsGradient[index] = columnChain(arithmetic, batch, old, (b, accumulator) =>
        arithmetic.add(accumulator, outGradient[(b * contextLength + t) * columns + c]!),
      );
    }
  }
};
