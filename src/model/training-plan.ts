import { blockLength, randomState } from "#src/kernel/contract.ts";
import { assemble, type Assembled } from "#src/graph/assemble.ts";
import { Differentiation } from "#src/graph/differentiate.ts";
import { Graph } from "#src/graph/graph.ts";
import { headLoss } from "#src/graph/head.ts";
import { emitInitialise } from "#src/graph/initialise.ts";
import { lowerForward } from "#src/graph/lower.ts";
import { layOutParameters, trainedStorage, type ParameterTable } from "#src/graph/parameters.ts";
import { Recorder } from "#src/graph/recorder.ts";
import { FixedSpace } from "#src/graph/space.ts";
import { elementBytes, type Storage, type Tensor } from "#src/graph/tensor.ts";
import {
  addUpdateTensors,
  emitNorm,
  emitUpdate,
  momentsOf,
  type OptimizerName,
  type UpdateOptions,
} from "#src/graph/update.ts";
import type { ModelConfiguration } from "./configuration.ts";
import { Decoder, type DecoderSettings } from "./decoder.ts";
import { declareParameters } from "./parameters.ts";
import { checkExtent, checkParameters, isNamed } from "./plan-checks.ts";
import { RopeConstants } from "./rope-constants.ts";

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

const maximumBatchSize = 1_048_576;

/** The plan of training steps and evaluation, with its symbolic calls. Refuses with `model_invalid`. */
export function assembleTraining(options: TrainingOptions): Assembled {
  const { model, batchSize, optimizer, clipNorm, frozen = [] } = options;
  const contextLength = options.contextLength ?? model.contextLength;
  const evaluateBatchSize = options.evaluateBatchSize ?? batchSize;
  checkExtent("batchSize", batchSize, maximumBatchSize);
  checkExtent("evaluateBatchSize", evaluateBatchSize, maximumBatchSize);
  checkExtent("contextLength", contextLength, model.contextLength);
  const parameters = layOutParameters(declareParameters(model), (name) => isNamed(name, frozen));
  checkParameters(parameters, frozen);

  const inputs = new FixedSpace("inputs");
  const step = addStepTensors(inputs, batchSize * contextLength);
  const updateTensors = addUpdateTensors(inputs);
  const evaluated = addEvaluationTensors(inputs, evaluateBatchSize * contextLength);
  const constants = new RopeConstants(model);
  const storages = {
    gradients: trainedStorage("gradients", parameters),
    first: trainedStorage("first", parameters),
    second: trainedStorage("second", parameters),
  };
  const decayEmbeddings = options.decayEmbeddings ?? true;
  const update: UpdateOptions = {
    optimizer,
    clipNorm,
    decayEmbeddings,
    table: parameters,
    storages,
  };
  const trained = ["gradients" as const, ...momentsOf(optimizer)];
  const decoder = {
    model,
    parameters,
    sequenceLength: contextLength,
    ropeTable: constants.table,
    decoding: null,
  };

  const training = trainingGraph({ ...decoder, batchSize }, step);
  const gradientPhase = (phase: "gradient" | "accumulate") =>
    recordGradient(phase, training, step, storages.gradients, options.recompute ?? false);
  const zeroed = [parameters.list[0]!.tensor.storage, ...trained.map((name) => storages[name])];
  const sizeBytes = (elements: number): number => elements * elementBytes;
  return assemble({
    recorders: [
      record("initialise", (recorder) =>
        emitInitialise(recorder, parameters, zeroed, step.randomState),
      ),
      gradientPhase("gradient"),
      ...((options.microBatches ?? 1) > 1 ? [gradientPhase("accumulate")] : []),
      record("norm", (recorder) => emitNorm(recorder, update, updateTensors.clip)),
      record("update", (recorder) => emitUpdate(recorder, update, updateTensors)),
      evaluatePhase({ ...decoder, batchSize: evaluateBatchSize }, evaluated),
    ],
    spaces: [
      { name: "parameters", sizeBytes: sizeBytes(parameters.elements) },
      ...trained.map((name) => ({ name, sizeBytes: sizeBytes(parameters.trainedElements) })),
      { name: "inputs", sizeBytes: inputs.sizeBytes },
      { name: "constants", sizeBytes: constants.space.sizeBytes },
    ],
    parameters,
    inputs: inputs.tensors,
    constants: constants.list,
  });
}

/** A phase of calls that no graph gives. */
function record(
  phase: "initialise" | "norm" | "update",
  emit: (recorder: Recorder) => void,
): Recorder {
  const recorder = new Recorder(phase);
  emit(recorder);
  return recorder;
}

/** The forward and backward pass; `accumulate` adds to the gradients, `gradient` overwrites them. */
function recordGradient(
  phase: "gradient" | "accumulate",
  training: Graph,
  step: StepTensors,
  gradients: Storage,
  recompute: boolean,
): Recorder {
  const recorder = new Recorder(phase);
  const accumulate = phase === "accumulate";
  new Differentiation(recorder, { gradients, accumulate, recompute }).differentiate(training);
  emitSum(recorder, step.losses, step.lossSum);
  return recorder;
}

type Common = Pick<
  DecoderSettings,
  "model" | "parameters" | "sequenceLength" | "ropeTable" | "decoding" | "batchSize"
> & { readonly parameters: ParameterTable };

type StepTensors = ReturnType<typeof addStepTensors>;
type EvaluationTensors = ReturnType<typeof addEvaluationTensors>;

const addStepTensors = (inputs: FixedSpace, rows: number) => ({
  tokens: inputs.add("tokens", [rows], "i32"),
  targets: inputs.add("targets", [rows], "i32"),
  lossScale: inputs.add("lossScale", [1]),
  randomState: inputs.add("randomState", [randomState.length], "i32"),
  losses: inputs.add("losses", [rows]),
  lossSum: inputs.add("lossSum", [1]),
});

const addEvaluationTensors = (inputs: FixedSpace, rows: number) => ({
  tokens: inputs.add("evaluate.tokens", [rows], "i32"),
  targets: inputs.add("evaluate.targets", [rows], "i32"),
  losses: inputs.add("evaluate.losses", [rows]),
  lossSum: inputs.add("evaluate.lossSum", [1]),
  predictions: inputs.add("evaluate.predictions", [rows], "i32"),
});

function trainingGraph(common: Common, step: StepTensors): Graph {
  const graph = new Graph(true);
  const random = common.model.dropout > 0 ? step.randomState : null;
  const decoder = new Decoder({ ...common, graph, tokens: step.tokens, randomState: random });
  headLoss(graph, decoder.build(), decoder.headWeight, {
    targets: graph.fixed("targets", step.targets),
    lossScale: graph.fixed("lossScale", step.lossScale),
    losses: graph.fixed("losses", step.losses),
  });
  return graph;
}

function evaluatePhase(common: Common, evaluated: EvaluationTensors): Recorder {
  const recorder = new Recorder("evaluate");
  const graph = new Graph(false);
  const decoder = new Decoder({ ...common, graph, tokens: evaluated.tokens, randomState: null });
  headLoss(graph, decoder.build(), decoder.headWeight, {
    targets: graph.fixed("targets", evaluated.targets),
    losses: graph.fixed("losses", evaluated.losses),
    predictions: graph.fixed("predictions", evaluated.predictions),
  });
  lowerForward(graph, recorder);
  emitSum(recorder, evaluated.losses, evaluated.lossSum);
  return recorder;
}

function emitSum(recorder: Recorder, x: Tensor, out: Tensor): void {
  recorder.label = "lossSum";
  const count = x.columns;
  const partial = recorder.activation("partial", 1, Math.ceil(count / blockLength));
  recorder.emit("sum", { x, partial, out }, { count });
}
