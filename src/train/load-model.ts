/** A run's newest sound checkpoint as a model that can be asked: decoding plan, weights, tokenizer. */
import type { Services } from "#src/command/define.ts";
import { AdditionDataset } from "#src/dataset/addition.ts";
import type { Dataset } from "#src/dataset/dataset.ts";
import { compileDecoding } from "#src/model/compile.ts";
import {
  checkpointSteps,
  noCheckpoint,
  restoreCheckpoint,
  type FallBack,
} from "./checkpoint-restore.ts";
import { DecodingSession } from "./decoding-session.ts";
import { Executor } from "./executor.ts";
import type { IsaName } from "./isa.ts";
import { openBackend } from "./open-backend.ts";
import { reopenRunData } from "./run-data.ts";
import type { Run } from "./run-store.ts";

/** Tokens of one prefill block. */
const prefillRows = 32;

export interface LoadedModel {
  readonly run: Run;
  /** Completed steps of the checkpoint in use. */
  readonly step: number;
  readonly fallBacks: readonly FallBack[];
  readonly dataset: Dataset;
  /** The built-in task, where the run learnt it. */
  readonly addition: AdditionDataset | null;
  readonly session: DecodingSession;
  release(): void;
}

export interface LoadOptions {
  /** Completed steps; the newest checkpoint when absent. */
  readonly step?: number | undefined;
  readonly threads?: number | undefined;
  readonly isa?: IsaName | undefined;
}

/** Refuses with `checkpoint_missing` where the run has no checkpoint (of that step) that holds. */
export async function loadModel(
  run: Run,
  services: Services,
  options: LoadOptions,
): Promise<LoadedModel> {
  const { disk, clock, home } = services;
  const { manifest } = run;
  const dataset = await reopenRunData(manifest, disk, home.root);
  const capacity = manifest.model.contextLength;
  const plan = compileDecoding({
    model: manifest.model,
    capacity,
    prefillRows: capacity >= 2 * prefillRows ? prefillRows : 0,
  });
  const { backend } = await openBackend(options.isa ?? null, options.threads ?? 1);
  const executor = new Executor(backend, plan, clock);
  const release = () => {
    executor.release();
    backend.release();
  };
  try {
    const directory = `${home.runs}/${run.id}/checkpoints`;
    const restored = await restoreCheckpoint(disk, directory, executor, {
      run: run.id,
      planDigest: null,
      ...(options.step === undefined ? {} : { exactStep: options.step }),
    });
    if (!restored) throw noCheckpoint(run, options.step, await checkpointSteps(disk, directory));
    return {
      run,
      step: restored.manifest.step,
      fallBacks: restored.fallBacks,
      dataset,
      addition: dataset instanceof AdditionDataset ? dataset : null,
      session: new DecodingSession(executor, capacity),
      release,
    };
  } catch (error) {
    release();
    throw error;
  }
}
