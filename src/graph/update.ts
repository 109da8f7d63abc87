import { blockLength, hyper } from "#src/kernel/contract.ts";
import { padded, trainedTensor, type Parameter, type ParameterTable } from "./parameters.ts";
import type { Recorder } from "./recorder.ts";
import type { FixedSpace } from "./space.ts";
import { wholeOf, type Storage, type Tensor } from "./tensor.ts";

/** Optimizers a plan can carry. Momentum with Nesterov is `momentum` with hyper.nesterov set. */
export const optimizerNames = ["sgd", "momentum", "adam", "adamw", "lars", "lamb"] as const;
export type OptimizerName = (typeof optimizerNames)[number];

/** Parameters under one set of hyperparameters. */
const groupNames = ["decay", "plain"] as const;
export type GroupName = (typeof groupNames)[number];

/** Which moments an optimizer keeps. */
export function momentsOf(optimizer: OptimizerName): readonly ("first" | "second")[] {
  if (optimizer === "sgd") return [];
  return optimizer === "momentum" || optimizer === "lars" ? ["first"] : ["first", "second"];
}

export interface UpdateOptions {
  readonly optimizer: OptimizerName;
  readonly clipNorm: number;
  /** Embeddings belong to `decay` rather than `plain`. */
  readonly decayEmbeddings: boolean;
  readonly table: ParameterTable;
  readonly storages: Readonly<Record<"gradients" | "first" | "second", Storage>>;
}

/** The vectors and scalars the update reads and leaves for the host. */
export interface UpdateTensors {
  readonly hyper: Readonly<Record<GroupName, Tensor>>;
  readonly clip: Tensor;
  readonly parameterSquares: Tensor;
  readonly updateSquares: Tensor;
}

export function addUpdateTensors(inputs: FixedSpace): UpdateTensors {
  return {
    hyper: {
      decay: inputs.add("hyper.decay", [hyper.length]),
      plain: inputs.add("hyper.plain", [hyper.length]),
    },
    clip: inputs.add("clip", [2]),
    parameterSquares: inputs.add("parameterSquares", [1]),
    updateSquares: inputs.add("updateSquares", [1]),
  };
}

const blocksOf = (count: number): number => Math.ceil(count / blockLength);

/** The `norm` phase: one reduction over the whole gradients space, whose padding is zero. */
export function emitNorm(recorder: Recorder, options: UpdateOptions, clip: Tensor): void {
  const gradients = options.storages.gradients;
  const count = gradients.elements;
  const x = wholeOf(gradients);
  const partial = recorder.activation("gradientPartial", 1, blocksOf(count));
  const out = recorder.activation("gradientSquares", 1, 1);
  recorder.label = "gradientNorm";
  recorder.emit("sum_squares", { x, partial, out }, { count });
  recorder.emit("clip_scale", { sumSquares: out, out: clip }, {}, { maximum: options.clipNorm });
}

/** A stretch of parameters that lie side by side, updated by the same call. */
interface Stretch {
  readonly group: GroupName;
  readonly name: string;
  readonly parameter: Tensor;
  readonly gradient: Tensor;
  readonly first: Tensor;
  readonly second: Tensor;
  readonly count: number;
}

/** The `update` phase: the optimizer over every stretch, then the parameter and update norms. */
export function emitUpdate(
  recorder: Recorder,
  options: UpdateOptions,
  tensors: UpdateTensors,
): void {
  const stretches = stretchesOf(options);
  const blockCount = stretches.reduce((total, { count }) => total + blocksOf(count), 0);
  const parameterPartials = recorder.activation("parameterPartials", 1, blockCount);
  const updatePartials = recorder.activation("updatePartials", 1, blockCount);
  let block = 0;
  for (const stretch of stretches) {
    recorder.label = `${options.optimizer}.${stretch.name}`;
    const columns = blocksOf(stretch.count);
    emitters[options.optimizer](recorder, stretch, tensors, {
      parameterPartial: { ...parameterPartials, offset: block, columns },
      updatePartial: { ...updatePartials, offset: block, columns },
    });
    block += columns;
  }
  const sums = [
    ["parameterNorm", parameterPartials, tensors.parameterSquares],
    ["updateNorm", updatePartials, tensors.updateSquares],
  ] as const;
  for (const [label, x, out] of sums) {
    recorder.label = label;
    const partial = recorder.activation("partial", 1, blocksOf(blockCount));
    recorder.emit("sum", { x, partial, out }, { count: blockCount });
  }
}

interface Partials {
  readonly parameterPartial: Tensor;
  readonly updatePartial: Tensor;
}

type Emitter = (
  recorder: Recorder,
  stretch: Stretch,
  tensors: UpdateTensors,
  partials: Partials,
) => void;

const adam: Emitter = (recorder, stretch, { hyper, clip }, partials) => {
  const { parameter, gradient, first, second, count } = stretch;
  recorder.emit(
    "adam",
    { parameter, gradient, first, second, hyper: hyper[stretch.group], clip, ...partials },
    { count },
  );
};

const descend =
  (withVelocity: boolean): Emitter =>
  (recorder, stretch, { hyper, clip }, partials) => {
    const { parameter, gradient, count } = stretch;
    const velocity = withVelocity ? stretch.first : null;
    recorder.emit(
      "sgd",
      { parameter, gradient, velocity, hyper: hyper[stretch.group], clip, ...partials },
      { count },
    );
  };

/** The squared norm of one tensor, kept only until the trust ratio is known. */
function squares(recorder: Recorder, x: Tensor, count: number): Tensor {
  const partial = recorder.activation("partial", 1, blocksOf(count));
  const out = recorder.activation("squares", 1, 1);
  recorder.emit("sum_squares", { x, partial, out }, { count });
  return out;
}

/** Layer-wise rates (You et al. 2017): matrices take the trust ratio, norms and biases plain momentum. */
const lars: Emitter = (recorder, stretch, tensors, partials) => {
  if (stretch.group === "plain") return descend(true)(recorder, stretch, tensors, partials);
  const { parameter, gradient, count } = stretch;
  const { clip } = tensors;
  const hyper = tensors.hyper[stretch.group];
  const parameterSquares = squares(recorder, parameter, count);
  const updateSquares = squares(recorder, gradient, count);
  const ratio = recorder.activation("ratio", 1, 1);
  recorder.emit(
    "trust_ratio",
    { parameterSquares, updateSquares, hyper, clip, out: ratio },
    { mode: 0 },
  );
  recorder.emit(
    "sgd",
    { parameter, gradient, velocity: stretch.first, hyper, clip, ratio, ...partials },
    { count },
  );
};

/** Layer-wise Adam (You et al. 2020). */
const lamb: Emitter = (recorder, stretch, tensors, partials) => {
  const { parameter, gradient, first, second, count } = stretch;
  const { clip } = tensors;
  const hyper = tensors.hyper[stretch.group];
  const direction = recorder.activation("direction", 1, count);
  recorder.emit(
    "lamb_direction",
    { parameter, gradient, first, second, hyper, clip, direction },
    { count },
  );
  const parameterSquares = squares(recorder, parameter, count);
  const updateSquares = squares(recorder, direction, count);
  const ratio = recorder.activation("ratio", 1, 1);
  recorder.emit("trust_ratio", { parameterSquares, updateSquares, hyper, out: ratio }, { mode: 1 });
  recorder.emit("apply_direction", { parameter, direction, hyper, ratio, ...partials }, { count });
};

const emitters: Readonly<Record<OptimizerName, Emitter>> = {
  sgd: descend(false),
  momentum: descend(true),
  adam,
  adamw: adam,
  lars,
  lamb,
};

function groupOf(parameter: Parameter, decayEmbeddings: boolean): GroupName {
  if (parameter.kind === "embedding") return decayEmbeddings ? "decay" : "plain";
  return parameter.kind === "matrix" ? "decay" : "plain";
}

/** Neighbours of one group join into one stretch, except where ratios are per tensor. */
function stretchesOf({ table, storages, optimizer, decayEmbeddings }: UpdateOptions): Stretch[] {
  const perTensor = optimizer === "lars" || optimizer === "lamb";
  const stretches: Stretch[] = [];
  let lastIndex = -2;
  for (const parameter of table.list) {
    if (parameter.frozen) continue;
    const group = groupOf(parameter, decayEmbeddings);
    const count = padded(parameter.tensor.rows * parameter.tensor.columns);
    const last = stretches.at(-1);
    const joins = !perTensor && last?.group === group && lastIndex === parameter.index - 1;
    lastIndex = parameter.index;
    if (joins) {
      stretches[stretches.length - 1] = { ...last, name: group, count: last.count + count };
      continue;
    }
    stretches.push({
      group,
      name: parameter.name,
      parameter: parameter.tensor,
      gradient: trainedTensor(parameter, storages.gradients),
      first: trainedTensor(parameter, storages.first),
      second: trainedTensor(parameter, storages.second),
      count,
    });
  }
  return stretches;
}
