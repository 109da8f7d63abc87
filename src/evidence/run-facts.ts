import type { Digest } from "#src/codec/digest.ts";
import type { Contribution, Revision, Run, RunSpec, Task } from "#src/window/run.ts";

/** A contribution as a window ended with it. */
export interface ContributionFacts extends Contribution {
  readonly task: Task;
  readonly isAccepted: boolean;
  /** The private state it may have started from, beside zeros. */
  readonly privateBefore: Digest | null;
}

/** What a validator says it computed again and found equal. */
export interface JudgedSegment {
  readonly worker: string;
  readonly validator: string;
  readonly segment: number;
  readonly committed: Digest | null;
}

/** A window that ended, with all that decides its numbers. */
export interface WindowFacts {
  readonly number: number;
  /** The revision all started from. */
  readonly revision: number;
  /** Accepted slots of the run when it was opened. */
  readonly progress: number;
  readonly participants: number;
  readonly contributions: readonly ContributionFacts[];
  readonly judged: readonly JudgedSegment[];
  /** What it made; null where it was held. */
  readonly promoted: Revision | null;
}

/** What a run's events come to. */
export interface RunFacts {
  readonly run: Run;
  readonly spec: RunSpec;
  readonly windows: readonly WindowFacts[];
  readonly statements: number;
  readonly verdicts: number;
  readonly replays: number;
  readonly rejections: number;
  /** So many nodes vouched with their signatures for the events up to that one, counted from 1. */
  readonly vouchers: number;
  readonly vouchedRecords: number;
  /** Promotions by fewer nodes than the quorum, where nobody else was there. */
  readonly leanPromotions: number;
  /** Digest of revision 0 as the first worker said it; null where nobody did. */
  readonly seedDigest: Digest | null;
}

/** What of a window is not in the run's state when it ends. */
export interface WindowNotes {
  /** Private states of the workers as they were when it was opened. */
  readonly privates: ReadonlyMap<string, Digest | null>;
  readonly judged: readonly JudgedSegment[];
}

export function privatesOf({ workers }: Run): WindowNotes["privates"] {
  return new Map(workers.map((worker) => [worker.node, worker.private]));
}

/** The window that ended between two states of a run; null where none did. */
export function endedWindow(before: Run, after: Run, notes: WindowNotes): WindowFacts | null {
  const { window } = before;
  if (window === null || after.window?.number === window.number) return null;
  const isPromoted = after.revision.number > before.revision.number;
  const accepted = new Set(isPromoted ? window.accepted : []);
  return {
    ...{ number: window.number, revision: window.revision, progress: window.progress },
    participants: window.tasks.length,
    contributions: window.contributions.flatMap((contribution) => {
      const task = window.tasks.find(({ worker }) => worker === contribution.worker);
      if (task === undefined) return [];
      const isAccepted = accepted.has(contribution.worker);
      const privateBefore = notes.privates.get(task.worker) ?? null;
      return [{ ...contribution, task, isAccepted, privateBefore }];
    }),
    judged: notes.judged,
    promoted: isPromoted ? after.revision : null,
  };
}
