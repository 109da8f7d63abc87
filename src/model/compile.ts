import { Refusal } from "#src/refusal/refusal.ts";
import { randomState } from "#src/kernel/contract.ts";
import { assemble, type Assembled } from "#src/graph/assemble.ts";
import { Differentiation } from "#src/graph/differentiate.ts";
import { Graph } from "#src/graph/graph.ts";
import { headLoss, lastRowLogits } from "#src/graph/head.ts";
import { emitInitialise } from "#src/graph/initialise.ts";
import { lowerForward } from "#src/graph/lower.ts";
import { layOutParameters, trainedStorage, type ParameterTable } from "#src/graph/parameters.ts";
import type { Plan, Space } from "#src/graph/plan.ts";
import { Recorder } from "#src/graph/recorder.ts";
import { FixedSpace } from "#src/graph/space.ts";
import { elementBytes, type Tensor } from "#src/graph/tensor.ts";
import {
  addUpdateTensors,
  emitNorm,
  emitUpdate,
  momentsOf,
  type OptimizerName,
} from "#src/graph/update.ts";
import type { ModelConfiguration } from "./configuration.ts";
import { Decoder } from "./decoder.ts";
import { declareParameters } from "./parameters.ts";
import { ropeTable } from "./rope-table.ts";

export interface TrainingOptions {
  readonly model: ModelConfiguration;
  /** Sequences per micro-batch. */
  readonly batchSize: number;
  /** Tokens per sequence; at most the model's contextLength, which is the default. */
  readonly contextLength?: number;
  /** More than one adds the `accumulate` phase. The count itself is the host's loop. */
  readonly microBatches?: number;
  readonly optimizer: OptimizerName;
  /** Largest gradient norm; 0 measures without clipping. */
  readonly clipNorm: number;
  /** Blocks are computed again in the backward pass instead of kept. */
  readonly recompute?: boolean;
  /** Sequences per evaluation call; batchSize by default. */
  readonly evaluateBatchSize?: number;
  /** Names of parameters that do not learn, exact or ending in `*`. */
  readonly frozen?: readonly string[];
  /** Embedding tables belong to the `decay` group (true by default), else to `plain`. */
  readonly decayEmbeddings?: boolean;
}

export interface DecodingOptions {
  readonly model: ModelConfiguration;
  /** Tokens the cache holds; at most the model's contextLength. */
  readonly capacity: number;
  /** Tokens of one prefill block; 0 or absent: no prefill phase. */
  readonly prefillRows?: number;
}

/** The plan of training steps and evaluation. Refuses with `model_invalid`. */
export function compileTraining(options: TrainingOptions): Plan {
  return assembleTraining(options).plan;
}

/** The plan of token-by-token decoding over the same parameter layout. Refuses with `model_invalid`. */
export function compileDecoding(options: DecodingOptions): Plan {
  return assembleDecoding(options).plan;
}

/** compileTraining with the symbolic calls beside the plan. */
export function assembleTraining(options: TrainingOptions): Assembled {
  const { model, batchSize, optimizer, clipNorm } = options;
  const contextLength = options.contextLength ?? model.contextLength;
  const evaluateBatchSize = options.evaluateBatchSize ?? batchSize;
  checkExtent("batchSize", batchSize, 1_048_576);
  checkExtent("evaluateBatchSize", evaluateBatchSize, 1_048_576);
  checkExtent("contextLength", contextLength, model.contextLength);
  const parameters = layOutParameters(declareParameters(model), frozenTest(options.frozen ?? []));
  checkParameters(parameters, options.frozen ?? []);
  const rows = batchSize * contextLength;
  const evaluateRows = evaluateBatchSize * contextLength;
  const inputs = new FixedSpace("inputs");
  const constants = new RopeConstants(model);
  const step = {
    tokens: inputs.add("tokens", [rows], "i32"),
    targets: inputs.add("targets", [rows], "i32"),
    lossScale: inputs.add("lossScale", [1]),
    randomState: inputs.add("randomState", [randomState.length], "i32"),
    losses: inputs.add("losses", [rows]),
    lossSum: inputs.add("lossSum", [1]),
  };
  const update = addUpdateTensors(inputs);
  const evaluate = {
    tokens: inputs.add("evaluate.tokens", [evaluateRows], "i32"),
    targets: inputs.add("evaluate.targets", [evaluateRows], "i32"),
    losses: inputs.add("evaluate.losses", [evaluateRows]),
    lossSum: inputs.add("evaluate.lossSum", [1]),
    predictions: inputs.add("evaluate.predictions", [evaluateRows], "i32"),
  };
  const storages = {
    gradients: trainedStorage("gradients", parameters),
    first: trainedStorage("first", parameters),
    second: trainedStorage("second", parameters),
  };
  const moments = momentsOf(optimizer);

  const initialise = new Recorder("initialise");
  const zeroed = ["gradients" as const, ...moments].map((name) => storages[name]);
  const parameterStorage = parameters.list[0]!.tensor.storage;
  emitInitialise(initialise, parameters, [parameterStorage, ...zeroed], step.randomState);

  const decoder = {
    model,
    parameters,
    sequenceLength: contextLength,
    ropeTable: constants.table,
    decoding: null,
  };
  const training = new Graph(true);
  const network = new Decoder({
    ...decoder,
    graph: training,
    tokens: step.tokens,
    batchSize,
    randomState: model.dropout > 0 ? step.randomState : null,
  });
  headLoss(training, network.build(), network.headWeight, {
    targets: training.fixed("targets", step.targets),
    lossScale: training.fixed("lossScale", step.lossScale),
    losses: training.fixed("losses", step.losses),
  });
  const gradientPhase = (name: "gradient" | "accumulate"): Recorder => {
    const recorder = new Recorder(name);
    new Differentiation(recorder, {
      gradients: storages.gradients,
      accumulate: name === "accumulate",
      recompute: options.recompute ?? false,
    }).differentiate(training);
    emitSum(recorder, step.losses, step.lossSum);
    return recorder;
  };

  const settings = {
    optimizer,
    clipNorm,
    decayEmbeddings: options.decayEmbeddings ?? true,
    table: parameters,
    storages,
  };
  const norm = new Recorder("norm");
  emitNorm(norm, settings, update.clip);
  const updating = new Recorder("update");
  emitUpdate(updating, settings, update);

  const evaluation = new Recorder("evaluate");
  const forward = new Graph(false);
  const evaluated = new Decoder({
    ...decoder,
    graph: forward,
    tokens: evaluate.tokens,
    batchSize: evaluateBatchSize,
    randomState: null,
  });
  headLoss(forward, evaluated.build(), evaluated.headWeight, {
    targets: forward.fixed("targets", evaluate.targets),
    losses: forward.fixed("losses", evaluate.losses),
    predictions: forward.fixed("predictions", evaluate.predictions),
  });
  lowerForward(forward, evaluation);
  emitSum(evaluation, evaluate.losses, evaluate.lossSum);

  const accumulate = (options.microBatches ?? 1) > 1 ? [gradientPhase("accumulate")] : [];
  return assemble({
    recorders: [initialise, gradientPhase("gradient"), ...accumulate, norm, updating, evaluation],
    spaces: [
      parameterSpace(parameters),
      ...["gradients" as const, ...moments].map((name) => ({
        name,
        sizeBytes: parameters.trainedElements * elementBytes,
      })),
      inputs,
      constants.space,
    ].map(sizeOf),
    parameters,
    inputs: inputs.tensors,
    constants: constants.list,
  });
}

/** compileDecoding with the symbolic calls beside the plan. */
export function assembleDecoding(options: DecodingOptions): Assembled {
  const { model, capacity, prefillRows = 0 } = options;
  checkExtent("capacity", capacity, model.contextLength);
  if (prefillRows !== 0) checkExtent("prefillRows", prefillRows, capacity);
  const parameters = layOutParameters(declareParameters(model));
  const constants = new RopeConstants(model);
  const inputs = new FixedSpace("inputs");
  const tokens = inputs.add("tokens", [Math.max(1, prefillRows)], "i32");
  const position = inputs.add("position", [1], "i32");
  const logits = inputs.add("logits", [model.vocabularySize]);
  const cache = new FixedSpace("cache");
  const cacheShape = [capacity, model.groups * model.headSize];
  const caches = Array.from({ length: model.layers }, (_, layer) => ({
    key: cache.add(`cache.${layer}.key`, cacheShape),
    value: cache.add(`cache.${layer}.value`, cacheShape),
  }));
  const phase = (name: "decode" | "prefill", rows: number): Recorder => {
    const recorder = new Recorder(name);
    const graph = new Graph(false);
    const decoder = new Decoder({
      graph,
      model,
      parameters,
      tokens: { ...tokens, columns: rows, stride: rows },
      batchSize: 1,
      sequenceLength: rows,
      ropeTable: constants.table,
      randomState: null,
      decoding: { position, caches },
    });
    lastRowLogits(graph, decoder.build(), decoder.headWeight, graph.fixed("logits", logits));
    lowerForward(graph, recorder);
    return recorder;
  };
  return assemble({
    recorders: [phase("decode", 1), ...(prefillRows > 0 ? [phase("prefill", prefillRows)] : [])],
    spaces: [parameterSpace(parameters), inputs, constants.space, cache].map(sizeOf),
    parameters,
    inputs: inputs.tensors,
    constants: constants.list,
  });
}

/** The rotary table of a model, where it has one. */
class RopeConstants {
  readonly space = new FixedSpace("constants");
  readonly list: Plan["constants"];
  readonly table: Tensor | null;

  constructor({ style, contextLength, headSize, ropeTheta }: ModelConfiguration) {
    const rotary = style !== "gpt2";
    this.table = rotary ? this.space.add("rope", [contextLength, headSize]) : null;
    const [tensor] = this.space.tensors;
    this.list = tensor ? [{ tensor, values: ropeTable(contextLength, headSize, ropeTheta) }] : [];
  }
}

const parameterSpace = ({ elements }: ParameterTable): Space => ({
  name: "parameters",
  sizeBytes: elements * elementBytes,
});

const sizeOf = ({ name, sizeBytes }: Space): Space => ({ name, sizeBytes });

function emitSum(recorder: Recorder, x: Tensor, out: Tensor): void {
  recorder.label = "lossSum";
  const count = x.columns;
  const partial = recorder.activation("partial", 1, Math.ceil(count / 4_096));
  recorder.emit("sum", { x, partial, out }, { count });
}

const matches = (pattern: string, name: string): boolean =>
  pattern.endsWith("*") ? name.startsWith(pattern.slice(0, -1)) : name === pattern;

function frozenTest(patterns: readonly string[]): (name: string) => boolean {
  return (name) => patterns.some((pattern) => matches(pattern, name));
}

/** Backends take 32-bit counts, and a space is reduced and updated in one call. */
const maximumSpaceElements = 2 ** 31 - 1;

function checkParameters(parameters: ParameterTable, frozen: readonly string[]): void {
  const unmatched = frozen.find(
    (pattern) => !parameters.list.some(({ name }) => matches(pattern, name)),
  );
  if (unmatched !== undefined) refuse("frozen", `no parameter is called ${unmatched}`);
  if (parameters.trainedElements === 0) refuse("frozen", "every parameter is frozen");
  if (parameters.elements > maximumSpaceElements) {
    refuse("layers", `${parameters.elements} parameters exceed ${maximumSpaceElements}`);
  }
}

function checkExtent(field: string, value: number, maximum: number): void {
  if (Number.isSafeInteger(value) && value >= 1 && value <= maximum) return;
  refuse(field, `${field} is ${value}, not a whole number from 1 to ${maximum}`);
}

function refuse(field: string, message: string): never {
  throw new Refusal(
    "model_invalid",
    `This cannot be planned: ${message}.`,
    "Change that setting.",
    { field },
  );
}
