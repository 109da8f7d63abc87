import { expect, test } from "bun:test";
import { DoubleProgram } from "#src/graph/doubles.ts";
import { compileTraining } from "./compile.ts";
import { configureModel, type ModelConfiguration, type ModelRequest } from "./configuration.ts";
import { mapTensors } from "./huggingface-names.ts";

/**
 * The three architectures written a second time, as plainly as their papers and Hugging Face's
 * modelling files do, over the tensors as a Hugging Face file holds them. It shares nothing with the
 * graph, so it checks the decoder, the fused layouts and the names of the export together.
 */
type Matrix = readonly (readonly number[])[];
type Weights = ReadonlyMap<string, Matrix>;

const dot = (one: readonly number[], other: readonly number[]): number =>
  one.reduce((sum, value, index) => sum + value * other[index]!, 0);
const transposed = (matrix: Matrix): Matrix =>
  matrix[0]!.map((_, column) => matrix.map((row) => row[column]!));
const plus = (one: readonly number[], other: readonly number[]): number[] =>
  one.map((value, index) => value + other[index]!);
const gelu = (x: number): number =>
  0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
const silu = (x: number): number => x / (1 + Math.exp(-x));

function softmax(scores: readonly number[]): number[] {
  const highest = Math.max(...scores);
  const exponents = scores.map((score) => Math.exp(score - highest));
  const total = exponents.reduce((sum, value) => sum + value, 0);
  return exponents.map((value) => value / total);
}

function layernorm(
  x: readonly number[],
  gain: readonly number[],
  shift: readonly number[],
  epsilon: number,
) {
  const mean = x.reduce((sum, value) => sum + value, 0) / x.length;
  const variance = x.reduce((sum, value) => sum + (value - mean) ** 2, 0) / x.length;
  return x.map(
    (value, index) =>
      ((value - mean) / Math.sqrt(variance + epsilon)) * gain[index]! + shift[index]!,
  );
}

function rmsnorm(x: readonly number[], gain: readonly number[], epsilon: number): number[] {
  const meanSquare = dot(x, x) / x.length;
  return x.map((value, index) => (value / Math.sqrt(meanSquare + epsilon)) * gain[index]!);
}

/** rotate_half of Hugging Face's Llama. */
function rotate(head: readonly number[], position: number, theta: number): number[] {
  const half = head.length / 2;
  return head.map((value, index) => {
    const angle = position * theta ** ((-2 * (index % half)) / head.length);
    const partner = index < half ? -head[index + half]! : head[index - half]!;
    return value * Math.cos(angle) + partner * Math.sin(angle);
  });
}

const heads = (rows: Matrix, size: number): Matrix[] =>
  rows.map((row) =>
    Array.from({ length: row.length / size }, (_, head) =>
      row.slice(head * size, (head + 1) * size),
    ),
  );

/** query[token][head], key and value[token][group] → rows of joined heads. */
function attend(query: Matrix[], key: Matrix[], value: Matrix[]): Matrix {
  return query.map((queryHeads, token) =>
    queryHeads.flatMap((one, head) => {
      const group = Math.floor(head / (queryHeads.length / key[0]!.length));
      const weights = softmax(
        key.slice(0, token + 1).map((keys) => dot(one, keys[group]!) / Math.sqrt(one.length)),
      );
      return one.map((_, element) =>
        weights.reduce((sum, weight, index) => sum + weight * value[index]![group]![element]!, 0),
      );
    }),
  );
}

function gpt2(model: ModelConfiguration, weights: Weights, tokens: readonly number[]): Matrix {
  const get = (name: string): Matrix => weights.get(`transformer.${name}`)!;
  // Conv1D: y = x·W + b with W inputs × outputs.
  const conv = (rows: Matrix, name: string): Matrix => {
    const columns = transposed(get(`${name}.weight`));
    return rows.map((row) =>
      plus(
        columns.map((column) => dot(row, column)),
        get(`${name}.bias`)[0]!,
      ),
    );
  };
  const norm = (rows: Matrix, name: string): Matrix =>
    rows.map((row) =>
      layernorm(row, get(`${name}.weight`)[0]!, get(`${name}.bias`)[0]!, model.normEpsilon),
    );
  let x: Matrix = tokens.map((token, position) =>
    plus(get("wte.weight")[token]!, get("wpe.weight")[position]!),
  );
  for (let layer = 0; layer < model.layers; layer++) {
    const path = `h.${layer}.`;
    const fused = conv(norm(x, `${path}ln_1`), `${path}attn.c_attn`);
    const [query, key, value] = [0, 1, 2].map((part) =>
      heads(
        fused.map((row) => row.slice(part * model.width, (part + 1) * model.width)),
        model.headSize,
      ),
    ) as [Matrix[], Matrix[], Matrix[]];
    const attended = conv(attend(query, key, value), `${path}attn.c_proj`);
    x = x.map((row, index) => plus(row, attended[index]!));
    const hidden = conv(norm(x, `${path}ln_2`), `${path}mlp.c_fc`).map((row) => row.map(gelu));
    const forward = conv(hidden, `${path}mlp.c_proj`);
    x = x.map((row, index) => plus(row, forward[index]!));
  }
  const table = get("wte.weight");
  return norm(x, "ln_f").map((row) => table.map((entry) => dot(row, entry)));
}

function llama(model: ModelConfiguration, weights: Weights, tokens: readonly number[]): Matrix {
  const get = (name: string): Matrix => weights.get(name)!;
  const project = (rows: Matrix, name: string): Matrix =>
    rows.map((row) => get(`${name}.weight`).map((output) => dot(row, output)));
  const norm = (rows: Matrix, name: string): Matrix =>
    rows.map((row) => rmsnorm(row, get(`${name}.weight`)[0]!, model.normEpsilon));
  let x: Matrix = tokens.map((token) => get("model.embed_tokens.weight")[token]!);
  for (let layer = 0; layer < model.layers; layer++) {
    const path = `model.layers.${layer}.`;
    const normed = norm(x, `${path}input_layernorm`);
    const turned = (part: "q" | "k"): Matrix[] =>
      heads(project(normed, `${path}self_attn.${part}_proj`), model.headSize).map(
        (row, position) => {
          const scaled = model.style === "qwen3" ? norm(row, `${path}self_attn.${part}_norm`) : row;
          return scaled.map((head) => rotate(head, position, model.ropeTheta));
        },
      );
    const value = heads(project(normed, `${path}self_attn.v_proj`), model.headSize);
    const attended = project(attend(turned("q"), turned("k"), value), `${path}self_attn.o_proj`);
    x = x.map((row, index) => plus(row, attended[index]!));
    const second = norm(x, `${path}post_attention_layernorm`);
    const up = project(second, `${path}mlp.up_proj`);
    const hidden = project(second, `${path}mlp.gate_proj`).map((row, index) =>
      row.map((gate, column) => silu(gate) * up[index]![column]!),
    );
    const forward = project(hidden, `${path}mlp.down_proj`);
    x = x.map((row, index) => plus(row, forward[index]!));
  }
  const head = model.tied ? get("model.embed_tokens.weight") : get("lm_head.weight");
  return norm(x, "model.norm").map((row) => head.map((entry) => dot(row, entry)));
}

const small: ModelRequest = {
  layers: 2,
  width: 12,
  heads: 2,
  vocabularySize: 11,
  contextLength: 7,
};
const models: Record<string, ModelConfiguration> = {
  "GPT-2": configureModel(small),
  Llama: configureModel({ ...small, style: "llama", groups: 1, tied: false, ropeTheta: 500 }),
  Qwen3: configureModel({
    ...small,
    style: "qwen3",
    heads: 4,
    groups: 2,
    headSize: 8,
    feedForward: 20,
  }),
};

for (const [name, model] of Object.entries(models)) {
  test(`T-3 ${name} computes what its published architecture says, over its exported tensors`, () => {
    const plan = compileTraining({
      model,
      batchSize: 2,
      contextLength: 6,
      optimizer: "sgd",
      clipNorm: 0,
    });
    const program = new DoubleProgram(plan);
    for (const parameter of plan.parameters) {
      const values = program.floats(parameter);
      for (let index = 0; index < values.length; index++) {
        values[index] = 0.4 * Math.sin(1.3 * index + parameter.offsetBytes);
      }
    }
    const weights = new Map<string, Matrix>();
    for (const mapping of mapTensors(model)) {
      const parameter = plan.parameters.find((each) => each.name === mapping.parameter)!;
      const columns = parameter.shape[parameter.shape.length - 1]!;
      const values = [...program.floats(parameter)];
      const rows = Array.from({ length: mapping.rows }, (_, row) =>
        values.slice((mapping.fromRow + row) * columns, (mapping.fromRow + row + 1) * columns),
      );
      weights.set(mapping.name, mapping.transposed ? transposed(rows) : rows);
    }
    const tokens = [3, 0, 10, 5, 5, 1, 9, 2, 2, 7, 4, 8];
    const targets = [0, 10, 5, 5, 1, 2, 2, 2, 7, 4, 8, 6];
    program.words(program.input("evaluate.tokens")).set(tokens);
    program.words(program.input("evaluate.targets")).set(targets);
    program.run("evaluate");
    const losses = program.floats(program.input("evaluate.losses"));
    const predictions = program.words(program.input("evaluate.predictions"));
    for (const sequence of [0, 1]) {
      const forward = model.style === "gpt2" ? gpt2 : llama;
      const logits = forward(model, weights, tokens.slice(sequence * 6, sequence * 6 + 6));
      for (const [position, row] of logits.entries()) {
        const index = sequence * 6 + position;
        // The rotary table is rounded to float32 once; everything else is float64 on both sides.
        expect(losses[index]!).toBeCloseTo(-Math.log(softmax(row)[targets[index]!]!), 5);
        expect(predictions[index]!).toBe(row.indexOf(Math.max(...row)));
      }
    }
  });
}
