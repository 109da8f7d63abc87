import { expect, test } from "bun:test";
import fc from "fast-check";
import * as v from "valibot";
import { digestBytes } from "#src/codec/digest.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { drawnValues, layoutOfLengths } from "./delta.fixture.ts";
import {
  DeltaMean,
  normOf,
  outerOf,
  outerSchema,
  outerStep,
  pseudoGradient,
  type OuterOptimizer,
} from "./outer.ts";

const layout = layoutOfLengths([5, 3]);
const nesterov: OuterOptimizer = { kind: "nesterov", rate: 0.7, momentum: 0.9 };
const sgd: OuterOptimizer = { kind: "sgd", rate: 0.7 };

test("W-6 one worker's delta is its own mean, to the bit, whatever it weighs", () => {
  fc.assert(
    fc.property(fc.integer(), fc.integer({ min: 1, max: 2 ** 29 }), (seed, tokens) => {
      const values = drawnValues(8, seed, 1e-3);
      const mean = new DeltaMean(layout);
      mean.add("a", tokens, values);
      expect(mean.mean()).toEqual(values);
    }),
  );
});

test("W-6 deltas count by their tokens", () => {
  const mean = new DeltaMean(layout);
  mean.add("a", 1, new Float32Array(8).fill(1));
  mean.add("b", 3, new Float32Array(8).fill(5));
  expect(mean.mean()).toEqual(new Float32Array(8).fill(4));
});

test("W-6 the mean is the exact one rounded once", () => {
  const workers = Array.from({ length: 7 }, (_, index) => ({
    tokens: 1_000 + 37 * index,
    values: drawnValues(8, index, 1),
  }));
  const mean = new DeltaMean(layout);
  for (const [index, { tokens, values }] of workers.entries())
    mean.add(`worker-${index}`, tokens, values);
  const total = workers.reduce((sum, { tokens }) => sum + BigInt(tokens), 0n);
  // Float32 values as whole multiples of 2⁻¹⁰⁰ are exact integers.
  const whole = (value: number) => BigInt(value * 2 ** 100);
  for (const [index, found] of mean.mean().entries()) {
    const sum = workers.reduce(
      (all, { tokens, values }) => all + BigInt(tokens) * whole(values[index]!),
      0n,
    );
    expect(found).toBe(Math.fround(Number(sum) / Number(total) / 2 ** 100));
  }
});

test("W-6 a mean takes workers in ascending order, each once, with a weight", () => {
  const values = new Float32Array(8);
  const mean = new DeltaMean(layout);
  expect(() => mean.mean()).toThrow("there is a mean");
  mean.add("b", 1, values);
  expect(() => mean.add("a", 1, values)).toThrow("workers ascend");
  expect(() => mean.add("b", 1, values)).toThrow("workers ascend");
  expect(() => mean.add("c", 0, values)).toThrow("weight");
  expect(() => mean.add("c", 1, new Float32Array(7))).toThrow("layout");
});

test("W-6 Nesterov's step is the published formula, each operation rounded to float32", () => {
  const round = Math.fround;
  const parameters = drawnValues(8, 1, 1);
  const momentum = drawnValues(8, 2, 1e-2);
  const gradient = drawnValues(8, 3, 1e-2);
  const next = outerStep(layout, { parameters, momentum }, gradient, nesterov);
  for (let index = 0; index < 8; index++) {
    const velocity = round(round(round(0.9) * momentum[index]!) + gradient[index]!);
    const direction = round(gradient[index]! + round(round(0.9) * velocity));
    expect(next.momentum![index]).toBe(velocity);
    expect(next.parameters[index]).toBe(round(parameters[index]! - round(round(0.7) * direction)));
  }
  expect(parameters).toEqual(drawnValues(8, 1, 1));
  expect(momentum).toEqual(drawnValues(8, 2, 1e-2));
});

test("W-6 with plain descent at a rate of one, one worker's end is the next revision within a rounding", () => {
  const start = drawnValues(8, 1, 1);
  const end = drawnValues(8, 4, 1);
  const step = { kind: "sgd", rate: 1 } as const;
  const state = { parameters: start, momentum: null };
  const next = outerStep(layout, state, pseudoGradient(start, end), step);
  expect(next.momentum).toBeNull();
  for (const [index, value] of next.parameters.entries())
    expect(Math.abs(value - end[index]!)).toBeLessThanOrEqual(2 ** -23);
});

test("W-6 the quadratic's minimum is found by either optimizer", () => {
  for (const optimizer of [sgd, { ...nesterov, rate: 0.1, momentum: 0.8 }]) {
    let state: { parameters: Float32Array; momentum: Float32Array | null } = {
      parameters: drawnValues(8, 1, 1),
      momentum: optimizer.kind === "sgd" ? null : new Float32Array(8),
    };
    for (let step = 0; step < 200; step++)
      state = outerStep(layout, state, state.parameters, optimizer);
    expect(normOf(state.parameters)).toBeLessThan(1e-6);
  }
});

test("W-6 a step that leaves float32 is refused by the tensor's name", () => {
  for (const [parameters, gradient, what] of [
    [3e38, -3e38, "parameters"],
    [0, Infinity, "parameters"],
    [0, NaN, "parameters"],
  ] as const) {
    const state = { parameters: new Float32Array(8), momentum: null };
    state.parameters[6] = parameters;
    const slope = new Float32Array(8);
    slope[6] = gradient;
    let refusal: unknown = null;
    try {
      outerStep(layout, state, slope, { kind: "sgd", rate: 1 });
    } catch (error) {
      refusal = error;
    }
    expect(refusal).toBeInstanceOf(Refusal);
    expect((refusal as Refusal).code).toBe("not_finite");
    expect((refusal as Refusal).details).toEqual({ tensor: "tensor.1", element: 1, what });
  }
});

test("W-6 settings of the outer optimizer are bounded, and no momentum is plain descent", () => {
  expect(outerOf(0.7, 0)).toEqual(sgd);
  expect(outerOf(0.7, 0.9)).toEqual(nesterov);
  for (const good of [sgd, nesterov]) expect(v.is(outerSchema, good)).toBe(true);
  for (const bad of [
    { ...sgd, rate: 0 },
    { ...sgd, rate: NaN },
    { ...sgd, momentum: 0.9 },
    { ...nesterov, momentum: 1 },
    { kind: "nesterov", rate: 1 },
    { kind: "adam", rate: 1 },
  ])
    expect(v.is(outerSchema, bad)).toBe(false);
});

/** Revisions are the same bytes for ever; a change of any is a new version of exact/1. */
test("T-1 mean and step have the bits of the record", () => {
  const big = layoutOfLengths([3_000, 77]);
  const mean = new DeltaMean(big);
  for (const [index, worker] of ["alder", "birch", "cedar"].entries())
    mean.add(worker, 12_345 + index, drawnValues(big.count, 20 + index, 1e-3));
  const start = {
    parameters: drawnValues(big.count, 30, 0.1),
    momentum: drawnValues(big.count, 31, 1e-3),
  };
  const { parameters, momentum } = outerStep(big, start, mean.mean(), nesterov);
  const digests = [parameters, momentum!].map((each) => digestBytes(new Uint8Array(each.buffer)));
  expect(digests).toEqual(golden);
});

const golden = [
  "b6dfa0b619169c01441d30f9544ae5ef7dc474f39d7e36f9e6fcd2ca4a6e1d79",
  "6d1153fd61fc8e0b0c8c7979d769966a2d668a39ffbd8801cb44a323c197e26d",
];
