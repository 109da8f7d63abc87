import type { ParameterDeclaration, ParameterKind } from "#src/graph/parameters.ts";
import { hasQueryKeyNorm, type ModelConfiguration } from "./configuration.ts";

/** Names of the parameters of one block, and of what stands before and after the blocks. */
export const names = {
  gpt2: {
    tokens: "transformer.wte.weight",
    positions: "transformer.wpe.weight",
    block: (layer: number) => `transformer.h.${layer}.`,
    attentionNorm: "ln_1",
    queryKeyValue: "attn.c_attn",
    attentionOut: "attn.c_proj",
    feedForwardNorm: "ln_2",
    feedForwardIn: "mlp.c_fc",
    feedForwardOut: "mlp.c_proj",
    norm: "transformer.ln_f",
  },
  llama: {
    tokens: "model.embed_tokens.weight",
    positions: null,
    block: (layer: number) => `model.layers.${layer}.`,
    attentionNorm: "input_layernorm",
    queryKeyValue: "self_attn.qkv_proj",
    attentionOut: "self_attn.o_proj",
    feedForwardNorm: "post_attention_layernorm",
    feedForwardIn: "mlp.gate_up_proj",
    feedForwardOut: "mlp.down_proj",
    norm: "model.norm",
  },
} as const;

export const queryNorm = "self_attn.q_norm";
export const keyNorm = "self_attn.k_norm";
export const headName = "lm_head.weight";

export const namesOf = (model: ModelConfiguration) =>
  model.style === "gpt2" ? names.gpt2 : names.llama;

/** Rows of the fused projection: all query heads, then all key heads, then all value heads. */
export function fusedAttentionRows({ heads, groups, headSize }: ModelConfiguration): number {
  return (heads + 2 * groups) * headSize;
}

/** Rows of the projection into the feed-forward part: gate and up side by side where there is a gate. */
function feedForwardRows({ style, feedForward }: ModelConfiguration): number {
  return style === "gpt2" ? feedForward : 2 * feedForward;
}

/** Every parameter of a model in building order. Weights are stored outputs × inputs. */
export function declareParameters(model: ModelConfiguration): ParameterDeclaration[] {
  const { style, layers, width, heads, headSize, feedForward, deviation } = model;
  const name = namesOf(model);
  const list: ParameterDeclaration[] = [];
  const normal = (
    kind: ParameterKind,
    path: string,
    rows: number,
    columns: number,
    spread = deviation,
  ) =>
    list.push({
      name: path,
      shape: [rows, columns],
      kind,
      initial: { kind: "normal", deviation: spread },
    });
  const vector = (path: string, columns: number, value: number) =>
    list.push({
      name: path,
      shape: [columns],
      kind: "vector",
      initial: { kind: "constant", value },
    });
  const norm = (path: string, columns: number) => {
    vector(`${path}.weight`, columns, 1);
    if (style === "gpt2" && model.biases) vector(`${path}.bias`, columns, 0);
  };
  const project = (path: string, rows: number, columns: number, spread?: number) => {
    normal("matrix", `${path}.weight`, rows, columns, spread);
    if (model.biases) vector(`${path}.bias`, rows, 0);
  };
  // Projections into the residual stream start smaller, so that depth does not inflate it (GPT-2).
  const residual = deviation / Math.sqrt(2 * layers);
  normal("embedding", name.tokens, model.vocabularySize, width);
  if (name.positions) normal("embedding", name.positions, model.contextLength, width);
  for (let layer = 0; layer < layers; layer++) {
    const block = name.block(layer);
    norm(block + name.attentionNorm, width);
    project(block + name.queryKeyValue, fusedAttentionRows(model), width);
    if (hasQueryKeyNorm(model)) {
      norm(block + queryNorm, headSize);
      norm(block + keyNorm, headSize);
    }
    project(block + name.attentionOut, width, heads * headSize, residual);
    norm(block + name.feedForwardNorm, width);
    project(block + name.feedForwardIn, feedForwardRows(model), width);
    project(block + name.feedForwardOut, width, feedForward, residual);
  }
  norm(name.norm, width);
  if (!model.tied) normal("matrix", headName, model.vocabularySize, width);
  return list;
}
