import * as v from "valibot";
import { Refusal } from "#src/refusal/refusal.ts";

/**
 * The shape of a decoder language model. `gpt2`: learned positions, LayerNorm, GELU, tied head.
 * `llama`: RoPE, RMSNorm, SwiGLU, grouped heads. `qwen3`: llama plus an RMSNorm on every query and
 * key head.
 */
export const styles = ["gpt2", "llama", "qwen3"] as const;

const extent = (maximum: number, description: string) =>
  v.pipe(
    v.number(),
    v.integer("must be a whole number"),
    v.minValue(1, "must be at least 1"),
    v.maxValue(maximum, `must be at most ${maximum}`),
    v.description(description),
  );

const fraction = (description: string) =>
  v.pipe(
    v.number(),
    v.minValue(0, "must not be negative"),
    v.ltValue(1, "must be below 1"),
    v.description(description),
  );

const positive = (description: string) =>
  v.pipe(v.number(), v.finite(), v.gtValue(0, "must be above 0"), v.description(description));

export const modelConfigurationSchema = v.strictObject({
  style: v.picklist(styles),
  layers: extent(1_000, "transformer blocks"),
  width: extent(65_536, "elements of a token's vector"),
  heads: extent(1_024, "query heads"),
  groups: extent(1_024, "key and value heads; divides heads"),
  headSize: extent(1_024, "elements of a head"),
  feedForward: extent(1_048_576, "hidden elements of the feed-forward part"),
  contextLength: extent(1_048_576, "longest sequence in tokens"),
  vocabularySize: extent(1_048_576, "tokens known to the model"),
  tied: v.pipe(v.boolean(), v.description("the head shares the embedding's weights")),
  biases: v.pipe(v.boolean(), v.description("biases in linears and norms (gpt2 only)")),
  dropout: fraction("share of activations dropped in training"),
  normEpsilon: positive("added to a norm's variance"),
  ropeTheta: positive("base of the rotary frequencies (llama, qwen3)"),
  deviation: positive(
    "standard deviation of initial weights; residual projections are scaled down",
  ),
});

export type ModelConfiguration = Readonly<v.InferOutput<typeof modelConfigurationSchema>>;

/** What must be said; the rest follows from the style and can be set too. */
export type ModelRequest = Partial<ModelConfiguration> &
  Pick<ModelConfiguration, "layers" | "width" | "heads" | "vocabularySize" | "contextLength">;

/**
 * Fills what a request leaves open and checks the result.
 * Refuses with `model_invalid` where a size is absurd or sizes do not fit together.
 */
export function configureModel(request: ModelRequest): ModelConfiguration {
  const style = request.style ?? "gpt2";
  const gpt2 = style === "gpt2";
  const candidate = {
    style,
    groups: request.heads,
    headSize: request.heads > 0 ? request.width / request.heads : 0,
    feedForward: gpt2 ? 4 * request.width : 32 * Math.ceil((request.width * 8) / 3 / 32),
    tied: true,
    biases: gpt2,
    dropout: 0,
    normEpsilon: gpt2 ? 1e-5 : 1e-6,
    ropeTheta: 10_000,
    deviation: 0.02,
    ...Object.fromEntries(Object.entries(request).filter(([, value]) => value !== undefined)),
  };
  if (request.headSize === undefined && !Number.isInteger(candidate.headSize)) {
    refuse("heads", `${request.heads} heads do not divide the width ${request.width}`);
  }
  return checkModel(candidate);
}

/** Checks a complete configuration, from a file or a request. Refuses with `model_invalid`. */
export function checkModel(candidate: unknown): ModelConfiguration {
  const parsed = v.safeParse(modelConfigurationSchema, candidate);
  if (!parsed.success) {
    const issue = parsed.issues[0];
    const path = v.getDotPath(issue) ?? "model";
    refuse(path, `${path} ${issue.message}`);
  }
  const model = parsed.output;
  if (model.heads % model.groups !== 0) {
    refuse("groups", `${model.groups} key/value heads do not divide ${model.heads} heads`);
  }
  if (model.style === "gpt2") {
    if (model.groups !== model.heads) {
      refuse("groups", "the gpt2 style has one key/value head per head");
    }
    if (model.heads * model.headSize !== model.width) {
      refuse("headSize", "in the gpt2 style heads times headSize is the width");
    }
  } else {
    if (model.headSize % 2 !== 0) {
      refuse("headSize", `rotary positions need an even headSize, not ${model.headSize}`);
    }
    if (model.biases) refuse("biases", `the ${model.style} style has no biases`);
  }
  return model;
}

/** True when queries and keys are normalised per head. */
export function hasQueryKeyNorm(model: ModelConfiguration): boolean {
  return model.style === "qwen3";
}

function refuse(field: string, message: string): never {
  throw new Refusal(
    "model_invalid",
    `This model cannot be built: ${message}.`,
    "Change that size, or start from a --size and override less.",
    { field },
  );
}
