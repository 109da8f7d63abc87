import { expect, test } from "bun:test";
import { hyper } from "#src/kernel/contract.ts";
import { DoubleProgram } from "#src/graph/doubles.ts";
import { optimizerNames, type OptimizerName } from "#src/graph/update.ts";
import { compileTraining } from "./compile.ts";
import { configureModel } from "./configuration.ts";

const rates: Record<OptimizerName, number> = {
  sgd: 0.5,
  momentum: 0.1,
  adam: 0.01,
  adamw: 0.01,
  lars: 0.2,
  lamb: 0.02,
};
const adaptive: readonly OptimizerName[] = ["adam", "adamw", "lamb"];

/** The hyper vector of docs/NUMERICS.md, section 9, for step `count` (from 1). */
function hyperVector(optimizer: OptimizerName, count: number, decay: number): Float64Array {
  const [beta1, beta2] = [0.9, 0.99];
  const rate = rates[optimizer];
  const correction1 = 1 - beta1 ** count;
  const values = new Float64Array(hyper.length);
  values[hyper.stepSize] =
    optimizer === "adam" || optimizer === "adamw" ? rate / correction1 : rate;
  values[hyper.beta1] = beta1;
  values[hyper.oneMinusBeta1] = 1 - beta1;
  values[hyper.beta2] = beta2;
  values[hyper.oneMinusBeta2] = 1 - beta2;
  values[hyper.inverseRootCorrection2] = 1 / Math.sqrt(1 - beta2 ** count);
  values[hyper.epsilon] = adaptive.includes(optimizer) ? 1e-8 : 1e-6;
  values[hyper.decayFactor] = optimizer === "adamw" ? 1 - rate * decay : 1;
  values[hyper.trust] = 0.05;
  values[hyper.weightDecay] = optimizer === "lamb" || optimizer === "lars" ? decay : 0;
  values[hyper.inverseCorrection1] = 1 / correction1;
  return values;
}

for (const optimizer of optimizerNames) {
  test(`T-4 a small model learns a batch by heart with ${optimizer}`, () => {
    const model = configureModel({
      style: "qwen3",
      layers: 1,
      width: 16,
      heads: 2,
      vocabularySize: 12,
      contextLength: 6,
    });
    const plan = compileTraining({ model, batchSize: 2, optimizer, clipNorm: 1 });
    const program = new DoubleProgram(plan);
    program.words(program.input("randomState")).set([1, 2, 0, 0]);
    program.run("initialise");
    program.words(program.input("tokens")).set([1, 5, 2, 9, 0, 3, 7, 7, 4, 11, 8, 6]);
    program.words(program.input("targets")).set([5, 2, 9, 0, 3, 1, 7, 4, 11, 8, 6, 7]);
    program.floats(program.input("lossScale"))[0] = 1 / 12;
    const scalar = (name: string): number => program.floats(program.input(name))[0]!;
    const losses: number[] = [];
    for (let step = 1; step <= 60; step++) {
      program.floats(program.input("hyper.decay")).set(hyperVector(optimizer, step, 0.01));
      program.floats(program.input("hyper.plain")).set(hyperVector(optimizer, step, 0));
      for (const phase of ["gradient", "norm", "update"] as const) program.run(phase);
      losses.push(scalar("lossSum") / 12);
      expect(scalar("parameterSquares")).toBeGreaterThan(0);
      expect(scalar("updateSquares")).toBeGreaterThan(0);
    }
    // An untrained model knows nothing: the logarithm of the vocabulary.
    expect(losses[0]!).toBeCloseTo(Math.log(12), 1);
    expect(losses.at(-1)!).toBeLessThan(0.5 * losses[0]!);
    // Padding between tensors is zero and stays zero.
    const space = plan.spaces.findIndex(({ name }) => name === "parameters");
    const whole = program.floats({
      name: "whole",
      space: "parameters",
      offsetBytes: 0,
      shape: [plan.spaces[space]!.sizeBytes / 4],
      type: "f32",
    });
    const used = new Uint8Array(whole.length);
    for (const { offsetBytes, shape } of plan.parameters) {
      const count = shape.reduce((product, extent) => product * extent, 1);
      used.fill(1, offsetBytes / 4, offsetBytes / 4 + count);
    }
    expect(used.includes(0)).toBe(true);
    expect(whole.every((value, index) => used[index] === 1 || value === 0)).toBe(true);
  });
}
