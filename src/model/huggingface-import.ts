import * as v from "valibot";
import {
  parseSafetensorsHeader,
  safetensorsHeaderLength,
  type SafetensorsEntry,
} from "#src/codec/safetensors.ts";
import { elementsOf } from "#src/graph/parameters.ts";
import type { Disk } from "#src/port/disk.ts";
import { assert, Refusal } from "#src/refusal/refusal.ts";
import type { ModelConfiguration } from "./configuration.ts";
import { fromHuggingFaceConfig } from "./huggingface-config.ts";
import { transpose } from "./huggingface-export.ts";
import { isIgnored, mapTensors, type TensorMapping } from "./huggingface-names.ts";
import { declareParameters } from "./parameters.ts";

/** A model directory, opened: its shape is known and checked, its weights are read on demand. */
export interface HuggingFaceModel {
  readonly model: ModelConfiguration;
  /** Little-endian float32 bytes of one of our parameters, converted from the file's type. */
  read(parameter: string): Promise<Uint8Array>;
}

/** Longest JSON file taken from a model directory. */
const maximumJsonBytes = 16 * 1024 * 1024;
const maximumShards = 1_000;

interface StoredTensor extends SafetensorsEntry {
  readonly path: string;
}

/**
 * Opens a Hugging Face directory (model.safetensors, or shards with their index). Refuses with
 * `model_mismatch` what does not fit the configuration, with `safetensors_wrong` a broken file.
 */
export async function openHuggingFace(directory: string, disk: Disk): Promise<HuggingFaceModel> {
  const model = fromHuggingFaceConfig(await readJson(`${directory}/config.json`, disk));
  const stored = new Map<string, StoredTensor>();
  for (const path of await weightFiles(directory, disk)) {
    for (const entry of await readEntries(path, disk)) {
      if (stored.has(entry.name)) refuse(`${entry.name} is in two files`, entry.name);
      stored.set(entry.name, { ...entry, path });
    }
  }
  addPrefix(stored, model);
  const mappings = mapTensors(model);
  checkTensors(mappings, stored, model);
  const shapes = new Map(declareParameters(model).map(({ name, shape }) => [name, shape]));
  return {
    model,
    async read(parameter) {
      const shape = shapes.get(parameter);
      assert(shape, `the model has no parameter ${parameter}`);
      const bytes = new Uint8Array(4 * elementsOf(shape));
      const columns = shape[shape.length - 1]!;
      for (const mapping of mappings) {
        if (mapping.parameter !== parameter) continue;
        const part = await readFloats(stored.get(mapping.name)!, disk);
        const rows = mapping.transposed
          ? transpose(part, mapping.shape[0]!, mapping.shape[1]!)
          : part;
        bytes.set(rows, mapping.fromRow * columns * 4);
      }
      return bytes;
    },
  };
}

async function readJson(path: string, disk: Disk): Promise<string> {
  const entry = await disk.stat(path);
  if (entry && entry.sizeBytes > maximumJsonBytes) refuse(`${path} has ${entry.sizeBytes} bytes`);
  return disk.readText(path);
}

const indexSchema = v.object({ weight_map: v.record(v.string(), v.string()) });

/** The one file, or the shards an index names; a shard is a plain file name in the directory. */
async function weightFiles(directory: string, disk: Disk): Promise<string[]> {
  const single = `${directory}/model.safetensors`;
  if (await disk.stat(single)) return [single];
  const text = await readJson(`${single}.index.json`, disk);
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    refuse("the shard index is not JSON");
  }
  const index = v.safeParse(indexSchema, parsed);
  if (!index.success) refuse("the shard index has no weight_map");
  const names = [...new Set(Object.values(index.output.weight_map))].sort();
  if (names.length > maximumShards) refuse(`the index names ${names.length} shards`);
  for (const name of names) {
    if (!/^[\w.-]+\.safetensors$/.test(name))
      refuse(`the index names the file ${JSON.stringify(name)}`);
  }
  return names.map((name) => `${directory}/${name}`);
}

async function readEntries(path: string, disk: Disk): Promise<readonly SafetensorsEntry[]> {
  const stat = await disk.stat(path);
  if (!stat) refuse(`${path} is missing`);
  const first = await disk.readRange(path, 0, 8);
  const length = safetensorsHeaderLength(first, stat.sizeBytes);
  const json = await disk.readRange(path, 8, length);
  return parseSafetensorsHeader(json, stat.sizeBytes).entries;
}

/** The original GPT-2 files name tensors without `transformer.` in front. */
function addPrefix(stored: Map<string, StoredTensor>, model: ModelConfiguration): void {
  if (model.style !== "gpt2" || !stored.has("wte.weight")) return;
  for (const [name, tensor] of [...stored]) {
    stored.delete(name);
    stored.set(name === "lm_head.weight" ? name : `transformer.${name}`, tensor);
  }
}

function checkTensors(
  mappings: readonly TensorMapping[],
  stored: ReadonlyMap<string, StoredTensor>,
  model: ModelConfiguration,
): void {
  const expected = new Map(mappings.map((mapping) => [mapping.name, mapping]));
  for (const { name, shape } of mappings) {
    const found = stored.get(name);
    if (!found) refuse(`tensor ${name} is missing`, name);
    if (found.shape.join() !== shape.join()) {
      refuse(`tensor ${name} is [${found.shape.join(", ")}], not [${shape.join(", ")}]`, name);
    }
    if (!["F32", "F16", "BF16"].includes(found.type))
      refuse(`tensor ${name} is of type ${found.type}`, name);
  }
  for (const name of stored.keys()) {
    if (!expected.has(name) && !isIgnored(name, model)) refuse(`tensor ${name} is unknown`, name);
  }
}

/** A stored tensor as float32 bytes; F16 and BF16 convert without loss. */
async function readFloats(tensor: StoredTensor, disk: Disk): Promise<Uint8Array> {
  const bytes = await disk.readRange(tensor.path, tensor.offsetBytes, tensor.sizeBytes);
  if (bytes.byteLength !== tensor.sizeBytes)
    refuse(`${tensor.path} became shorter while it was read`);
  if (tensor.type === "F32") return bytes;
  const halves = new Uint16Array(bytes.slice().buffer);
  if (tensor.type === "BF16") {
    const words = Uint32Array.from(halves, (half) => half << 16);
    return new Uint8Array(words.buffer);
  }
  return new Uint8Array(Float32Array.from(new Float16Array(halves.buffer)).buffer);
}

function refuse(reason: string, tensor?: string): never {
  throw new Refusal(
    "model_mismatch",
    `This model directory cannot be read: ${reason}.`,
    "Get the directory again from its source, with all its files.",
    tensor === undefined ? {} : { tensor },
  );
}
