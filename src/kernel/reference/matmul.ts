import { activation as activations } from "#src/kernel/contract.ts";
import { assert } from "#src/refusal/refusal.ts";
import { gelu, geluDerivative } from "./activation.ts";
import { dot, flushed } from "./chain.ts";
import type { Evaluation } from "./operands.ts";

/** out(M×N) = epilogue(op(a)(M×K)·op(b)(K×N)). */
export const matmul: Evaluation = (arithmetic, operands) => {
  const { add, multiply } = arithmetic;
  const M = operands.integer("M");
  const N = operands.integer("N");
  const K = operands.integer("K");
  const aStride = operands.integer("aStride");
  const bStride = operands.integer("bStride");
  const outStride = operands.integer("outStride");
  const auxiliaryStride = operands.integer("auxiliaryStride");
  const residualStride = operands.integer("residualStride");
  const transposeA = operands.integer("transposeA") !== 0;
  const transposeB = operands.integer("transposeB") !== 0;
  const accumulate = operands.integer("accumulate") !== 0;
  const activation = operands.integer("activation");
  const out = operands.floats("out");
  const bias = operands.optionalFloats("bias");
  const auxiliary = operands.optionalFloats("auxiliary");
  const residual = operands.optionalFloats("residual");
  assert(
    activation !== activations.geluBackward || auxiliary,
    "matmul geluBackward reads auxiliary",
  );

  const aRows = flushed(arithmetic, {
    source: operands.floats("a"),
    offset: 0,
    rows: M,
    columns: K,
    rowStride: transposeA ? 1 : aStride,
    columnStride: transposeA ? aStride : 1,
  });
  const bColumns = flushed(arithmetic, {
    source: operands.floats("b"),
    offset: 0,
    rows: N,
    columns: K,
    rowStride: transposeB ? bStride : 1,
    columnStride: transposeB ? 1 : bStride,
  });
  for (let m = 0; m < M; m++) {
    for (let n = 0; n < N; n++) {
      const old = accumulate ? out[m * outStride + n]! : null;
      let total = dot(arithmetic, aRows, m * K, bColumns, n * K, K, old);
      if (bias) total = add(total, bias[n]!);
      if (activation === activations.gelu) {
        if (auxiliary) auxiliary[m * auxiliaryStride + n] = total;
        total = gelu(arithmetic, total);
      } else if (activation === activations.geluBackward) {
        const before = auxiliary![m * auxiliaryStride + n]!;
        total = multiply(total, geluDerivative(arithmetic, before));
      }
      if (residual) total = add(residual[m * residualStride + n]!, total);
      out[m * outStride + n] = total;
    }
  }
};
