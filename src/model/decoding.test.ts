import { expect, test } from "bun:test";
import type { Backend, Memory } from "#src/kernel/contract.ts";
import { openReferenceBackend } from "#src/kernel/reference/reference-backend.ts";
import { assemble } from "#src/graph/assemble.ts";
import { Graph } from "#src/graph/graph.ts";
import { lowerForward } from "#src/graph/lower.ts";
import { layOutParameters } from "#src/graph/parameters.ts";
import type { PhaseName, Plan, SpaceName } from "#src/graph/plan.ts";
import { Recorder } from "#src/graph/recorder.ts";
import { FixedSpace } from "#src/graph/space.ts";
import { verifyMemory } from "#src/graph/verify.ts";
import { assembleDecoding } from "./decoding-plan.ts";
import { assembleTraining } from "./training-plan.ts";
import { configureModel, type ModelConfiguration } from "./configuration.ts";
import { Decoder } from "./decoder.ts";
import { declareParameters } from "./parameters.ts";
import { ropeTable } from "./rope-table.ts";

const shape = { layers: 2, width: 12, heads: 2, vocabularySize: 19, contextLength: 9 } as const;

/** A plan on the reference backend; `shared` lends spaces of another machine. */
class Machine {
  readonly memories: Memory[];
  readonly #run: (phase: PhaseName) => void;

  constructor(
    readonly plan: Plan,
    backend: Backend,
    shared: Partial<Record<SpaceName, Memory>> = {},
  ) {
    this.memories = plan.spaces.map(
      ({ name, sizeBytes }) => shared[name] ?? backend.allocate(sizeBytes),
    );
    const program = backend.prepare(plan.calls, this.memories);
    this.#run = (phase) => {
      const { from, to } = plan.phases.find(({ name }) => name === phase)!;
      program.run(from, to);
    };
    for (const { tensor, values } of plan.constants) {
      this.space("constants")
        .view(tensor.offsetBytes, values.byteLength)
        .set(new Uint8Array(values.buffer));
    }
  }

  space(name: SpaceName): Memory {
    return this.memories[this.plan.spaces.findIndex((space) => space.name === name)]!;
  }

  run(phase: PhaseName): void {
    this.#run(phase);
  }

  input(name: string): Int32Array {
    const tensor = this.plan.inputs.find((input) => input.name === name)!;
    const count = tensor.shape.reduce((product, extent) => product * extent, 1);
    const bytes = this.space("inputs").view(tensor.offsetBytes, count * 4);
    return new Int32Array(bytes.buffer, bytes.byteOffset, count);
  }
}

/** Logits of every row of one sequence, computed without a cache. */
function fullForwardPlan(model: ModelConfiguration, rows: number): Plan {
  const parameters = layOutParameters(declareParameters(model));
  const inputs = new FixedSpace("inputs");
  const constants = new FixedSpace("constants");
  const tokens = inputs.add("tokens", [rows], "i32");
  const logits = inputs.add("logits", [rows, model.vocabularySize]);
  const { contextLength, headSize, ropeTheta, style } = model;
  const rotary = style !== "gpt2";
  const graph = new Graph(false);
  const decoder = new Decoder({
    graph,
    model,
    parameters,
    tokens,
    batchSize: 1,
    sequenceLength: rows,
    ropeTable: rotary ? constants.add("rope", [contextLength, headSize]) : null,
    randomState: null,
    decoding: null,
  });
  const x = decoder.build();
  const out = graph.fixed("logits", logits);
  graph.apply({
    name: "logits",
    inputs: [x, decoder.headWeight],
    outputs: [out],
    forward: (run) =>
      run.emit(
        "matmul",
        { a: run.place(x), b: run.place(decoder.headWeight), out: logits },
        {
          M: rows,
          N: model.vocabularySize,
          K: model.width,
          aStride: model.width,
          bStride: model.width,
          outStride: model.vocabularySize,
          transposeA: 0,
          transposeB: 1,
          activation: 0,
          accumulate: 0,
          auxiliaryStride: 0,
          residualStride: 0,
        },
      ),
  });
  const recorder = new Recorder("evaluate");
  lowerForward(graph, recorder);
  const spaces = [
    { name: "parameters" as const, sizeBytes: parameters.elements * 4 },
    { name: "inputs" as const, sizeBytes: inputs.sizeBytes },
    { name: "constants" as const, sizeBytes: constants.sizeBytes },
  ];
  const list = constants.tensors.map((tensor) => ({
    tensor,
    values: ropeTable(contextLength, headSize, ropeTheta),
  }));
  return assemble({
    recorders: [recorder],
    spaces,
    parameters,
    inputs: inputs.tensors,
    constants: list,
  }).plan;
}

for (const style of ["gpt2", "llama", "qwen3"] as const) {
  test(`T-8 decoding ${style} with a cache gives the full forward's logits to the bit`, () => {
    const groups = style === "gpt2" ? 2 : 1;
    const model = configureModel({ ...shape, style, groups });
    const backend = openReferenceBackend();
    const training = assembleTraining({
      model,
      batchSize: 1,
      contextLength: 4,
      optimizer: "adamw",
      clipNorm: 1,
    });
    const trainer = new Machine(training.plan, backend);
    trainer.input("randomState").set([42, 0, 0, 0]);
    trainer.run("initialise");
    const parameters = trainer.space("parameters");

    const rows = 8;
    const tokens = Array.from(
      { length: rows },
      (_, index) => (index * 7 + 3) % model.vocabularySize,
    );
    const full = new Machine(fullForwardPlan(model, rows), backend, { parameters });
    full.input("tokens").set(tokens);
    full.run("evaluate");
    const expected = full.input("logits");

    const assembled = assembleDecoding({ model, capacity: 9, prefillRows: 3 });
    verifyMemory(assembled);
    const decoder = new Machine(assembled.plan, backend, { parameters });
    const check = (row: number): void => {
      const { vocabularySize } = model;
      const wanted = expected.slice(row * vocabularySize, (row + 1) * vocabularySize);
      expect(wanted.some((bits) => bits !== 0)).toBe(true);
      expect(decoder.input("logits").slice()).toEqual(wanted);
    };
    for (const start of [0, 3]) {
      decoder.input("tokens").set(tokens.slice(start, start + 3));
      decoder.input("position")[0] = start;
      decoder.run("prefill");
      check(start + 2);
    }
    for (const row of [6, 7]) {
      decoder.input("tokens")[0] = tokens[row]!;
      decoder.input("position")[0] = row;
      decoder.run("decode");
      check(row);
    }
  });
}

test("T-3 decoding plans have the training plan's parameter layout", () => {
  const model = configureModel({ ...shape, style: "qwen3", tied: false });
  const training = assembleTraining({
    model,
    batchSize: 1,
    optimizer: "sgd",
    clipNorm: 0,
    frozen: ["model.layers.0.*"],
  });
  const decoding = assembleDecoding({ model, capacity: 4 });
  expect(decoding.plan.parameters).toEqual(training.plan.parameters);
});
