/**
 * Ten steps of every optimizer against its published formula, written out here in float64 with a
 * loop of its own. The kernels compute in float32, so agreement is to a few parts in a million:
 * 10 steps, each with a handful of roundings of 6e-8 relative to quantities of size one.
 */
import { expect, test } from "bun:test";
import { hyper, type Call, type OperationName, operations } from "#src/kernel/contract.ts";
import { openReferenceBackend } from "#src/kernel/reference/reference-backend.ts";
import { HyperVectors, optimizerDefaults, RepeatedPower, type Optimizer } from "./optimizer.ts";

const tolerance = 3e-6;
const count = 5;
const rate = (step: number) => 0.05 / (step + 1);
const start = [0.5, -0.25, 1.5, -2, 0.125];
const gradientAt = (step: number, index: number) =>
  Math.fround(((step * 7 + index * 3 + 2) % 11) / 11 - 0.4 + index * 0.05);

/** Published formulas: parameters, gradient, state, t from 1, learning rate. */
type Rule = (
  p: number[],
  g: number[],
  state: { m: number[]; v: number[] },
  t: number,
  lr: number,
) => void;
const norm = (x: readonly number[]) => Math.sqrt(x.reduce((sum, value) => sum + value * value, 0));

function rules(o: Optimizer): Rule {
  switch (o.kind) {
    case "sgd":
      return (p, g, _s, _t, lr) =>
        p.forEach((x, i) => (p[i] = x - lr * (g[i]! + o.weightDecay * x)));
    case "momentum":
      return (p, g, { m }, _t, lr) =>
        p.forEach((x, i) => {
          const gradient = g[i]! + o.weightDecay * x;
          m[i] = o.beta1 * m[i]! + gradient;
          p[i] = x - lr * (o.nesterov ? gradient + o.beta1 * m[i] : m[i]);
        });
    case "adam":
    case "adamw":
      return (p, g, { m, v }, t, lr) =>
        p.forEach((x, i) => {
          const gradient = g[i]! + (o.kind === "adam" ? o.weightDecay * x : 0);
          m[i] = o.beta1 * m[i]! + (1 - o.beta1) * gradient;
          v[i] = o.beta2 * v[i]! + (1 - o.beta2) * gradient * gradient;
          const mHat = m[i] / (1 - o.beta1 ** t);
          const vHat = v[i] / (1 - o.beta2 ** t);
          const decayed = o.kind === "adamw" ? x - lr * o.weightDecay * x : x;
          p[i] = decayed - (lr * mHat) / (Math.sqrt(vHat) + o.epsilon);
        });
    case "lars":
      return (p, g, { m }, _t, lr) => {
        const local = (o.trust * norm(p)) / (norm(g) + o.weightDecay * norm(p) + o.epsilon);
        p.forEach((x, i) => {
          m[i] = o.beta1 * m[i]! + g[i]! + o.weightDecay * x;
          p[i] = x - lr * local * m[i];
        });
      };
    case "lamb":
      return (p, g, { m, v }, t, lr) => {
        const update = p.map((x, i) => {
          m[i] = o.beta1 * m[i]! + (1 - o.beta1) * g[i]!;
          v[i] = o.beta2 * v[i]! + (1 - o.beta2) * g[i]! * g[i]!;
          const mHat = m[i] / (1 - o.beta1 ** t);
          const vHat = v[i] / (1 - o.beta2 ** t);
          return mHat / (Math.sqrt(vHat) + o.epsilon) + o.weightDecay * x;
        });
        const ratio = norm(p) / norm(update);
        p.forEach((x, i) => (p[i] = x - lr * ratio * update[i]!));
      };
  }
}

/** Offsets in bytes within one space. */
const place = {
  p: 0,
  g: 64,
  m: 128,
  v: 192,
  hyper: 256,
  partial: 320,
  partial2: 384,
  sumP: 448,
  sumU: 512,
  ratio: 576,
  u: 640,
} as const;

/** The calls a plan makes for one tensor. */
function callsOf(kind: Optimizer["kind"]): Call[] {
  const at = (name: keyof typeof place | null) =>
    name === null ? null : { space: 0, offsetBytes: place[name] };
  const call = (
    operation: OperationName,
    places: readonly (keyof typeof place | null)[],
    integers: readonly number[] = [count],
  ): Call => ({
    operation,
    arguments: places.map(at),
    integers,
    floats: operations[operation].floats.map(() => 0),
  });
  const squares = (x: keyof typeof place, out: keyof typeof place) =>
    call("sum_squares", [x, "partial", out]);
  switch (kind) {
    case "sgd":
      return [call("sgd", ["p", "g", null, "hyper", null, null, "partial", "partial2"])];
    case "momentum":
      return [call("sgd", ["p", "g", "m", "hyper", null, null, "partial", "partial2"])];
    case "adam":
    case "adamw":
      return [call("adam", ["p", "g", "m", "v", "hyper", null, "partial", "partial2"])];
    case "lars":
      return [
        squares("p", "sumP"),
        squares("g", "sumU"),
        call("trust_ratio", ["sumP", "sumU", "hyper", null, "ratio"], [0]),
        call("sgd", ["p", "g", "m", "hyper", null, "ratio", "partial", "partial2"]),
      ];
    case "lamb":
      return [
        call("lamb_direction", ["p", "g", "m", "v", "hyper", null, "u"]),
        squares("p", "sumP"),
        squares("u", "sumU"),
        call("trust_ratio", ["sumP", "sumU", "hyper", null, "ratio"], [1]),
        call("apply_direction", ["p", "u", "hyper", "ratio", "partial", "partial2"]),
      ];
  }
}

const cases: readonly (readonly [string, Optimizer])[] = [
  ["sgd", { ...optimizerDefaults("sgd"), weightDecay: 0.1 }],
  ["momentum", { ...optimizerDefaults("momentum"), weightDecay: 0.1 }],
  ["nesterov", { ...optimizerDefaults("momentum"), nesterov: true }],
  ["adam", { ...optimizerDefaults("adam"), weightDecay: 0.1 }],
  ["adamw", optimizerDefaults("adamw")],
  ["lars", { ...optimizerDefaults("lars"), trust: 0.5, weightDecay: 0.1 }],
  ["lamb", { ...optimizerDefaults("lamb"), weightDecay: 0.1 }],
];

for (const [name, optimizer] of cases)
  test(`T-4 ten steps of ${name} follow the published formula`, () => {
    const backend = openReferenceBackend();
    const memory = backend.allocate(704);
    const program = backend.prepare(callsOf(optimizer.kind), [memory]);
    const floats = (at: keyof typeof place, length: number) => {
      const bytes = memory.view(place[at], length * 4);
      return new Float32Array(bytes.buffer, bytes.byteOffset, length);
    };
    const vectors = new HyperVectors(optimizer);
    const rule = rules(optimizer);
    const expected = [...start];
    const state = { m: expected.map(() => 0), v: expected.map(() => 0) };
    floats("p", count).set(start);
    for (let step = 0; step < 10; step++) {
      const gradient = start.map((_, index) => gradientAt(step, index));
      floats("g", count).set(gradient);
      floats("hyper", hyper.length).set(vectors.at(step, rate(step), true));
      program.run();
      rule(expected, gradient, state, step + 1, rate(step));
      [...floats("p", count)].forEach((value, index) =>
        expect(Math.abs(value - expected[index]!)).toBeLessThan(tolerance),
      );
    }
    expect(norm(expected.map((value, index) => value - start[index]!))).toBeGreaterThan(1e-3);
  });

test("T-4 groups without decay get vectors without decay", () => {
  for (const [, optimizer] of cases) {
    const vector = new HyperVectors(optimizer).at(0, 0.1, false);
    expect([vector[hyper.l2], vector[hyper.weightDecay], vector[hyper.decayFactor]]).toEqual([
      0, 0, 1,
    ]);
  }
});

test("T-4 a power is the same whether reached step by step or at once", () => {
  const walked = new RepeatedPower(0.999);
  for (let exponent = 1; exponent < 300; exponent++) walked.at(exponent);
  expect(walked.at(300)).toBe(new RepeatedPower(0.999).at(300));
  expect(walked.at(2)).toBe(0.999 * 0.999);
});
