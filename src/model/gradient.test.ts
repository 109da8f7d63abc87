import { expect, test } from "bun:test";
import { DoubleProgram } from "#src/graph/doubles.ts";
import { verifyMemory } from "#src/graph/verify.ts";
import type { PlannedTensor } from "#src/graph/plan.ts";
import { assembleTraining, type TrainingOptions } from "./training-plan.ts";
import { configureModel, type ModelRequest } from "./configuration.ts";

const small = { layers: 2, width: 8, heads: 2, vocabularySize: 11, contextLength: 6 } as const;

const models: Record<string, Partial<ModelRequest>> = {
  "gpt2 with biases": { style: "gpt2" },
  "gpt2 without biases, untied": { style: "gpt2", biases: false, tied: false },
  "gpt2 with dropout": { style: "gpt2", dropout: 0.25 },
  "llama with grouped heads": { style: "llama", groups: 1, feedForward: 12 },
  "llama, untied": { style: "llama", tied: false, feedForward: 10 },
  "qwen3 with wide heads": { style: "qwen3", headSize: 6, feedForward: 12 },
  "qwen3 with dropout": { style: "qwen3", dropout: 0.1, groups: 1, feedForward: 12 },
};

/** Deterministic numbers in (−1, 1). */
function* noise(seed: number): Generator<number, never> {
  let state = seed * 2_654_435_761 + 1;
  for (;;) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    yield state / 2 ** 31;
  }
}

function prepare(overrides: Partial<ModelRequest>, options: Partial<TrainingOptions> = {}) {
  const model = configureModel({ ...small, ...overrides });
  const assembled = assembleTraining({
    model,
    batchSize: 2,
    contextLength: 5,
    optimizer: "adamw",
    clipNorm: 1,
    ...options,
  });
  const program = new DoubleProgram(assembled.plan);
  const random = noise(7);
  for (const parameter of assembled.plan.parameters) {
    const values = program.floats(parameter);
    for (let index = 0; index < values.length; index++) values[index] = random.next().value * 0.7;
  }
  fillBatch(program, 3, model.vocabularySize);
  return { ...assembled, program, model };
}

function fillBatch(program: DoubleProgram, seed: number, vocabularySize: number): void {
  const random = noise(seed);
  const token = () => Math.floor(((random.next().value + 1) / 2) * vocabularySize);
  for (const name of ["tokens", "targets"]) {
    const words = program.words(program.input(name));
    for (let index = 0; index < words.length; index++) words[index] = token();
  }
  program.words(program.input("targets"))[2] = -1;
  program.words(program.input("randomState")).set([seed, 1, 5, 0]);
  program.floats(program.input("lossScale"))[0] = 0.125;
}

/** The loss the gradient is of: the scaled sum. */
function lossOf(program: DoubleProgram): number {
  program.run("gradient");
  return (
    program.floats(program.input("lossSum"))[0]! * program.floats(program.input("lossScale"))[0]!
  );
}

/** Gradients lie where the parameters lie when nothing is frozen. */
const gradientOf = (parameter: PlannedTensor): PlannedTensor => ({
  ...parameter,
  space: "gradients",
});

for (const [name, overrides] of Object.entries(models)) {
  test(`T-2 gradients of ${name} agree with finite differences in float64`, () => {
    const { plan, program } = prepare(overrides);
    lossOf(program);
    const gradients = new Map(
      plan.parameters.map((parameter) => [
        parameter.name,
        program.floats(gradientOf(parameter)).slice(),
      ]),
    );
    const random = noise(11);
    for (const parameter of plan.parameters) {
      const values = program.floats(parameter);
      const original = values.slice();
      const direction = original.map(() => random.next().value);
      const gradient = gradients.get(parameter.name)!;
      expect(gradient.some((value) => value !== 0)).toBe(true);
      const expected = gradient.reduce((sum, value, index) => sum + value * direction[index]!, 0);
      const step = 1e-5;
      const at = (distance: number): number => {
        values.set(original.map((value, index) => value + distance * direction[index]!));
        return lossOf(program);
      };
      const found = (at(step) - at(-step)) / (2 * step);
      values.set(original);
      const error = Math.abs(found - expected);
      if (error > 1e-7 * (1 + Math.abs(expected))) {
        throw new Error(
          `${parameter.name}: ${expected} by differentiation, ${found} by differences`,
        );
      }
    }
  });

  test(`T-2 the memory of ${name} is never shared by tensors alive together`, () => {
    verifyMemory(prepare(overrides, { microBatches: 2 }));
    verifyMemory(prepare(overrides, { recompute: true }));
  });
}

const allGradients = ({ plan, program }: ReturnType<typeof prepare>): Float64Array[] =>
  plan.parameters.map((parameter) => program.floats(gradientOf(parameter)).slice());

test("T-2 recomputed blocks give the same gradients to the bit, in less memory", () => {
  for (const overrides of Object.values(models)) {
    const kept = prepare({ ...overrides, layers: 4 });
    const recomputed = prepare({ ...overrides, layers: 4 }, { recompute: true });
    lossOf(kept.program);
    lossOf(recomputed.program);
    expect(allGradients(recomputed)).toEqual(allGradients(kept));
    const activations = (plan: typeof kept.plan): number =>
      plan.spaces.find((space) => space.name === "activations")!.sizeBytes;
    expect(activations(recomputed.plan)).toBeLessThan(activations(kept.plan));
  }
});

test("T-2 the accumulate phase adds a second micro-batch's gradients", () => {
  for (const overrides of Object.values(models)) {
    const one = prepare(overrides, { microBatches: 2 });
    const { program, model } = one;
    fillBatch(program, 21, model.vocabularySize);
    lossOf(program);
    const first = allGradients(one);
    fillBatch(program, 22, model.vocabularySize);
    lossOf(program);
    const second = allGradients(one);
    fillBatch(program, 21, model.vocabularySize);
    lossOf(program);
    fillBatch(program, 22, model.vocabularySize);
    program.run("accumulate");
    for (const [index, total] of allGradients(one).entries()) {
      for (const [element, value] of total.entries()) {
        expect(value).toBeCloseTo(first[index]![element]! + second[index]![element]!, 12);
      }
    }
  }
});

test("T-2 the gradient phase overwrites what an earlier step left", () => {
  const once = prepare(models["llama, untied"]!);
  lossOf(once.program);
  const expected = allGradients(once);
  lossOf(once.program);
  expect(allGradients(once)).toEqual(expected);
});

test("T-2 frozen parameters cost no call, and nothing below the lowest trained one is differentiated", () => {
  const lower = [
    "model.embed_tokens.weight",
    "model.layers.0.*",
    "model.layers.1.input_layernorm.weight",
    "model.layers.1.self_attn.qkv_proj.weight",
  ];
  const untied = { ...models["llama, untied"]!, groups: 1 };
  const full = prepare(untied);
  const part = prepare(untied, { frozen: lower });
  lossOf(full.program);
  lossOf(part.program);
  const labels = part.plan.labels.filter((label) => label.startsWith("backward."));
  expect(labels.some((label) => label.includes("layers.0") || label.includes("embedding"))).toBe(
    false,
  );
  expect(labels.some((label) => label.includes("layers.1.attention.attention"))).toBe(false);
  // What still learns gets the same gradient as before.
  const trained = part.plan.parameters.filter(
    ({ name }) =>
      !lower.some(
        (pattern) =>
          name === pattern || (pattern.endsWith("*") && name.startsWith(pattern.slice(0, -1))),
      ),
  );
  let offsetBytes = 0;
  for (const parameter of trained) {
    const compact = { ...parameter, space: "gradients", offsetBytes } as const;
    const sizeBytes = parameter.shape.reduce((product, extent) => product * extent, 4);
    offsetBytes += Math.ceil(sizeBytes / 64) * 64;
    const found = part.program.floats(compact);
    expect(found).toEqual(full.program.floats(gradientOf(parameter)));
  }
  expect(part.plan.spaces.find(({ name }) => name === "gradients")!.sizeBytes).toBe(offsetBytes);
  expect(part.plan.parameters).toEqual(full.plan.parameters);
});

test("T-2 unknown and all-frozen parameters are refused", () => {
  expect(() => prepare({}, { frozen: ["no.such.weight"] })).toThrow(
    "no parameter is called no.such.weight",
  );
  expect(() => prepare({}, { frozen: ["*"] })).toThrow("every parameter is frozen");
});
