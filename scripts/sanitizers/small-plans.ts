import type { PlannedTensor, Plan } from "#src/graph/plan.ts";
import { hyper, type Backend } from "#src/kernel/contract.ts";
import { compileTraining } from "#src/model/compile.ts";
import { configureModel } from "#src/model/configuration.ts";
import type { TrainingOptions } from "#src/model/training-plan.ts";
import type { PackableProgram } from "./packed-programs.ts";

/** One model of each style, each with another optimizer; no size is a multiple of a vector. */
const requests: Readonly<Record<string, TrainingOptions>> = {
  "gpt2 adamw": {
    model: configureModel({
      ...{ style: "gpt2", layers: 1, width: 18, heads: 3, dropout: 0.1 },
      ...{ vocabularySize: 13, contextLength: 7 },
    }),
    ...{ batchSize: 2, microBatches: 2, optimizer: "adamw", clipNorm: 1 },
  },
  "llama lamb": {
    model: configureModel({
      ...{ style: "llama", layers: 1, width: 20, heads: 2, groups: 1, headSize: 6 },
      ...{ vocabularySize: 11, contextLength: 9, feedForward: 37 },
    }),
    ...{ batchSize: 3, optimizer: "lamb", clipNorm: 0.5, recompute: true },
  },
  "qwen3 momentum": {
    model: configureModel({
      ...{ style: "qwen3", layers: 2, width: 16, heads: 4, groups: 2, headSize: 10 },
      ...{ vocabularySize: 17, contextLength: 5, tied: false },
    }),
    ...{ batchSize: 1, evaluateBatchSize: 3, optimizer: "momentum", clipNorm: 0 },
  },
};

/** Writes what the host would before the first step, so that the whole plan runs at one go. */
function writeInputs(plan: Plan, spaces: readonly Uint8Array<ArrayBuffer>[]): void {
  const bytesOf = ({ space, offsetBytes, shape }: PlannedTensor) => {
    const count = shape.reduce((product, extent) => product * extent, 1);
    const memory = spaces[plan.spaces.findIndex(({ name }) => name === space)]!;
    return [memory.buffer, offsetBytes, count] as const;
  };
  for (const { tensor, values } of plan.constants) {
    new Float32Array(...bytesOf(tensor)).set(values);
  }
  for (const tensor of plan.inputs) {
    const isTokens = /(tokens|targets)$/.test(tensor.name);
    if (isTokens)
      new Int32Array(...bytesOf(tensor)).forEach((_, i, all) => (all[i] = (i * 7) % 11));
    if (tensor.name === "randomState") new Int32Array(...bytesOf(tensor)).set([1, 2, 3, 0]);
    if (tensor.name === "lossScale") new Float32Array(...bytesOf(tensor))[0] = 0.125;
    if (!tensor.name.startsWith("hyper.")) continue;
    const values = new Float32Array(...bytesOf(tensor)).fill(1);
    values.set([0.01, 0.9, 0.1, 0.99, 0.01, 1.5, 1e-6, 0.999, 0.001]);
    values[hyper.nesterov] = 1;
  }
}

/** Every phase of small training plans, from the first weights to the evaluation, as one program. */
export function smallPlans(reference: Backend): PackableProgram[] {
  return Object.entries(requests).map(([name, options]) => {
    const plan = compileTraining(options);
    const spaces = plan.spaces.map(({ sizeBytes }) => new Uint8Array(sizeBytes));
    writeInputs(plan, spaces);
    const memories = spaces.map((contents) => {
      const memory = reference.allocate(contents.byteLength);
      memory.view(0, contents.byteLength).set(contents);
      return memory;
    });
    reference.prepare(plan.calls, memories).run();
    const expected = memories.map((memory) => memory.view(0, memory.sizeBytes).slice());
    return { name: `plan ${name}`, seed: 0, calls: plan.calls, spaces, floatWords: [], expected };
  });
}
