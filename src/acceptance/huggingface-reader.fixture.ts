/**
 * A second reader of Hugging Face directories, written from the published formats and from what
 * `transformers` computes, in float64 and without a line of the product: what it says about an
 * exported model is what other programs will find.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";

type Vector = Float64Array;

interface Tensor {
  readonly shape: readonly number[];
  readonly values: Vector;
}

interface Configuration {
  readonly model_type: "gpt2" | "llama" | "qwen3";
  readonly [name: string]: unknown;
}

export class HuggingFaceModel {
  readonly configuration: Configuration;
  readonly #tensors = new Map<string, Tensor>();

  constructor(directory: string) {
    const text = readFileSync(join(directory, "config.json"), "utf8");
    this.configuration = JSON.parse(text) as Configuration;
    const file = readFileSync(join(directory, "model.safetensors"));
    const headerBytes = Number(file.readBigUInt64LE(0));
    const header = JSON.parse(file.subarray(8, 8 + headerBytes).toString("utf8")) as Record<
      string,
      { dtype: string; shape: number[]; data_offsets: [number, number] }
    >;
    for (const [name, { dtype, shape, data_offsets: offsets }] of Object.entries(header)) {
      if (name === "__metadata__") continue;
      if (dtype !== "F32") throw new Error(`${name} is ${dtype}`);
      const [start, end] = offsets;
      const values = Float64Array.from({ length: (end - start) / 4 }, (_, index) =>
        file.readFloatLE(8 + headerBytes + start + 4 * index),
      );
      if (values.length !== shape.reduce((product, size) => product * size, 1))
        throw new Error(`${name} has ${values.length} values`);
      this.#tensors.set(name, { shape, values });
    }
  }

  get tensorNames(): string[] {
    return [...this.#tensors.keys()];
  }

  tensor(name: string): Tensor {
    const found = this.#tensors.get(name);
    if (!found) throw new Error(`there is no tensor ${name}`);
    return found;
  }

  /** The likeliest next token after each prefix of the tokens is the last row's largest logit. */
  next(tokens: readonly number[]): number {
    const rows =
      this.configuration.model_type === "gpt2" ? this.#gpt2(tokens) : this.#llama(tokens);
    const last = rows.at(-1)!;
    let best = 0;
    last.forEach((logit, token) => {
      if (logit > last[best]!) best = token;
    });
    return best;
  }

  #number(name: string): number {
    const value = this.configuration[name];
    if (typeof value !== "number") throw new Error(`config.json has no number ${name}`);
    return value;
  }

  #gpt2(tokens: readonly number[]): Vector[] {
    const name = (suffix: string) => `transformer.${suffix}`;
    const epsilon = this.#number("layer_norm_epsilon");
    const heads = this.#number("n_head");
    // GPT-2 stores its projections as inputs × outputs.
    const project = (row: Vector, prefix: string) => {
      const { shape, values } = this.tensor(`${prefix}.weight`);
      const bias = this.tensor(`${prefix}.bias`).values;
      return bias.map((start, output) =>
        row.reduce((sum, x, input) => sum + x * values[input * shape[1]! + output]!, start),
      );
    };
    const normalize = (row: Vector, prefix: string) => {
      const mean = row.reduce((sum, x) => sum + x, 0) / row.length;
      const variance = row.reduce((sum, x) => sum + (x - mean) ** 2, 0) / row.length;
      const gain = this.tensor(`${prefix}.weight`).values;
      const bias = this.tensor(`${prefix}.bias`).values;
      return row.map((x, i) => ((x - mean) / Math.sqrt(variance + epsilon)) * gain[i]! + bias[i]!);
    };
    const embeddings = this.tensor(name("wte.weight"));
    const width = embeddings.shape[1]!;
    const positions = this.tensor(name("wpe.weight")).values;
    let rows = tokens.map((token, position) =>
      add(rowOf(embeddings, token), positions.subarray(position * width, (position + 1) * width)),
    );
    for (let layer = 0; layer < this.#number("n_layer"); layer++) {
      const block = name(`h.${layer}`);
      const mixed = rows.map((row) =>
        project(normalize(row, `${block}.ln_1`), `${block}.attn.c_attn`),
      );
      const part = (index: number) =>
        mixed.map((row) => row.subarray(index * width, (index + 1) * width));
      const attended = attend(part(0), part(1), part(2), heads, heads);
      rows = rows.map((row, at) => add(row, project(attended[at]!, `${block}.attn.c_proj`)));
      rows = rows.map((row) => {
        const inner = project(normalize(row, `${block}.ln_2`), `${block}.mlp.c_fc`).map(geluNew);
        return add(row, project(inner, `${block}.mlp.c_proj`));
      });
    }
    return rows.map((row) => multiply(embeddings, normalize(row, name("ln_f"))));
  }

  #llama(tokens: readonly number[]): Vector[] {
    const epsilon = this.#number("rms_norm_eps");
    const [heads, groups] = [
      this.#number("num_attention_heads"),
      this.#number("num_key_value_heads"),
    ];
    const headSize = this.#number("head_dim");
    const project = (row: Vector, name: string) => multiply(this.tensor(`${name}.weight`), row);
    const normalize = (row: Vector, name: string) => {
      const gain = this.tensor(`${name}.weight`).values;
      const mean = row.reduce((sum, x) => sum + x * x, 0) / row.length;
      return row.map((x, i) => (x / Math.sqrt(mean + epsilon)) * gain[i]!);
    };
    /** Qwen3 normalizes each head; both then turn pairs half a head apart. */
    const turned = (row: Vector, position: number, count: number, norm: string) => {
      const out = new Float64Array(row.length);
      for (let head = 0; head < count; head++) {
        const raw = row.subarray(head * headSize, (head + 1) * headSize);
        const values = this.#tensors.has(`${norm}.weight`) ? normalize(raw, norm) : raw;
        out.set(rotate(values, position, this.#number("rope_theta")), head * headSize);
      }
      return out;
    };
    const embeddings = this.tensor("model.embed_tokens.weight");
    let rows = tokens.map((token) => rowOf(embeddings, token));
    for (let layer = 0; layer < this.#number("num_hidden_layers"); layer++) {
      const block = `model.layers.${layer}`;
      const attention = `${block}.self_attn`;
      const normal = rows.map((row) => normalize(row, `${block}.input_layernorm`));
      const attended = attend(
        normal.map((row, at) =>
          turned(project(row, `${attention}.q_proj`), at, heads, `${attention}.q_norm`),
        ),
        normal.map((row, at) =>
          turned(project(row, `${attention}.k_proj`), at, groups, `${attention}.k_norm`),
        ),
        normal.map((row) => project(row, `${attention}.v_proj`)),
        heads,
        groups,
      );
      rows = rows.map((row, at) => add(row, project(attended[at]!, `${attention}.o_proj`)));
      rows = rows.map((row) => {
        const inner = normalize(row, `${block}.post_attention_layernorm`);
        const up = project(inner, `${block}.mlp.up_proj`);
        const gated = project(inner, `${block}.mlp.gate_proj`).map(
          (x, i) => (x / (1 + Math.exp(-x))) * up[i]!,
        );
        return add(row, project(gated, `${block}.mlp.down_proj`));
      });
    }
    const head = this.configuration["tie_word_embeddings"]
      ? embeddings
      : this.tensor("lm_head.weight");
    return rows.map((row) => multiply(head, normalize(row, "model.norm")));
  }
}

const add = (a: Vector, b: Vector) => a.map((x, i) => x + b[i]!);

function rowOf({ shape, values }: Tensor, index: number): Vector {
  return values.slice(index * shape[1]!, (index + 1) * shape[1]!);
}

/** A matrix of outputs × inputs by a vector. */
function multiply({ shape, values }: Tensor, row: Vector): Vector {
  return Float64Array.from({ length: shape[0]! }, (_, output) =>
    row.reduce((sum, x, input) => sum + x * values[output * shape[1]! + input]!, 0),
  );
}

const geluNew = (x: number) =>
  0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));

function rotate(values: Vector, position: number, theta: number): Vector {
  const half = values.length / 2;
  return values.map((x, i) => {
    const angle = position * theta ** -((i % half) / half);
    const partner = i < half ? -values[i + half]! : values[i - half]!;
    return x * Math.cos(angle) + partner * Math.sin(angle);
  });
}

/** Causal attention; query heads share key and value heads in equal groups. */
function attend(
  queries: readonly Vector[],
  keys: readonly Vector[],
  values: readonly Vector[],
  heads: number,
  groups: number,
): Vector[] {
  const size = queries[0]!.length / heads;
  return queries.map((query, at) => {
    const out = new Float64Array(query.length);
    for (let head = 0; head < heads; head++) {
      const shared = Math.floor(head / (heads / groups)) * size;
      const own = query.subarray(head * size, (head + 1) * size);
      const scores = keys
        .slice(0, at + 1)
        .map((key) => own.reduce((sum, x, i) => sum + x * key[shared + i]!, 0) / Math.sqrt(size));
      const highest = Math.max(...scores);
      const weights = scores.map((score) => Math.exp(score - highest));
      const total = weights.reduce((sum, weight) => sum + weight, 0);
      for (let i = 0; i < size; i++)
        out[head * size + i] = weights.reduce(
          (sum, weight, before) => sum + (weight / total) * values[before]![shared + i]!,
          0,
        );
    }
    return out;
  });
}
