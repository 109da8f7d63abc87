/** The records `train` streams while it works; each is one JSON line with --json. */
import type { ModelConfiguration } from "#src/model/configuration.ts";
import type { FallBack } from "./checkpoint-restore.ts";
import type { TimedStep } from "./run-store.ts";
import type { EvaluationRecord } from "./trainer.ts";

export interface PlanEvent {
  readonly type: "plan";
  readonly run: string;
  readonly name: string;
  readonly size: string;
  readonly task: "text" | "addition";
  readonly model: ModelConfiguration;
  readonly parameters: number;
  readonly memory: {
    readonly spaces: Readonly<Record<string, number>>;
    readonly totalBytes: number;
    /** Held besides while a checkpoint is written, and its size on the disk. */
    readonly snapshotBytes: number;
  };
  readonly flopsPerToken: number;
  /** Null while a time budget has not fixed it. */
  readonly steps: number | null;
  readonly tokensPerStep: number;
  readonly tokens: number | null;
  readonly threads: number;
  readonly expectedSeconds: number | null;
  readonly planDigest: string;
}

export interface StartedEvent {
  readonly type: "started";
  /** The trainer process: killing it is safe at any time, another goes on from the last checkpoint. */
  readonly trainerPid: number;
  readonly backend: string;
  readonly threads: number;
  readonly plannedBytes: number;
  readonly peakFlops: number | null;
  /** Completed steps it goes on from. */
  readonly step: number;
  readonly resumed: boolean;
  readonly fallBacks: readonly FallBack[];
}

export interface StepEvent extends TimedStep {
  readonly type: "step";
  /** Steps of the whole run. */
  readonly of: number;
  readonly percentOfPeak: number | null;
  readonly etaSeconds: number;
}

export type TrainEvent =
  | PlanEvent
  | StartedEvent
  | StepEvent
  | ({ readonly type: "evaluation" } & EvaluationRecord)
  | {
      readonly type: "data";
      readonly stage: string;
      readonly doneBytes: number;
      readonly totalBytes: number;
    }
  | { readonly type: "planned"; readonly steps: number; readonly tokensPerSecond: number }
  | {
      readonly type: "checkpoint";
      readonly step: number;
      readonly stateDigest: string;
      readonly manifestDigest: string;
      readonly removed: readonly number[];
      readonly seconds: number;
    }
  | { readonly type: "checkpoint-skipped"; readonly step: number }
  | {
      readonly type: "checkpoint-failed";
      readonly step: number;
      readonly code: string;
      readonly message: string;
      readonly hint: string;
    }
  | { readonly type: "restart"; readonly reason: string; readonly attempt: number };

export interface TrainResult {
  readonly type: "done" | "interrupted";
  readonly run: string;
  readonly name: string;
  readonly steps: number;
  readonly tokens: number;
  readonly loss: number | null;
  readonly valLoss: number | null;
  readonly bitsPerByte?: number;
  /** The built-in task only. */
  readonly exactMatch?: number;
  readonly digest: string;
  readonly tokensPerSecond: number;
  readonly percentOfPeak: number | null;
  readonly seconds: number;
  /** How to go on, where the run is not complete. */
  readonly resume?: string;
}
