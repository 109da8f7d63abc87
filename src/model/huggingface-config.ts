import * as v from "valibot";
import { Refusal } from "#src/refusal/refusal.ts";
import { configureModel, type ModelConfiguration } from "./configuration.ts";

/** Special tokens of the tokenizer that goes with the model. */
export interface SpecialTokens {
  readonly bosTokenId?: number;
  /** The first ends a document, further ones end a turn. */
  readonly eosTokenIds?: readonly number[];
}

const tokenFields = ({ bosTokenId, eosTokenIds = [] }: SpecialTokens) => ({
  bos_token_id: bosTokenId ?? null,
  eos_token_id: eosTokenIds.length > 1 ? eosTokenIds : (eosTokenIds[0] ?? null),
});

/** The content of config.json: every size said explicitly. */
export function toHuggingFaceConfig(model: ModelConfiguration, tokens: SpecialTokens = {}) {
  const shared = {
    ...tokenFields(tokens),
    vocab_size: model.vocabularySize,
    initializer_range: model.deviation,
    tie_word_embeddings: model.tied,
    torch_dtype: "float32",
    use_cache: true,
  };
  if (model.style === "gpt2") {
    return {
      model_type: "gpt2",
      architectures: ["GPT2LMHeadModel"],
      ...shared,
      n_positions: model.contextLength,
      n_embd: model.width,
      n_layer: model.layers,
      n_head: model.heads,
      n_inner: model.feedForward,
      activation_function: "gelu_new",
      layer_norm_epsilon: model.normEpsilon,
      embd_pdrop: model.dropout,
      resid_pdrop: model.dropout,
      attn_pdrop: 0,
    };
  }
  const qwen3 = model.style === "qwen3";
  return {
    model_type: model.style,
    architectures: [qwen3 ? "Qwen3ForCausalLM" : "LlamaForCausalLM"],
    ...shared,
    hidden_size: model.width,
    intermediate_size: model.feedForward,
    num_hidden_layers: model.layers,
    num_attention_heads: model.heads,
    num_key_value_heads: model.groups,
    head_dim: model.headSize,
    max_position_embeddings: model.contextLength,
    rms_norm_eps: model.normEpsilon,
    rope_theta: model.ropeTheta,
    rope_parameters: { rope_type: "default", rope_theta: model.ropeTheta },
    hidden_act: "silu",
    attention_bias: false,
    attention_dropout: 0,
    ...(qwen3 ? { use_sliding_window: false, sliding_window: null } : { mlp_bias: false }),
  };
}

/** The content of generation_config.json. */
export function toGenerationConfig(tokens: SpecialTokens = {}) {
  return { ...tokenFields(tokens), do_sample: true };
}

const size = v.pipe(v.number(), v.integer(), v.minValue(1));
const optionalSize = v.nullish(size);
const ropeSchema = v.nullish(
  v.object({
    rope_type: v.optional(v.string()),
    type: v.optional(v.string()),
    rope_theta: v.optional(v.number()),
  }),
);

const gpt2Schema = v.object({
  vocab_size: size,
  n_positions: size,
  n_embd: size,
  n_layer: size,
  n_head: size,
  n_inner: optionalSize,
  activation_function: v.optional(v.picklist(["gelu_new", "gelu_pytorch_tanh"]), "gelu_new"),
  layer_norm_epsilon: v.optional(v.number(), 1e-5),
  initializer_range: v.optional(v.number(), 0.02),
  tie_word_embeddings: v.optional(v.boolean(), true),
  scale_attn_by_inverse_layer_idx: v.optional(v.literal(false)),
});

const llamaSchema = v.object({
  vocab_size: size,
  hidden_size: size,
  intermediate_size: size,
  num_hidden_layers: size,
  num_attention_heads: size,
  num_key_value_heads: optionalSize,
  head_dim: optionalSize,
  max_position_embeddings: size,
  rms_norm_eps: v.optional(v.number(), 1e-6),
  rope_theta: v.nullish(v.number()),
  rope_parameters: ropeSchema,
  rope_scaling: ropeSchema,
  hidden_act: v.optional(v.literal("silu"), "silu"),
  attention_bias: v.optional(v.literal(false)),
  mlp_bias: v.optional(v.literal(false)),
  use_sliding_window: v.optional(v.literal(false)),
  initializer_range: v.optional(v.number(), 0.02),
  tie_word_embeddings: v.optional(v.boolean(), false),
});

/**
 * The model a config.json describes. Refuses with `model_mismatch` what we would compute
 * differently: another architecture or activation, biases, scaled rotary positions.
 */
export function fromHuggingFaceConfig(text: string): ModelConfiguration {
  let config: unknown;
  try {
    config = JSON.parse(text);
  } catch {
    refuse("config.json is not JSON");
  }
  const type = v.safeParse(
    v.object({ model_type: v.picklist(["gpt2", "llama", "qwen3"]) }),
    config,
  );
  if (!type.success) refuse("model_type is not gpt2, llama or qwen3");
  const style = type.output.model_type;
  if (style === "gpt2") {
    const gpt2 = check(gpt2Schema, config);
    return configureModel({
      style,
      vocabularySize: gpt2.vocab_size,
      contextLength: gpt2.n_positions,
      width: gpt2.n_embd,
      layers: gpt2.n_layer,
      heads: gpt2.n_head,
      feedForward: gpt2.n_inner ?? 4 * gpt2.n_embd,
      normEpsilon: gpt2.layer_norm_epsilon,
      deviation: gpt2.initializer_range,
      tied: gpt2.tie_word_embeddings,
      biases: true,
    });
  }
  const llama = check(llamaSchema, config);
  for (const rope of [llama.rope_scaling, llama.rope_parameters]) {
    const kind = rope?.rope_type ?? rope?.type ?? "default";
    if (kind !== "default") refuse(`rotary positions are scaled (${kind})`);
  }
  return configureModel({
    style,
    vocabularySize: llama.vocab_size,
    contextLength: llama.max_position_embeddings,
    width: llama.hidden_size,
    layers: llama.num_hidden_layers,
    heads: llama.num_attention_heads,
    groups: llama.num_key_value_heads ?? llama.num_attention_heads,
    headSize: llama.head_dim ?? llama.hidden_size / llama.num_attention_heads,
    feedForward: llama.intermediate_size,
    normEpsilon: llama.rms_norm_eps,
    ropeTheta: llama.rope_parameters?.rope_theta ?? llama.rope_theta ?? 10_000,
    deviation: llama.initializer_range,
    tied: llama.tie_word_embeddings,
  });
}

function check<S extends v.GenericSchema>(schema: S, config: unknown): v.InferOutput<S> {
  const parsed = v.safeParse(schema, config);
  if (parsed.success) return parsed.output;
  const [issue] = parsed.issues;
  return refuse(`${v.getDotPath(issue) ?? "config.json"}: ${issue.message}`);
}

function refuse(reason: string): never {
  throw new Refusal(
    "model_mismatch",
    `This model directory cannot be read: ${reason}.`,
    "Models of type gpt2, llama and qwen3 without extras can be read.",
  );
}
