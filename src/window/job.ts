import type { Digest } from "#src/codec/digest.ts";
import type { Saying, SayingOf } from "./event.ts";
import type { Contribution, Draw, Run, Task, Window } from "./run.ts";
import type { Surroundings } from "./surroundings.ts";

/** Work of a node in a run: what a look at the state says is due. Whoever does it need know no rule. */
export type Job =
  /** Bring data, plan and the present revision here. */
  | { readonly kind: "prepare"; readonly run: Run }
  | { readonly kind: "train"; readonly run: Run; readonly window: Window; readonly task: Task }
  | {
      readonly kind: "validate";
      readonly run: Run;
      readonly window: Window;
      readonly task: Task;
      readonly contribution: Contribution;
      readonly draw: Draw;
    }
  /** Make the next revision out of the accepted deltas. */
  | { readonly kind: "merge"; readonly run: Run; readonly window: Window }
  | { readonly kind: "evaluate"; readonly run: Run; readonly isFull: boolean };

export type JobKind = Job["kind"];

/** What a job gives; where it is a saying, the node states it. */
export type Outcome =
  /** `digest` is the revision's that is now here. */
  | {
      readonly kind: "prepare";
      readonly revision: number;
      readonly digest: Digest;
      readonly lane: string;
      readonly rate: number;
    }
  | { readonly kind: "train"; readonly said: SayingOf<"contribution"> }
  | { readonly kind: "validate"; readonly said: SayingOf<"verdict"> }
  | { readonly kind: "merge"; readonly said: SayingOf<"revision"> }
  | { readonly kind: "evaluate"; readonly said: SayingOf<"evaluation"> };

/**
 * Names a piece of work for as long as it is the same: a job whose key is no more among the duties is cancelled, and
 * one that is still due after a restart is begun again under the same key and finds what it left on the disk.
 */
export function jobKey(job: Job): string {
  const { run } = job;
  switch (job.kind) {
    case "prepare":
      return `prepare ${run.run} ${run.revision.number}`;
    case "train":
      return `train ${run.run} ${job.window.number}`;
    case "validate":
      return [
        ...["validate", run.run, job.window.number, job.contribution.worker],
        ...[job.contribution.statement.slice(0, 16), job.draw.segment ?? "-"],
      ].join(" ");
    case "merge":
      return `merge ${run.run} ${job.window.number} ${job.window.anchor.slice(0, 16)}`;
    case "evaluate":
      return `evaluate ${run.run} ${run.revision.number} ${job.isFull ? "full" : "part"}`;
  }
}

/** What a participant wants of the world around it. */
export type ParticipantEffect =
  | { readonly kind: "begin"; readonly key: string; readonly job: Job }
  | { readonly kind: "cancel"; readonly key: string }
  /** To be signed with the node's key, naming `previous` and `anchor`, and submitted. One at a time per node. */
  | {
      readonly kind: "say";
      readonly ticket: number;
      readonly run: string;
      readonly previous: Digest | null;
      readonly anchor: Digest | null;
      readonly said: Saying;
    };

export type ParticipantInput =
  /**
   * The state as this node knows it now; also called now and then without a change. `around` is null outside of a
   * mesh, where nothing is due.
   */
  | {
      readonly kind: "look";
      readonly runs: readonly Run[];
      readonly around: Surroundings | null;
      readonly nowMs: number;
    }
  | { readonly kind: "finished"; readonly key: string; readonly outcome: Outcome }
  /** It is tried again once it is due and `againMs` have passed. `isHopeless`: not on this machine, ever. */
  | {
      readonly kind: "failed";
      readonly key: string;
      readonly code: string;
      readonly isHopeless: boolean;
    }
  /** What became of a saying: it stands in the log, or it was refused with a code. */
  | { readonly kind: "said"; readonly ticket: number; readonly refused: string | null };
