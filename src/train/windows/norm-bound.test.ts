import { expect, test } from "bun:test";
import { optimizerDefaults } from "../optimizer.ts";
import { deltaNormMaximum, type Movement } from "./norm-bound.ts";

const movement: Movement = {
  optimizer: optimizerDefaults("adamw"),
  rates: Array.from({ length: 20 }, () => 0.01),
  ...{ peakRate: 0.01, age: 0, parameterCount: 1, parameterNorm: 0, codec: "exact" },
};

/** Adam as published, in float64, for one parameter and the gradients given. */
function adam(movement: Movement, gradients: readonly number[], start: number): number {
  const { beta1, beta2, epsilon, weightDecay } = movement.optimizer;
  let [m, v, p] = [0, 0, start];
  gradients.forEach((g, index) => {
    m = beta1 * m + (1 - beta1) * g;
    v = beta2 * v + (1 - beta2) * g * g;
    const first = m / (1 - beta1 ** (index + 1));
    const second = v / (1 - beta2 ** (index + 1));
    const rate = index < movement.age ? 0 : movement.rates[index - movement.age]!;
    p -= rate * (weightDecay * p + first / (Math.sqrt(second) + epsilon));
  });
  return Math.abs(start - p);
}

/** Gradients made to be far from each other: signs, bursts and silences of every length. */
function gradientsOf(seed: number, count: number): number[] {
  let state = seed >>> 0;
  const next = () => (state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0) / 2 ** 32;
  const kind = Math.floor(next() * 4);
  return Array.from({ length: count }, (_, index) => {
    if (kind === 0) return 1;
    if (kind === 1) return 10 ** (12 * next() - 6) * (next() < 0.5 ? -1 : 1);
    // Growing gradients outrun the slow average of their squares: the worst there is.
    if (kind === 2) return (1 + next() / 4) ** index;
    return next() < 0.1 ? 1e6 : 1e-3;
  });
}

test("W-8 no sequence of gradients moves Adam beyond the bound", () => {
  let closest = 0;
  for (let seed = 0; seed < 4_000; seed++) {
    const age = seed % 3 === 0 ? 0 : seed % 50;
    const start = seed % 7;
    const each: Movement = {
      ...movement,
      optimizer: { ...movement.optimizer, beta2: seed % 2 ? 0.99 : 0.95 },
      ...{ age, parameterNorm: start },
    };
    const moved = adam(each, gradientsOf(seed, age + 20), start);
    // What earlier steps decayed is not in the norm that the window begins with.
    const most = deltaNormMaximum(each);
    expect(moved).toBeLessThanOrEqual(most);
    closest = Math.max(closest, moved / most);
  }
  // A bound that honest work never comes near would be no bound.
  expect(closest).toBeGreaterThan(0.4);
});

test("W-8 what a codec kept back may be sent later, so its bound grows with the worker's age", () => {
  const lossy = deltaNormMaximum({ ...movement, codec: "lossy" });
  const young = deltaNormMaximum({ ...movement, codec: "residual" });
  const old = deltaNormMaximum({ ...movement, codec: "residual", age: 100 });
  expect(lossy).toBeCloseTo(2 * deltaNormMaximum(movement), 9);
  expect(young).toBe(lossy);
  expect(old).toBeGreaterThan(5 * young);
  expect(deltaNormMaximum({ ...movement, codec: "residual", age: 10_000_000 })).toBeFinite();
});

test("W-8 optimizers whose steps follow the gradient are bound by the clip, or by nothing", () => {
  const sgd = { ...optimizerDefaults("sgd"), clipNorm: 2 };
  expect(deltaNormMaximum({ ...movement, optimizer: sgd })).toBeCloseTo(20 * 0.01 * 2 * 1.01, 9);
  expect(deltaNormMaximum({ ...movement, optimizer: { ...sgd, clipNorm: 0 } })).toBe(Infinity);
  expect(deltaNormMaximum({ ...movement, optimizer: optimizerDefaults("lars") })).toBe(Infinity);
  expect(deltaNormMaximum({ ...movement, optimizer: optimizerDefaults("lamb") })).toBeFinite();
  const without = { ...movement.optimizer, epsilon: 0 };
  expect(deltaNormMaximum({ ...movement, optimizer: without })).toBe(Infinity);
});
