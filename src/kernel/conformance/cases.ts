import { type OperationName, operations } from "#src/kernel/contract.ts";
import { attentionBackwardCase, attentionCase } from "./attention-cases.ts";
import { CaseBuilder, type ConformanceCase } from "./case-builder.ts";
import { Draw } from "./draw.ts";
import { headLossCase, headLossGradientCase } from "./head-cases.ts";
import * as layer from "./layer-cases.ts";
import * as optimizer from "./optimizer-cases.ts";
import * as pointwise from "./pointwise-cases.ts";

const drawers: Readonly<Record<OperationName, layer.CaseDrawer>> = {
  embedding: layer.embeddingCase,
  embedding_backward: layer.embeddingBackwardCase,
  position_backward: layer.positionBackwardCase,
  matmul: layer.matmulCase,
  column_sum: layer.columnSumCase,
  layernorm: layer.layernormCase,
  layernorm_backward: layer.layernormBackwardCase,
  layernorm_backward_parameters: layer.layernormBackwardParametersCase,
  rmsnorm: layer.rmsnormCase,
  rmsnorm_backward: layer.rmsnormBackwardCase,
  rmsnorm_backward_parameters: layer.rmsnormBackwardParametersCase,
  rope: layer.ropeCase,
  attention: attentionCase,
  attention_backward: attentionBackwardCase,
  gelu: pointwise.geluCase,
  gelu_backward: pointwise.geluBackwardCase,
  swiglu: pointwise.swigluCase,
  swiglu_backward: pointwise.swigluBackwardCase,
  dropout: pointwise.dropoutCase,
  add: pointwise.addCase,
  copy: pointwise.copyCase,
  fill: pointwise.fillCase,
  head_loss: headLossCase,
  head_loss_gradient: headLossGradientCase,
  sum: pointwise.sumCase,
  sum_squares: pointwise.sumCase,
  clip_scale: optimizer.clipScaleCase,
  sgd: optimizer.sgdCase,
  adam: optimizer.adamCase,
  lamb_direction: optimizer.lambDirectionCase,
  apply_direction: optimizer.applyDirectionCase,
  trust_ratio: optimizer.trustRatioCase,
  init_normal: pointwise.initNormalCase,
  count_nonfinite: pointwise.countNonfiniteCase,
  argmax: pointwise.argmaxCase,
};

export const operationNames = Object.keys(operations) as readonly OperationName[];

/**
 * Draws one call of an operation with the contents of its memory. The same operation and seed give
 * the same case anywhere. `ordinaryOnly` keeps every value around one, for comparisons by tolerance.
 */
export function caseFor(
  operation: OperationName,
  seed: number,
  options: { readonly ordinaryOnly?: boolean } = {},
): ConformanceCase {
  const draw = new Draw(operations[operation].code, seed);
  const builder = new CaseBuilder(operation, seed, draw, options.ordinaryOnly ?? false);
  drawers[operation](builder);
  return builder.finish();
}
