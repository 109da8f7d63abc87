import type { OperationName } from "#src/kernel/contract.ts";

export interface Tolerance {
  /** Largest difference from doubles, in units of 2⁻²⁴ times the output's largest magnitude (at least 1). */
  readonly units: number;
  readonly reason: string;
}

const tolerance = (units: number, reason: string): Tolerance => ({ units, reason });

/**
 * How far `exact/1` may lie from the same formulas in doubles, on operands around one. Bits are the
 * suite's business; this says that what all backends agree on is also right. Each bound is about four
 * times the worst of the drawn cases, far below the worst the reason's count of roundings allows.
 */
export const tolerances: Readonly<Record<OperationName, Tolerance>> = {
  embedding: tolerance(1, "one addition"),
  embedding_backward: tolerance(16, "tokens repeat: a running sum per row"),
  position_backward: tolerance(16, "chunked sums over the batch"),
  matmul: tolerance(32, "a chain of up to 512 roundings per chunk, then GELU's slope"),
  column_sum: tolerance(32, "chains of up to 512 additions, up to 12,289 rows"),
  layernorm: tolerance(2048, "a short row may have almost no variance: rstd magnifies"),
  layernorm_backward: tolerance(16, "differences of means, times rstd"),
  layernorm_backward_parameters: tolerance(32, "chains of up to 512 products"),
  rmsnorm: tolerance(8, "mean square, root, quotient, two products"),
  rmsnorm_backward: tolerance(16, "a dot product of the row, times rstd"),
  rmsnorm_backward_parameters: tolerance(32, "chains of up to 512 products"),
  rope: tolerance(4, "one product and one fused operation"),
  attention: tolerance(16, "scores enter an exponential; sums over up to 1,025 keys"),
  attention_backward: tolerance(64, "differences of dot products, summed over queries"),
  gelu: tolerance(8, "the gate's error times x"),
  gelu_backward: tolerance(8, "1 − gate cancels, times x and the inner slope"),
  swiglu: tolerance(8, "sigmoid and two products"),
  swiglu_backward: tolerance(8, "sigmoid's slope and three products"),
  dropout: tolerance(2, "one product, one addition"),
  add: tolerance(1, "one addition"),
  copy: tolerance(0, "nothing is computed"),
  fill: tolerance(0, "nothing is computed"),
  head_loss: tolerance(32, "logits enter an exponential, the sum a logarithm"),
  head_loss_gradient: tolerance(64, "chains over rows and vocabulary"),
  sum: tolerance(64, "lanes of up to 256 additions per block"),
  sum_squares: tolerance(16, "lanes of up to 256 products per block"),
  clip_scale: tolerance(2, "a root and a quotient"),
  sgd: tolerance(16, "two fused operations; partial sums of 4,096 squares"),
  adam: tolerance(32, "a quotient whose denominator may be as small as ε"),
  lamb_direction: tolerance(16, "a quotient whose denominator may be as small as ε"),
  apply_direction: tolerance(16, "one fused operation; partial sums of 4,096 squares"),
  trust_ratio: tolerance(8, "two roots and a quotient"),
  init_normal: tolerance(8, "logarithm, root and angle of one turn"),
  count_nonfinite: tolerance(0, "a count"),
  argmax: tolerance(0, "an index"),
};
