import type { Call, ElementType } from "#src/kernel/contract.ts";
import type { Digest } from "#src/codec/digest.ts";

/** What a memory space holds; the trainer saves `parameters`, `first` and `second` in checkpoints. */
export type SpaceName =
  | "parameters"
  | "gradients"
  | "first"
  | "second"
  | "activations"
  | "inputs"
  | "constants"
  | "cache";

export interface Space {
  readonly name: SpaceName;
  readonly sizeBytes: number;
}

/** A named tensor the host reads or writes, or a checkpoint stores. Row-major. */
export interface PlannedTensor {
  /** Parameters carry their Hugging Face name (`model.layers.0.self_attn.q_proj.weight` …) or our fused one. */
  readonly name: string;
  readonly space: SpaceName;
  readonly offsetBytes: number;
  readonly shape: readonly number[];
  readonly type: ElementType;
}

/**
 * A stretch of calls with one purpose. Training plans have, in this order:
 * `initialise` (fill parameters and moments from the seed), `gradient` (forward and backward of one
 * micro-batch, gradients overwritten), `accumulate` (the same, gradients added; present when there is
 * more than one micro-batch), `norm` (gradient norm and clip scale), `update` (optimizer; then the
 * parameter and update norms), `evaluate` (forward only: losses and predictions).
 * Decoding plans have `decode` (one token) and may have `prefill` (a block of tokens).
 */
export type PhaseName =
  "initialise" | "gradient" | "accumulate" | "norm" | "update" | "evaluate" | "decode" | "prefill";

export interface Phase {
  readonly name: PhaseName;
  /** Calls [from, to). */
  readonly from: number;
  readonly to: number;
}

export interface Plan {
  readonly spaces: readonly Space[];
  readonly calls: readonly Call[];
  readonly phases: readonly Phase[];
  /** Parameters in manifest order: the order of digests and checkpoints. */
  readonly parameters: readonly PlannedTensor[];
  /**
   * What the host writes before and reads after a phase. Training: `tokens`, `targets` (i32, batch·context),
   * `lossScale` (f32[1]), `randomState` (i32[4]), `hyper.<group>` (f32[16]); `losses` (f32, batch·context),
   * `lossSum` (f32[1]), `clip` (f32[2]: norm, scale), `parameterSquares`, `updateSquares` (f32[1]),
   * `evaluate.tokens`, `evaluate.targets`, `evaluate.losses`, `evaluate.lossSum`, `evaluate.predictions` (i32).
   * Decoding: `tokens` (i32, rows of a prefill block; `decode` reads the first), `position` (i32[1]: that of
   * the first token), `logits` (f32, vocabulary: of the last row).
   * `randomState` must differ between the micro-batches of a step, or they drop the same elements. Gradients
   * and moments lie where the parameters lie in their space; frozen ones have none and the others close up.
   */
  readonly inputs: readonly PlannedTensor[];
  /** Tables the host computes once (RoPE): values are written to the tensor before the first phase. */
  readonly constants: readonly { readonly tensor: PlannedTensor; readonly values: Float32Array }[];
  /** Label of each call for people (`layers.3.attention`), same length as `calls`. */
  readonly labels: readonly string[];
  /** SHA-256 of the canonical form of all of the above except labels. */
  readonly digest: Digest;
}
