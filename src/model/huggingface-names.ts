import type { ModelConfiguration } from "./configuration.ts";
import { declareParameters, fusedAttentionRows, namesOf } from "./parameters.ts";

/**
 * How one tensor of a Hugging Face file lies in one of our parameters: rows
 * [fromRow, fromRow + rows) of it, transposed where Hugging Face stores inputs × outputs.
 */
export interface TensorMapping {
  readonly name: string;
  /** As Hugging Face stores it. */
  readonly shape: readonly number[];
  /** Null: our model has no such parameter and the file gets zeros (biases GPT-2 insists on). */
  readonly parameter: string | null;
  readonly fromRow: number;
  readonly rows: number;
  readonly transposed: boolean;
}

/** Every tensor of the model's Hugging Face file, in the order it is written. */
export function mapTensors(model: ModelConfiguration): TensorMapping[] {
  const fused = fusedParts(model);
  const mapped = declareParameters(model).flatMap(({ name, shape }): TensorMapping[] => {
    const rows = shape.length === 2 ? shape[0]! : 1;
    const parts = [...fused].find(([suffix]) => name.endsWith(suffix))?.[1];
    if (parts) return splitRows(name, shape[1]!, parts);
    const transposed = model.style === "gpt2" && /\.(c_attn|c_proj|c_fc)\.weight$/.test(name);
    const stored = transposed ? [shape[1]!, shape[0]!] : shape;
    return [{ name, shape: stored, parameter: name, fromRow: 0, rows, transposed }];
  });
  return model.style === "gpt2" && !model.biases ? [...mapped, ...zeroBiases(model)] : mapped;
}

interface Part {
  readonly name: string;
  readonly rows: number;
}

/** Our fused projections by the end of their names, and the projections they hold, top to bottom. */
function fusedParts(model: ModelConfiguration): Map<string, readonly Part[]> {
  if (model.style === "gpt2") return new Map();
  const { heads, groups, headSize, feedForward } = model;
  const name = namesOf(model);
  return new Map([
    [
      `${name.queryKeyValue}.weight`,
      [
        { name: "self_attn.q_proj.weight", rows: heads * headSize },
        { name: "self_attn.k_proj.weight", rows: groups * headSize },
        { name: "self_attn.v_proj.weight", rows: groups * headSize },
      ],
    ],
    [
      `${name.feedForwardIn}.weight`,
      [
        { name: "mlp.gate_proj.weight", rows: feedForward },
        { name: "mlp.up_proj.weight", rows: feedForward },
      ],
    ],
  ]);
}

function splitRows(parameter: string, columns: number, parts: readonly Part[]): TensorMapping[] {
  const block = /^(.*?\.\d+\.)/.exec(parameter)?.[1] ?? "";
  let fromRow = 0;
  return parts.map(({ name, rows }) => {
    const mapping = {
      name: block + name,
      shape: [rows, columns],
      parameter,
      fromRow,
      rows,
      transposed: false,
    };
    fromRow += rows;
    return mapping;
  });
}

function zeroBiases(model: ModelConfiguration): TensorMapping[] {
  const { width, feedForward, layers } = model;
  const zero = (name: string, columns: number): TensorMapping => ({
    name: `${name}.bias`,
    shape: [columns],
    parameter: null,
    fromRow: 0,
    rows: 1,
    transposed: false,
  });
  const name = namesOf(model);
  const blocks = Array.from({ length: layers }, (_, layer) => {
    const block = name.block(layer);
    return [
      zero(block + name.attentionNorm, width),
      zero(block + name.queryKeyValue, fusedAttentionRows(model)),
      zero(block + name.attentionOut, width),
      zero(block + name.feedForwardNorm, width),
      zero(block + name.feedForwardIn, feedForward),
      zero(block + name.feedForwardOut, width),
    ];
  });
  return [...blocks.flat(), zero(name.norm, width)];
}

/** Names a file may carry that hold nothing of ours: buffers of old GPT-2 files, and tied heads. */
export function isIgnored(name: string, model: ModelConfiguration): boolean {
  if (/\.attn\.(bias|masked_bias)$/.test(name) || name.endsWith("rotary_emb.inv_freq")) return true;
  return model.tied && name === "lm_head.weight";
}
