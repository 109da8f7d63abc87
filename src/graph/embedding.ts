import { assertShape, type Graph } from "./graph.ts";
import type { Backward, Value } from "./node.ts";

export interface EmbeddingOptions {
  /** Tokens per sequence; row n has position n mod sequenceLength. */
  readonly sequenceLength: number;
  /** Learned positions × columns, added to the token's row. */
  readonly positions?: Value | null;
  /** One i32 added to every position while decoding. */
  readonly position?: Value | null;
}

interface Embedding {
  readonly tokens: Value;
  readonly table: Value;
  readonly out: Value;
  readonly options: EmbeddingOptions;
}

/** out[n] = table[tokens[n]] + positions[n mod sequenceLength]; tokens 1×rows (i32), table vocabulary×columns. */
export function embedding(
  graph: Graph,
  tokens: Value,
  table: Value,
  options: EmbeddingOptions,
): Value {
  const { sequenceLength, positions = null, position = null } = options;
  const rows = tokens.rows * tokens.columns;
  assertShape(tokens.type === "i32", "embedding: tokens must be i32");
  assertShape(rows % sequenceLength === 0, `embedding: ${rows} tokens are not whole sequences`);
  assertShape(
    !positions || (positions.columns === table.columns && positions.rows >= sequenceLength),
    "embedding: the positions do not fit the table or the sequence",
  );
  const out = graph.produced("out", rows, table.columns, [table, positions]);
  const parts: Embedding = { tokens, table, out, options };
  graph.apply({
    name: "embedding",
    inputs: [tokens, table, positions, position],
    outputs: [out],
    forward: (run) =>
      run.emit(
        "embedding",
        {
          tokens: run.place(tokens),
          table: run.place(table),
          positions: run.placeOptional(positions),
          position: run.placeOptional(position),
          out: run.place(out),
        },
        {
          rows,
          columns: table.columns,
          vocabulary: table.rows,
          contextLength: sequenceLength,
          positionRows: positions?.rows ?? 0,
        },
      ),
    backward: (run) => backward(run, parts),
  });
  return out;
}

function backward(run: Backward, { tokens, table, out, options }: Embedding): void {
  const outGradient = run.gradientOf(out);
  if (!outGradient) return;
  const sizes = { rows: out.rows, columns: out.columns };
  const tableGradient = run.parameterGradientToAdd(table);
  if (tableGradient) {
    run.emit(
      "embedding_backward",
      { tokens: run.place(tokens), outGradient, tableGradient },
      { ...sizes, vocabulary: table.rows },
    );
  }
  const { positions = null, sequenceLength } = options;
  if (!positions) return;
  // Positions beyond the sequence stay as they are, so a shorter sequence needs them zeroed once.
  const short = sequenceLength < positions.rows;
  const target = short ? run.parameterGradientToAdd(positions) : null;
  const direct = short ? null : run.parameterGradient(positions);
  const positionsGradient = target ?? direct?.out;
  if (!positionsGradient) return;
  run.emit(
    "position_backward",
    { outGradient, positionsGradient },
    { ...sizes, contextLength: sequenceLength, accumulate: short ? 1 : direct!.accumulate },
  );
}
