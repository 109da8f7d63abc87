import { describe, expect, test } from "bun:test";
import { Refusal } from "#src/refusal/refusal.ts";
import { compileDecoding, compileTraining } from "./compile.ts";
import { configureModel, type ModelRequest } from "./configuration.ts";
import { costOf, parameterCount, requireMemory, trainingFlopsPerToken } from "./cost.ts";
import { modelOfSize, recipeOf, sizeNames } from "./sizes.ts";

const base: ModelRequest = {
  layers: 2,
  width: 32,
  heads: 4,
  vocabularySize: 64,
  contextLength: 16,
};

function refusalOf(work: () => unknown): Refusal {
  try {
    work();
  } catch (error) {
    if (error instanceof Refusal) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}

describe("T-3 absurd models are refused naming the field", () => {
  const cases: Record<string, [Partial<ModelRequest>, string]> = {
    "heads that do not divide the width": [{ heads: 5 }, "heads"],
    "no layers": [{ layers: 0 }, "layers"],
    "half a layer": [{ layers: 1.5 }, "layers"],
    "a negative width": [{ width: -32 }, "width"],
    "a width that is no number": [{ width: Number.NaN, headSize: 8 }, "width"],
    "endless context": [{ contextLength: 1e12 }, "contextLength"],
    "groups that do not divide the heads": [{ style: "llama", groups: 3 }, "groups"],
    "grouped heads in gpt2": [{ groups: 2 }, "groups"],
    "an odd rotary head": [{ style: "qwen3", headSize: 7 }, "headSize"],
    "biases in llama": [{ style: "llama", biases: true }, "biases"],
    "dropping everything": [{ dropout: 1 }, "dropout"],
    "no epsilon": [{ normEpsilon: 0 }, "normEpsilon"],
  };
  for (const [name, [overrides, field]] of Object.entries(cases)) {
    test(name, () => {
      const refusal = refusalOf(() => configureModel({ ...base, ...overrides }));
      expect(refusal.code).toBe("model_invalid");
      expect(refusal.details["field"]).toBe(field);
    });
  }
});

test("T-3 plans with absurd extents are refused", () => {
  const model = configureModel(base);
  const training = { model, batchSize: 2, optimizer: "adamw", clipNorm: 1 } as const;
  for (const overrides of [
    { batchSize: 0 },
    { batchSize: 0.5 },
    { contextLength: 17 },
    { evaluateBatchSize: 0 },
  ]) {
    expect(refusalOf(() => compileTraining({ ...training, ...overrides })).code).toBe(
      "model_invalid",
    );
  }
  expect(refusalOf(() => compileDecoding({ model, capacity: 17 })).code).toBe("model_invalid");
  expect(refusalOf(() => compileDecoding({ model, capacity: 8, prefillRows: 9 })).code).toBe(
    "model_invalid",
  );
  const huge = configureModel({ ...base, width: 65_536, heads: 64, layers: 10 });
  expect(refusalOf(() => compileTraining({ ...training, model: huge })).details["field"]).toBe(
    "layers",
  );
});

test("T-3 a plan beyond the machine's memory is refused before it runs", () => {
  const plan = compileTraining({
    model: configureModel(base),
    batchSize: 2,
    optimizer: "adamw",
    clipNorm: 1,
  });
  const { bytes } = costOf(configureModel(base), plan);
  expect(() => requireMemory(plan, bytes)).not.toThrow();
  expect(refusalOf(() => requireMemory(plan, bytes - 1)).code).toBe("memory_short");
});

test("T-3 parameter counts are those of the published models", () => {
  const gpt2 = modelOfSize("gpt2", 50_257);
  expect(parameterCount(gpt2)).toBe(124_439_808);
  expect(parameterCount(modelOfSize("gpt2-medium", 50_257))).toBe(354_823_168);
  // Qwen3-0.6B: 751,632,384 with the untied copy of its table, 596,049,920 as it is stored.
  const qwen3 = configureModel({
    style: "qwen3",
    layers: 28,
    width: 1_024,
    heads: 16,
    groups: 8,
    headSize: 128,
    feedForward: 3_072,
    vocabularySize: 151_936,
    contextLength: 40_960,
  });
  expect(parameterCount(qwen3)).toBe(596_049_920);
  // TinyLlama 1.1B.
  const llama = configureModel({
    style: "llama",
    layers: 22,
    width: 2_048,
    heads: 32,
    groups: 4,
    feedForward: 5_632,
    vocabularySize: 32_000,
    contextLength: 2_048,
    tied: false,
  });
  expect(parameterCount(llama)).toBe(1_100_048_384);
  expect(trainingFlopsPerToken(gpt2, 64)).toBe(
    6 * (124_439_808 - 1_024 * 768) + 12 * 12 * 768 * 64,
  );
});

test("T-3 every size compiles to the model it promises", () => {
  const millions = { micro: [0.7, 1], small: [2.4, 3], medium: [9, 13], large: [28, 36] } as const;
  for (const [size, [least, most]] of Object.entries(millions)) {
    const found = parameterCount(modelOfSize(size, 256)) / 1e6;
    expect(found).toBeGreaterThan(least);
    expect(found).toBeLessThan(most);
  }
  for (const size of sizeNames)
    expect(modelOfSize(size, 512).layers).toBe(recipeOf(size).model.layers);
  expect(modelOfSize("small", 256, { layers: 3 }).layers).toBe(3);
  expect(refusalOf(() => recipeOf("colossal")).code).toBe("size_unknown");
  expect(refusalOf(() => recipeOf("toString")).code).toBe("size_unknown");
});
