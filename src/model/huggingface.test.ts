import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { safetensorsHead, type SafetensorsTensor } from "#src/codec/safetensors.ts";
import { machineDisk as disk } from "#src/node/disk.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { configureModel, type ModelConfiguration, type ModelRequest } from "./configuration.ts";
import { exportHuggingFace } from "./huggingface-export.ts";
import { openHuggingFace } from "./huggingface-import.ts";
import { mapTensors } from "./huggingface-names.ts";
import { declareParameters } from "./parameters.ts";

let directory = "";
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "psionic-huggingface-"));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const small: ModelRequest = { layers: 2, width: 12, heads: 2, vocabularySize: 9, contextLength: 6 };
const models: Record<string, ModelConfiguration> = {
  gpt2: configureModel(small),
  "gpt2 untied": configureModel({ ...small, tied: false }),
  llama: configureModel({ ...small, style: "llama", groups: 1, tied: false, ropeTheta: 500_000 }),
  qwen3: configureModel({ ...small, style: "qwen3", headSize: 8, feedForward: 20 }),
};

/** Distinct values in every element of every parameter. */
function fillParameters(model: ModelConfiguration): Map<string, Uint8Array> {
  let next = 0;
  return new Map(
    declareParameters(model).map(({ name, shape }) => {
      const count = shape.reduce((product, extent) => product * extent, 1);
      const values = Float32Array.from({ length: count }, () => ++next / 8);
      return [name, new Uint8Array(values.buffer)];
    }),
  );
}

async function exported(model: ModelConfiguration): Promise<Map<string, Uint8Array>> {
  const parameters = fillParameters(model);
  await exportHuggingFace({
    model,
    read: (name, from, length) => parameters.get(name)!.subarray(from, from + length),
    tokenizerFiles: { "tokenizer.json": "{}", "chat_template.jinja": "{{ messages }}" },
    tokens: { eosTokenIds: [0] },
    directory,
    disk,
  });
  return parameters;
}

test("T-3 an export that was killed or refused half-way can be done again", async () => {
  const model = models["gpt2"]!;
  await writeFile(join(directory, "model.safetensors.partial"), "half");
  await exported(model);
  const failing = exportHuggingFace({
    model: models["qwen3"]!,
    read: () => {
      throw new Refusal("disk_full", "the disk is full", "");
    },
    tokenizerFiles: {},
    directory,
    disk,
  });
  expect(await failing.catch((error: Refusal) => error.code)).toBe("disk_full");
  const names = (await disk.list(directory)).map(({ name }) => name);
  expect(names).not.toContain("model.safetensors.partial");
  // What is there is not whole any more, and must not look as if it were.
  expect(names).not.toContain("config.json");
  await exported(model);
  expect((await openHuggingFace(directory, disk)).model).toEqual(model);
});

for (const [name, model] of Object.entries(models)) {
  test(`T-3 ${name} survives the way to a Hugging Face directory and back`, async () => {
    const parameters = await exported(model);
    const opened = await openHuggingFace(directory, disk);
    expect(opened.model).toEqual(model);
    for (const [parameter, bytes] of parameters)
      expect(await opened.read(parameter)).toEqual(bytes);
    expect(await readFile(join(directory, "tokenizer.json"), "utf8")).toBe("{}");
    const generation = JSON.parse(
      await readFile(join(directory, "generation_config.json"), "utf8"),
    );
    expect(generation.eos_token_id).toBe(0);
  });
}

test("T-3 the files carry Hugging Face's names and shapes", () => {
  const names = (model: ModelConfiguration) =>
    mapTensors(model).map(({ name, shape }) => `${name} ${shape.join("x")}`);
  expect(names(models["gpt2"]!).slice(0, 6)).toEqual([
    "transformer.wte.weight 9x12",
    "transformer.wpe.weight 6x12",
    "transformer.h.0.ln_1.weight 12",
    "transformer.h.0.ln_1.bias 12",
    "transformer.h.0.attn.c_attn.weight 12x36",
    "transformer.h.0.attn.c_attn.bias 36",
  ]);
  expect(names(models["qwen3"]!).slice(0, 12)).toEqual([
    "model.embed_tokens.weight 9x12",
    "model.layers.0.input_layernorm.weight 12",
    "model.layers.0.self_attn.q_proj.weight 16x12",
    "model.layers.0.self_attn.k_proj.weight 16x12",
    "model.layers.0.self_attn.v_proj.weight 16x12",
    "model.layers.0.self_attn.q_norm.weight 8",
    "model.layers.0.self_attn.k_norm.weight 8",
    "model.layers.0.self_attn.o_proj.weight 12x16",
    "model.layers.0.post_attention_layernorm.weight 12",
    "model.layers.0.mlp.gate_proj.weight 20x12",
    "model.layers.0.mlp.up_proj.weight 20x12",
    "model.layers.0.mlp.down_proj.weight 12x20",
  ]);
  expect(names(models["llama"]!).at(-1)).toBe("lm_head.weight 9x12");
});

test("T-3 GPT-2 without biases is written with zero biases, which is the same model", async () => {
  const model = configureModel({ ...small, biases: false });
  const parameters = await exported(model);
  const opened = await openHuggingFace(directory, disk);
  expect(opened.model.biases).toBe(true);
  for (const { name } of declareParameters(opened.model)) {
    const found = await opened.read(name);
    expect(found).toEqual(parameters.get(name) ?? new Uint8Array(found.byteLength));
  }
});

/** Writes the directory's weights anew, with some tensors changed, dropped or added. */
async function rewrite(
  change: (tensors: SafetensorsTensor[]) => SafetensorsTensor[],
): Promise<void> {
  const model = models["qwen3"]!;
  const tensors = change(
    mapTensors(model).map(({ name, shape }) => ({ name, shape, type: "F32" })),
  );
  const sizes = { F32: 4, BF16: 2, F16: 2, I32: 4 } as Record<string, number>;
  const bodies = tensors.map(
    ({ shape, type }) =>
      new Uint8Array(shape.reduce((product, extent) => product * extent, sizes[type]!)),
  );
  await writeFile(
    join(directory, "model.safetensors"),
    Buffer.concat([safetensorsHead(tensors), ...bodies]),
  );
}

async function refusalOf(): Promise<Refusal> {
  try {
    await openHuggingFace(directory, disk);
  } catch (error) {
    if (error instanceof Refusal) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}

describe("T-3 model directories that do not fit are refused", () => {
  beforeEach(async () => {
    await exported(models["qwen3"]!);
  });

  test("a missing tensor", async () => {
    await rewrite((tensors) => tensors.slice(1));
    expect((await refusalOf()).details).toEqual({ tensor: "model.embed_tokens.weight" });
  });

  test("a tensor of another shape", async () => {
    await rewrite(([first, ...rest]) => [{ ...first!, shape: [12, 9] }, ...rest]);
    expect((await refusalOf()).message).toContain("[12, 9], not [9, 12]");
  });

  test("an unknown tensor", async () => {
    await rewrite((tensors) => [...tensors, { name: "extra", shape: [1], type: "F32" }]);
    expect((await refusalOf()).message).toContain("extra is unknown");
  });

  test("a tensor of whole numbers", async () => {
    await rewrite(([first, ...rest]) => [{ ...first!, type: "I32" }, ...rest]);
    expect((await refusalOf()).message).toContain("of type I32");
  });

  test("a truncated file", async () => {
    const path = join(directory, "model.safetensors");
    await writeFile(path, (await readFile(path)).subarray(0, -4));
    expect((await refusalOf()).code).toBe("safetensors_wrong");
  });

  test("a shard outside the directory", async () => {
    await rm(join(directory, "model.safetensors"));
    const index = { weight_map: { a: "../../etc/model.safetensors" } };
    await writeFile(join(directory, "model.safetensors.index.json"), JSON.stringify(index));
    expect((await refusalOf()).message).toContain("the index names the file");
  });

  const edits: Record<string, [string, unknown, string]> = {
    "another architecture": ["model_type", "mamba", "model_type"],
    "attention biases": ["attention_bias", true, "attention_bias"],
    "scaled positions": ["rope_scaling", { rope_type: "yarn" }, "yarn"],
    "another activation": ["hidden_act", "relu", "hidden_act"],
    "heads that do not fit": ["num_key_value_heads", 5, "groups"],
  };
  for (const [name, [field, value, told]] of Object.entries(edits)) {
    test(name, async () => {
      const path = join(directory, "config.json");
      const config = JSON.parse(await readFile(path, "utf8"));
      await writeFile(path, JSON.stringify({ ...config, [field]: value }));
      const refusal = await refusalOf();
      expect(refusal.message + JSON.stringify(refusal.details)).toContain(told);
    });
  }
});

test("T-3 half-precision weights are read without loss, from shards", async () => {
  const model = models["llama"]!;
  const parameters = fillParameters(model);
  await exported(model);
  await rm(join(directory, "model.safetensors"));
  const source = new Map(mapTensors(model).map((mapping) => [mapping.name, mapping]));
  const weight_map: Record<string, string> = {};
  for (const [index, type] of (["BF16", "F16"] as const).entries()) {
    const file = `model-0000${index + 1}-of-00002.safetensors`;
    const names = [...source.keys()].filter((_, position) => position % 2 === index);
    const tensors = names.map((name) => ({ name, shape: source.get(name)!.shape, type }));
    const bodies = names.map((name) => {
      const { shape } = source.get(name)!;
      const count = shape.reduce((product, extent) => product * extent, 1);
      // 1.5 is exact in both types: 0x3fc0 and 0x3e00.
      return new Uint8Array(new Uint16Array(count).fill(type === "BF16" ? 0x3fc0 : 0x3e00).buffer);
    });
    await writeFile(join(directory, file), Buffer.concat([safetensorsHead(tensors), ...bodies]));
    for (const name of names) weight_map[name] = file;
  }
  await writeFile(join(directory, "model.safetensors.index.json"), JSON.stringify({ weight_map }));
  const opened = await openHuggingFace(directory, disk);
  for (const [name, bytes] of parameters) {
    const found = new Float32Array((await opened.read(name)).buffer);
    expect(found).toEqual(new Float32Array(bytes.byteLength / 4).fill(1.5));
  }
});
