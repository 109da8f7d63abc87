import { describe, expect, test } from "bun:test";
import { philox } from "#src/codec/philox.ts";
import { activation, type Call, type OperationName, operations } from "#src/kernel/contract.ts";
import { evaluateCall } from "./evaluate.ts";

type Tensor = Float64Array | Int32Array;
type Numbers = Readonly<Record<string, number>>;

/** Evaluates an operation in doubles, everything by name; what is not named is absent or 0. */
function run(
  operation: OperationName,
  tensors: Readonly<Record<string, Tensor>>,
  integers: Numbers,
  floats: Numbers = {},
): void {
  const declared = operations[operation];
  const call: Call = {
    operation,
    arguments: [],
    integers: declared.integers.map((name) => integers[name] ?? 0),
    floats: declared.floats.map((name) => floats[name] ?? 0),
  };
  evaluateCall(
    call,
    declared.arguments.map(({ name }) => tensors[name] ?? null),
  );
}

let drawn = 0;
/** `count` fixed numbers around zero. */
function numbers(count: number, scale = 1): Float64Array {
  drawn += 1;
  const words = new Uint32Array(4);
  return Float64Array.from({ length: count }, (_, index) => {
    philox(1, 2).words(words, index, drawn, 0, 0);
    return (words[0]! / 2 ** 31 - 1) * scale;
  });
}
const zeros = (count: number): Float64Array => new Float64Array(count);

/** The loss whose gradient with respect to `out` is `weight`. */
const weighted = (out: Float64Array, weight: Float64Array): number =>
  out.reduce((sum, value, index) => sum + value * weight[index]!, 0);

/** Central differences with this step are good to about 1e-9 where values are around one. */
const step = 1e-5;
const tolerance = 2e-8;

/** Compares a gradient with central differences of `loss`, element by element of `x`. */
function expectGradient(x: Float64Array, gradient: Float64Array, loss: () => number): void {
  expect(gradient.length).toBe(x.length);
  const differences = x.map((value, index) => {
    x[index] = value + step;
    const above = loss();
    x[index] = value - step;
    const below = loss();
    x[index] = value;
    return (above - below) / (2 * step);
  });
  const largest = Math.max(1, ...differences.map(Math.abs));
  // A gradient of zeros would agree with a loss that does not depend on x: the cases never do that.
  expect(Math.max(...differences.map(Math.abs))).toBeGreaterThan(1e-3);
  for (const [index, value] of differences.entries()) {
    const error = Math.abs(gradient[index]! - value) / largest;
    if (!(error < tolerance)) {
      throw new Error(`element ${index}: gradient ${gradient[index]}, differences give ${value}`);
    }
  }
}

describe("T-2 gradients agree with finite differences in float64", () => {
  test("two matrix products with bias, GELU, auxiliary, residual, transposes and accumulation", () => {
    const [B, C, H] = [5, 4, 6];
    const x = numbers(B * C);
    const first = numbers(C * H);
    const bias = numbers(H);
    const second = numbers(C * H);
    const residual = numbers(B * C);
    const before = zeros(B * H);
    const hidden = zeros(B * H);
    const out = zeros(B * C);
    const weight = numbers(B * C);
    const loss = (): number => {
      run(
        "matmul",
        { a: x, b: first, out: hidden, bias, auxiliary: before },
        {
          ...{ M: B, N: H, K: C, aStride: C, bStride: H, outStride: H },
          ...{ activation: activation.gelu, auxiliaryStride: H },
        },
      );
      // The second weight is stored transposed, C×H.
      run(
        "matmul",
        { a: hidden, b: second, out, residual },
        {
          ...{ M: B, N: C, K: H, aStride: H, bStride: H, outStride: C },
          ...{ transposeB: 1, residualStride: C },
        },
      );
      return weighted(out, weight);
    };
    loss();
    const secondGradient = zeros(C * H);
    run(
      "matmul",
      { a: weight, b: hidden, out: secondGradient },
      { M: C, N: H, K: B, aStride: C, bStride: H, outStride: H, transposeA: 1 },
    );
    const beforeGradient = zeros(B * H);
    run(
      "matmul",
      { a: weight, b: second, out: beforeGradient, auxiliary: before },
      {
        ...{ M: B, N: H, K: C, aStride: C, bStride: H, outStride: H },
        ...{ activation: activation.geluBackward, auxiliaryStride: H },
      },
    );
    const firstGradient = numbers(C * H);
    const old = firstGradient.slice();
    run(
      "matmul",
      { a: x, b: beforeGradient, out: firstGradient },
      { M: C, N: H, K: B, aStride: C, bStride: H, outStride: H, transposeA: 1, accumulate: 1 },
    );
    const biasGradient = zeros(H);
    run(
      "column_sum",
      { x: beforeGradient, out: biasGradient },
      { rows: B, columns: H, xStride: H },
    );
    const xGradient = zeros(B * C);
    run(
      "matmul",
      { a: beforeGradient, b: first, out: xGradient },
      { M: B, N: C, K: H, aStride: H, bStride: H, outStride: C, transposeB: 1 },
    );
    expectGradient(second, secondGradient, loss);
    expectGradient(
      first,
      firstGradient.map((value, index) => value - old[index]!),
      loss,
    );
    expectGradient(bias, biasGradient, loss);
    expectGradient(x, xGradient, loss);
    expectGradient(residual, weight, loss);
  });

  test("gelu", () => {
    const count = 41;
    const x = numbers(count, 4);
    const weight = numbers(count);
    const y = zeros(count);
    const xGradient = zeros(count);
    run("gelu_backward", { yGradient: weight, x, xGradient }, { count });
    expectGradient(x, xGradient, () => {
      run("gelu", { x, y }, { count });
      return weighted(y, weight);
    });
  });

  test("swiglu", () => {
    const sizes = { rows: 3, columns: 5 };
    const x = numbers(30, 3);
    const weight = numbers(15);
    const y = zeros(15);
    const xGradient = zeros(30);
    run("swiglu_backward", { yGradient: weight, x, xGradient }, sizes);
    expectGradient(x, xGradient, () => {
      run("swiglu", { x, y }, sizes);
      return weighted(y, weight);
    });
  });

  test.each([true, false])("layernorm (shift present: %p)", (hasShift) => {
    const sizes = { rows: 4, columns: 7 };
    const x = numbers(28);
    const gain = numbers(7);
    const shift = numbers(7);
    const weight = numbers(28);
    const [y, mean, rstd] = [zeros(28), zeros(4), zeros(4)];
    const optionalShift: Record<string, Tensor> = hasShift ? { shift } : {};
    const loss = (): number => {
      run("layernorm", { x, gain, ...optionalShift, y, mean, rstd }, sizes, { epsilon: 1e-5 });
      return weighted(y, weight);
    };
    loss();
    const residual = numbers(28);
    const xGradient = zeros(28);
    run(
      "layernorm_backward",
      { yGradient: weight, x, gain, mean, rstd, residual, xGradient },
      sizes,
    );
    const [gainGradient, shiftGradient] = [zeros(7), zeros(7)];
    run(
      "layernorm_backward_parameters",
      { yGradient: weight, x, mean, rstd, gainGradient, ...(hasShift ? { shiftGradient } : {}) },
      sizes,
    );
    expectGradient(
      x,
      xGradient.map((value, index) => value - residual[index]!),
      loss,
    );
    expectGradient(gain, gainGradient, loss);
    if (hasShift) expectGradient(shift, shiftGradient, loss);
  });

  test("rmsnorm over grouped rows with strides, as query and key norms use it", () => {
    const [rows, columns, groups] = [6, 5, 2];
    const sizes = { rows, columns, groups };
    const [xStride, yStride] = [13, 10];
    const x = numbers(2 * xStride + 10);
    const gain = numbers(columns);
    const weight = numbers(30);
    const [y, rstd] = [zeros(30), zeros(rows)];
    const loss = (): number => {
      run("rmsnorm", { x, gain, y, rstd }, { ...sizes, xStride, yStride }, { epsilon: 1e-6 });
      return weighted(y, weight);
    };
    loss();
    const xGradient = zeros(x.length);
    const strides = { yGradientStride: 10, xStride, xGradientStride: xStride };
    run(
      "rmsnorm_backward",
      { yGradient: weight, x, gain, rstd, xGradient },
      { ...sizes, ...strides },
    );
    const gainGradient = zeros(columns);
    run(
      "rmsnorm_backward_parameters",
      { yGradient: weight, x, rstd, gainGradient },
      { ...sizes, yGradientStride: 10, xStride },
    );
    expectGradient(x, xGradient, loss);
    expectGradient(gain, gainGradient, loss);
  });

  test("rope: its inverse is its gradient", () => {
    const [rows, heads, headSize, contextLength] = [6, 2, 4, 3];
    const sizes = { rows, heads, headSize, contextLength, tableRows: 5, xStride: 8, yStride: 8 };
    const table = Float64Array.from({ length: 5 * headSize }, (_, index) => {
      const angle = Math.floor(index / headSize) * 0.7 ** (index % 2);
      return index % headSize < 2 ? Math.cos(angle) : Math.sin(angle);
    });
    const position = Int32Array.of(2);
    const x = numbers(48);
    const weight = numbers(48);
    const y = zeros(48);
    const xGradient = zeros(48);
    run("rope", { x: weight, table, position, y: xGradient }, { ...sizes, inverse: 1 });
    expectGradient(x, xGradient, () => {
      run("rope", { x, table, position, y }, sizes);
      return weighted(y, weight);
    });
  });

  test.each([
    [1, 5, 2, 2, 3],
    [2, 4, 6, 2, 4],
    [1, 7, 3, 1, 2],
  ])("attention: batch %p, length %p, heads %p, groups %p, head size %p", (...numbersOf) => {
    const [batch, queries, heads, groups, headSize] = numbersOf;
    const keys = queries;
    const rows = batch * queries;
    const [wide, narrow] = [heads * headSize, groups * headSize];
    // Queries, keys and values lie side by side, as a fused projection leaves them.
    const stride = wide + 2 * narrow;
    const fused = numbers(rows * stride, 1.5);
    const [query, key, value] = [
      fused,
      fused.subarray(wide),
      fused.subarray(wide + narrow),
    ] as const;
    const sizes = {
      ...{ batch, queries, keys, heads, groups, headSize },
      ...{ queryStride: stride, keyStride: stride, valueStride: stride, outStride: wide },
    };
    const scale = { scale: 1 / Math.sqrt(headSize) };
    const [out, statistics] = [zeros(rows * wide), zeros(rows * heads * 2)];
    const weight = numbers(rows * wide);
    const loss = (): number => {
      run("attention", { query, key, value, out, statistics }, sizes, scale);
      return weighted(out, weight);
    };
    loss();
    const gradient = zeros(rows * stride);
    run(
      "attention_backward",
      {
        ...{ query, key, value, out, outGradient: weight, statistics },
        queryGradient: gradient,
        keyGradient: gradient.subarray(wide),
        valueGradient: gradient.subarray(wide + narrow),
      },
      {
        ...{ ...sizes, outGradientStride: wide, queryGradientStride: stride },
        ...{ keyGradientStride: stride, valueGradientStride: stride },
      },
      scale,
    );
    expectGradient(fused, gradient, loss);
  });

  test("attention over a cache: queries late in the context equal the whole", () => {
    const sizes = { batch: 1, keys: 6, heads: 2, groups: 1, headSize: 3 };
    const strides = { queryStride: 6, keyStride: 3, valueStride: 3, outStride: 6 };
    const [query, key, value] = [numbers(36), numbers(18), numbers(18)];
    const whole = zeros(36);
    const scale = { scale: 0.5 };
    run(
      "attention",
      { query, key, value, out: whole, statistics: zeros(24) },
      { ...sizes, ...strides, queries: 6 },
      scale,
    );
    const last = zeros(12);
    run(
      "attention",
      {
        ...{ query: query.subarray(24), key, value, position: Int32Array.of(4) },
        ...{ out: last, statistics: zeros(8) },
      },
      { ...sizes, ...strides, queries: 2 },
      scale,
    );
    expect(last).toEqual(whole.slice(24));
  });

  test("head and cross-entropy, with an ignored target and accumulation", () => {
    const sizes = { rows: 5, columns: 4, vocabulary: 7 };
    const x = numbers(20, 2);
    const weight = numbers(28, 2);
    const targets = Int32Array.of(3, -1, 0, 6, 3);
    const losses = zeros(5);
    const lossScale = Float64Array.of(0.25);
    const loss = (): number => {
      run("head_loss", { x, weight, targets, losses }, sizes);
      return weighted(losses, zeros(5).fill(0.25));
    };
    const xGradient = zeros(20);
    const weightGradient = numbers(28);
    const old = weightGradient.slice();
    const gradientLosses = zeros(5);
    run(
      "head_loss_gradient",
      { x, weight, targets, lossScale, losses: gradientLosses, xGradient, weightGradient },
      { ...sizes, accumulate: 1 },
    );
    expectGradient(x, xGradient, loss);
    expectGradient(
      weight,
      weightGradient.map((value, index) => value - old[index]!),
      loss,
    );
    loss();
    expect(gradientLosses).toEqual(losses);
    expect(losses[1]).toBe(0);
  });

  test("embedding and positions, with repeated tokens", () => {
    const sizes = { rows: 6, columns: 3, vocabulary: 5, contextLength: 3, positionRows: 3 };
    const tokens = Int32Array.of(1, 4, 1, 0, 1, 2);
    const [table, positions] = [numbers(15), numbers(9)];
    const out = zeros(18);
    const weight = numbers(18);
    const loss = (): number => {
      run("embedding", { tokens, table, positions, out }, sizes);
      return weighted(out, weight);
    };
    const [tableGradient, positionsGradient] = [zeros(15), zeros(9)];
    run("embedding_backward", { tokens, outGradient: weight, tableGradient }, sizes);
    run("position_backward", { outGradient: weight, positionsGradient }, sizes);
    expectGradient(table, tableGradient, loss);
    expectGradient(positions, positionsGradient, loss);
  });

  test("dropout under a fixed state: applied to the gradient it is its own backward", () => {
    const count = 150;
    const sizes = { count, purpose: 3, threshold: 0.3 * 2 ** 32 };
    const state = Int32Array.of(5, 6, 7, 0);
    const [x, residual, weight] = [numbers(count), numbers(count), numbers(count)];
    const y = zeros(count);
    const xGradient = zeros(count);
    const scale = { scale: 1 / 0.7 };
    run("dropout", { x: weight, state, y: xGradient }, sizes, scale);
    const loss = (): number => {
      run("dropout", { x, state, residual, y }, sizes, scale);
      return weighted(y, weight);
    };
    expectGradient(x, xGradient, loss);
    expectGradient(residual, weight, loss);
  });

  test("add", () => {
    const sizes = { rows: 2, columns: 3, xStride: 3, yStride: 3, outStride: 3 };
    const [x, y, weight, out] = [numbers(6), numbers(6), numbers(6), zeros(6)];
    const loss = (): number => {
      run("add", { x, y, out }, sizes);
      return weighted(out, weight);
    };
    expectGradient(x, weight, loss);
    expectGradient(y, weight, loss);
  });
});
