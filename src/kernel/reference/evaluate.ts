import type { Call, OperationName } from "#src/kernel/contract.ts";
import { geluBackward, geluForward, swiglu, swigluBackward } from "./activation.ts";
import { type Arithmetic, binary64 } from "./arithmetic.ts";
import { attention, attentionBackward } from "./attention.ts";
import { embedding, embeddingBackward, positionBackward } from "./embedding.ts";
import { headLoss, headLossGradient } from "./head.ts";
import { matmul } from "./matmul.ts";
import { addRows, copyRows, fill } from "./movement.ts";
import {
  layernorm,
  layernormBackward,
  layernormBackwardParameters,
  rmsnorm,
  rmsnormBackward,
  rmsnormBackwardParameters,
} from "./norm.ts";
import { type Buffer, type Evaluation, Operands } from "./operands.ts";
import { adam, applyDirection, clipScale, lambDirection, sgd, trustRatio } from "./optimizer.ts";
import { dropout, initNormal } from "./random.ts";
import { argmax, columnSum, countNonfinite, sum, sumSquares } from "./reduction.ts";
import { rope } from "./rope.ts";

/** Every operation of the contract as docs/NUMERICS.md writes it. */
const evaluations: Readonly<Record<OperationName, Evaluation>> = {
  embedding,
  embedding_backward: embeddingBackward,
  position_backward: positionBackward,
  matmul,
  column_sum: columnSum,
  layernorm,
  layernorm_backward: layernormBackward,
  layernorm_backward_parameters: layernormBackwardParameters,
  rmsnorm,
  rmsnorm_backward: rmsnormBackward,
  rmsnorm_backward_parameters: rmsnormBackwardParameters,
  rope,
  attention,
  attention_backward: attentionBackward,
  gelu: geluForward,
  gelu_backward: geluBackward,
  swiglu,
  swiglu_backward: swigluBackward,
  dropout,
  add: addRows,
  copy: copyRows,
  fill,
  head_loss: headLoss,
  head_loss_gradient: headLossGradient,
  sum,
  sum_squares: sumSquares,
  clip_scale: clipScale,
  sgd,
  adam,
  lamb_direction: lambDirection,
  apply_direction: applyDirection,
  trust_ratio: trustRatio,
  init_normal: initNormal,
  count_nonfinite: countNonfinite,
  argmax,
};

/** Runs one call in the given number system; `buffers` start at their argument's first element. */
export function evaluate(
  arithmetic: Arithmetic,
  call: Call,
  buffers: readonly (Buffer | null)[],
): void {
  evaluations[call.operation](arithmetic, new Operands(call, buffers));
}

/** Runs one call in doubles, for error bounds and finite differences; places of the call are not read. */
export function evaluateCall(
  call: Call,
  buffers64: readonly (Float64Array | Int32Array | null)[],
): void {
  evaluate(binary64, call, buffers64);
}
