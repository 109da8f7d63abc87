/** A request turned into what the mesh agrees on: how the run is cut into slots and windows. */
import type { Dataset } from "#src/dataset/dataset.ts";
import { durationMs } from "#src/cluster/duration.ts";
import { parameterCount, trainingFlopsPerToken } from "#src/model/cost.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { outerOf } from "#src/train/delta/outer.ts";
import {
  makeRunDocument,
  specOf,
  usualDecayPerMille,
  type RunDocument,
} from "#src/train/run-document.ts";
import { manifestOf } from "#src/train/run-request.ts";
import type { TrainRequest } from "#src/train/train-parameters.ts";
import { perMillion, segmentMaximum, windowStepMaximum } from "#src/window/bounds.ts";
import type { RunSpec } from "#src/window/run.ts";
import { meshDefaults as defaults } from "./mesh-defaults.ts";
import type { MeshWords } from "./mesh-words.ts";

export type MeshRequest = TrainRequest & MeshWords;

/** What is known of the machines when a run begins. */
export interface MeshPower {
  /** Nodes that will work from the start. */
  readonly trainerCount: number;
  /** FLOP/s a node reaches in training, where one was measured. */
  readonly flopsPerSecond: number | null;
}

export interface MeshPlan {
  readonly document: RunDocument;
  /** What of it the log knows. */
  readonly spec: RunSpec;
  readonly tokens: number;
  /** Where nobody comes or leaves. */
  readonly windowCount: number;
  /** A guess; it decides how long windows are and how long is waited, and nothing else. */
  readonly secondsPerStep: number;
}

/** Parameters, two moments and what the codec left out: what a validator fetches to recompute a segment. */
const stateBytesPerParameter = 16;

const clamp = (least: number, value: number, most: number) =>
  Math.max(least, Math.min(value, most));

/**
 * Plans a run. The words of `train` mean what they mean for one machine: steps times batch is what the whole run
 * reads, however many nodes share it. Refusals: those of `manifestOf` and `makeRunDocument`, and `usage` for words that
 * contradict each other.
 */
export function planMeshRun(request: MeshRequest, dataset: Dataset, power: MeshPower): MeshPlan {
  if (request.minutes !== undefined)
    throw contradiction(
      "--minutes: a run of the mesh has a fixed number of steps",
      "Give --steps.",
    );
  const whole = manifestOf(request, dataset);
  const batchSize =
    request.nodeBatch ?? Math.max(1, Math.floor(whole.batchSize / power.trainerCount));
  const manifest =
    batchSize === whole.batchSize ? whole : manifestOf({ ...request, batch: batchSize }, dataset);
  const scheduleSteps = whole.schedule.steps;
  const slots = Math.ceil((scheduleSteps * whole.batchSize) / batchSize);
  const slotTokens = batchSize * manifest.microBatches * manifest.contextLength;
  const secondsPerStep =
    (slotTokens * trainingFlopsPerToken(manifest.model, manifest.contextLength)) /
    (power.flopsPerSecond ?? defaults.assumedFlops);
  const steps = stepsOf(request, Math.ceil(slots / power.trainerCount), secondsPerStep);
  const { codec: name = defaults.codec, carry } = request;
  const decayPerMille = carry === undefined ? usualDecayPerMille[name] : Math.round(1_000 * carry);
  const document = makeRunDocument(manifest, {
    codec: { name, decayPerMille },
    outer: outerOf(
      request.outerRate ?? defaults.outerRate,
      request.outerMomentum ?? defaults.outerMomentum,
    ),
    windows: {
      ...{ slots, ...steps, pace: request.pace ?? defaults.pace },
      ...consentOf(request, power.trainerCount, {
        seconds: steps.segmentSteps * secondsPerStep,
        stateBytes: stateBytesPerParameter * parameterCount(manifest.model),
      }),
      ...patienceOf(request, steps, secondsPerStep),
    },
  });
  const windowCount = Math.ceil(slots / (steps.windowSteps * power.trainerCount));
  const tokens = slots * slotTokens;
  return { document, spec: specOf(document), tokens, windowCount, secondsPerStep };
}

/** H, and the steps between commitments. `nodeSteps` is what each node does in the whole run. */
function stepsOf(
  request: MeshRequest,
  nodeSteps: number,
  secondsPerStep: number,
): Pick<RunSpec, "windowSteps" | "segmentSteps"> {
  const wanted = Math.round(defaults.windowSeconds / secondsPerStep);
  const { windowsLeast, windowsMost, windowStepsLeast } = defaults;
  const usual = clamp(nodeSteps / windowsMost, wanted, nodeSteps / windowsLeast);
  const windowSteps =
    request.windowSteps ??
    Math.round(clamp(Math.min(windowStepsLeast, nodeSteps), usual, windowStepMaximum));
  const segmentSteps =
    request.segmentSteps ?? Math.max(1, Math.ceil(windowSteps / defaults.segments));
  if (segmentSteps > windowSteps)
    throw contradiction(
      `--segment-steps ${segmentSteps} passes the ${windowSteps} steps of a window`,
      `Give at most ${windowSteps}, or longer windows: --window-steps.`,
    );
  if (Math.ceil(windowSteps / segmentSteps) > segmentMaximum)
    throw contradiction(
      `--segment-steps ${segmentSteps} cuts a window into more than ${segmentMaximum} segments`,
      `Give at least ${Math.ceil(windowSteps / segmentMaximum)}.`,
    );
  return { windowSteps, segmentSteps };
}

/** Who judges, and how much agreement there must be. */
function consentOf(
  request: MeshRequest,
  trainerCount: number,
  segment: { readonly seconds: number; readonly stateBytes: number },
): Pick<RunSpec, "participants" | "validators" | "replayPerMillion" | "quorum" | "strikes"> {
  const isCheap =
    segment.seconds <= defaults.alwaysReplayedSeconds &&
    segment.stateBytes <= defaults.alwaysReplayedBytes;
  const replay = request.replay ?? (isCheap ? 1 : defaults.replay);
  const participants = request.participants ?? Math.max(defaults.participants, trainerCount);
  const quorum = request.quorum ?? Math.min(participants, Math.floor(trainerCount / 2) + 1);
  if (quorum > participants)
    throw contradiction(
      `--quorum ${quorum} passes the ${participants} nodes that work in a window`,
      "Give a smaller --quorum or more --participants.",
    );
  return {
    participants,
    validators: request.validators ?? defaults.validators,
    replayPerMillion: Math.round(replay * perMillion),
    quorum,
    strikes: request.strikes ?? defaults.strikes,
  };
}

/** How long is waited before the coordinator goes on: several times what the work should take. */
function patienceOf(
  request: MeshRequest,
  { windowSteps, segmentSteps }: Pick<RunSpec, "windowSteps" | "segmentSteps">,
  secondsPerStep: number,
): Pick<RunSpec, "trainMs" | "judgeMs" | "mergeMs" | "silenceMs"> {
  const { patienceTimes, trainLeastMs, judgeLeastMs, mergeLeastMs, patienceMostMs } = defaults;
  const wait = (words: string | undefined, steps: number, leastMs: number) =>
    words === undefined
      ? Math.ceil(
          Math.min(patienceMostMs, leastMs + patienceTimes * steps * secondsPerStep * 1_000),
        )
      : durationMs(words);
  return {
    trainMs: wait(request.trainPatience, windowSteps, trainLeastMs),
    judgeMs: wait(request.judgePatience, segmentSteps, judgeLeastMs),
    mergeMs: wait(request.mergePatience, 1, mergeLeastMs),
    silenceMs: wait(request.silencePatience, 0, defaults.silenceMs),
  };
}

function contradiction(message: string, hint: string): Refusal {
  return new Refusal("usage", `run start: ${message}`, hint);
}
