import { expect, test } from "bun:test";
import { integersOf, operations } from "#src/kernel/contract.ts";
import type { OptimizerName } from "#src/graph/update.ts";
import type { Plan } from "#src/graph/plan.ts";
import { compileTraining } from "./compile.ts";
import { configureModel } from "./configuration.ts";

const model = configureModel({
  style: "qwen3",
  layers: 2,
  width: 16,
  heads: 2,
  groups: 1,
  feedForward: 24,
  vocabularySize: 33,
  contextLength: 8,
});
const options = { model, batchSize: 2, optimizer: "adamw", clipNorm: 1 } as const;

const callsOf = (plan: Plan, name: string): Plan["calls"] => {
  const phase = plan.phases.find((each) => each.name === name)!;
  return plan.calls.slice(phase.from, phase.to);
};
const updateOperations = (optimizer: OptimizerName): string[] =>
  callsOf(compileTraining({ ...options, optimizer }), "update").map(({ operation }) => operation);

test("T-2 the plan of one model has one digest, pinned here", () => {
  const plan = compileTraining({ ...options, microBatches: 2 });
  expect(compileTraining({ ...options, microBatches: 2 }).digest).toBe(plan.digest);
  // A change of this line means that plans change: runs begun before will not resume.
  expect(plan.digest).toBe("29f5879eb986cdf45ecaa47332b68eb0343bc8d2bca72d19d62eefd28e2f7b34");
  expect(compileTraining({ ...options, microBatches: 2, clipNorm: 2 }).digest).not.toBe(
    plan.digest,
  );
  expect(compileTraining({ ...options, microBatches: 1 }).digest).not.toBe(plan.digest);
});

test("T-2 the fused forms are used: one call per projection, no gradient zeroed before it is written", () => {
  const plan = compileTraining(options);
  const gradient = callsOf(plan, "gradient").map(({ operation }) => operation);
  const count = (name: string): number => gradient.filter((each) => each === name).length;
  // Four projections a layer, three products each: forward, input gradient, weight gradient.
  expect(count("matmul")).toBe(model.layers * 4 * 3);
  expect(count("fill")).toBe(0);
  expect(count("add")).toBe(0);
  expect(count("copy")).toBe(0);
  expect(count("head_loss_gradient")).toBe(1);
  const untied = compileTraining({ ...options, model: { ...model, tied: false } });
  expect(callsOf(untied, "gradient").filter(({ operation }) => operation === "fill")).toHaveLength(
    1,
  );
});

test("T-2 GELU and its gradient ride on the matrix products", () => {
  const gpt2 = configureModel({
    layers: 2,
    width: 16,
    heads: 2,
    vocabularySize: 33,
    contextLength: 8,
  });
  const gradient = callsOf(compileTraining({ ...options, model: gpt2 }), "gradient");
  expect(gradient.filter(({ operation }) => operation.startsWith("gelu"))).toHaveLength(0);
  const activations = gradient
    .filter(({ operation }) => operation === "matmul")
    .map((call) => integersOf(call)["activation"]);
  expect(activations.filter((kind) => kind === 1)).toHaveLength(2);
  expect(activations.filter((kind) => kind === 2)).toHaveLength(2);
});

test("T-4 AdamW runs as one call per group over the whole parameter space", () => {
  const plan = compileTraining(options);
  expect(updateOperations("adamw")).toEqual(["adam", "adam", "sum", "sum"]);
  const adams = callsOf(plan, "update").filter(({ operation }) => operation === "adam");
  const counts = adams.map((call) => call.integers[0]!);
  const parameters = plan.spaces.find(({ name }) => name === "parameters")!;
  expect(counts.reduce((total, count) => total + count, 0) * 4).toBe(parameters.sizeBytes);
  // Matrices and the token table decay; the norms do not.
  const vectors = plan.parameters.filter(({ shape }) => shape.length === 1);
  const [, plain] = adams;
  expect(Math.min(...vectors.map(({ offsetBytes }) => offsetBytes))).toBe(
    plain!.arguments[0]!.offsetBytes,
  );
  const without = callsOf(compileTraining({ ...options, decayEmbeddings: false }), "update");
  expect(without[0]!.integers[0]).toBeLessThan(counts[0]!);
});

test("T-4 every optimizer keeps only the moments it needs and touches every parameter once", () => {
  const moments: Record<OptimizerName, string[]> = {
    sgd: [],
    momentum: ["first"],
    adam: ["first", "second"],
    adamw: ["first", "second"],
    lars: ["first"],
    lamb: ["first", "second"],
  };
  for (const [optimizer, expected] of Object.entries(moments)) {
    const plan = compileTraining({ ...options, optimizer: optimizer as OptimizerName });
    const names: string[] = plan.spaces.map(({ name }) => name);
    const kept: string[] = names.filter((name) => ["first", "second"].includes(name));
    expect(kept).toEqual(expected);
    let updated = 0;
    for (const call of callsOf(plan, "update")) {
      const [parameter] = operations[call.operation].arguments;
      if (parameter!.name === "parameter" && parameter!.access === "inout")
        updated += call.integers[0]!;
    }
    expect(updated * 4).toBe(plan.spaces[0]!.sizeBytes);
  }
  expect(updateOperations("lars").filter((name) => name === "trust_ratio")).toHaveLength(9);
  expect(updateOperations("lamb").filter((name) => name === "trust_ratio")).toHaveLength(18);
});

test("T-2 every call lies inside its space, on its element's boundary", () => {
  for (const style of ["gpt2", "llama", "qwen3"] as const) {
    const plan = compileTraining({
      ...options,
      model: configureModel({ ...model, style, groups: style === "gpt2" ? 2 : 1, dropout: 0.1 }),
      microBatches: 2,
      recompute: true,
    });
    for (const call of plan.calls) {
      const extents = operations[call.operation].extents(integersOf(call));
      for (const [index, place] of call.arguments.entries()) {
        if (!place) continue;
        expect(place.offsetBytes % 4).toBe(0);
        expect(place.offsetBytes + extents[index]! * 4).toBeLessThanOrEqual(
          plan.spaces[place.space]!.sizeBytes,
        );
      }
    }
    expect(plan.labels).toHaveLength(plan.calls.length);
    for (const tensor of plan.parameters) expect(tensor.offsetBytes % 64).toBe(0);
  }
});
