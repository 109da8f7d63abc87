/** Runs that train inside a node: what a daemon offers, and what a process without one says. */
import type { Event } from "#src/command/define.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import type { RunState } from "./run-rows.ts";
import type { TrainContext } from "./train-context.ts";
import type { TrainResult } from "./train-event.ts";
import type { TrainRequest } from "./train-parameters.ts";

/** A run as it is named to people. */
export interface NamedRun {
  readonly run: string;
  readonly name: string;
}

/**
 * The trainings of a node. One at a time: a second is refused with `training_busy`. What should run is
 * durable, so a daemon that was killed goes on with it.
 */
export interface Trainings {
  /**
   * Starts or resumes a run that outlives the call. Resolves when the run exists and its trainer works;
   * rejects with what `train` refuses until then. Later failures are the run's state and alerts.
   */
  start(request: TrainRequest, emit?: (event: Event) => void): Promise<NamedRun>;
  /** Stops a run with a checkpoint and waits for that. Refuses with `run_not_running`. */
  stop(runText: string): Promise<NamedRun & { readonly state: RunState }>;
  active(): readonly NamedRun[];
  /** Goes on with what should be running, after a restart. Never rejects. */
  resumeWanted(): Promise<void>;
  /** Stops with a checkpoint what is running, waiting at most so long; it stays wanted. */
  stopAll(drainMs: number): Promise<void>;
  /** `train` for a caller that stays: the training ends with the caller's signal. */
  train(request: TrainRequest, context: TrainContext): Promise<TrainResult>;
}

declare module "#src/command/define.ts" {
  interface Services {
    /** Outside a daemon everything but `train` and `active` is refused with `daemon_absent`. */
    readonly trainings: Trainings;
  }
}

/** Of a process that is no daemon. It takes a run over from one that is gone. */
export const outsideTrainings: Trainings = {
  start: async () => absent("start"),
  stop: async () => absent("stop"),
  active: () => [],
  resumeWanted: async () => absent("resume"),
  stopAll: async () => absent("stop"),
  async train(request, context) {
    const { train } = await import("./train-run.ts");
    const { RunIntents } = await import("./run-intents.ts");
    const intents = new RunIntents(context.services.store);
    return train(request, context, (run) => intents.drop(run.id));
  },
};

function absent(what: string): never {
  throw new Refusal(
    "daemon_absent",
    `No daemon has this home that could ${what} a run.`,
    "Start one with `psionic up --detach`, or train in this terminal with `psionic train`.",
  );
}
