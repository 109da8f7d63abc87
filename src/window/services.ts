import type { Digest } from "#src/codec/digest.ts";
import type { RunCommand } from "./event.ts";
import type { JobKind } from "./job.ts";
import type { RunSpec } from "./run.ts";

/** An event of a run as this node applied it; refused ones change nothing and are not among them. */
export interface RunRecord {
  readonly run: string;
  readonly index: number;
  readonly term: number;
  /** The time the event has in the log. */
  readonly atMs: number;
  readonly author: string;
  readonly command: RunCommand;
  /** What the rules worked out of it: tasks, draws, accepted, revision; as it went into the chain. */
  readonly decided: unknown;
  /** The run's chain after it. */
  readonly chain: Digest;
}

/** A run to begin. */
export interface NewRun {
  readonly name: string;
  readonly spec: RunSpec;
  /** Absolute path of a folder with the run's document; the caller removes it afterwards. */
  readonly location: string;
}

/** What this node does for a run at the moment. */
export interface RunWork {
  readonly kind: JobKind;
  readonly window: number | null;
  readonly sinceMs: number;
  /** Local steps done, of how many; null where the work is not counted in steps. */
  readonly steps: number | null;
  readonly of: number | null;
}

/** A job that did not succeed; it is tried again unless it is hopeless. */
export interface RunTrouble {
  readonly kind: JobKind;
  readonly code: string;
  readonly message: string;
  readonly hint: string;
  readonly isHopeless: boolean;
  readonly atMs: number;
}

/** A run as it stands on this node, beside what the mesh agreed on. */
export interface LocalRunFacts {
  readonly run: string;
  /** True once the document, its data and the record of the run are here. */
  readonly isHere: boolean;
  /** The revision held here. */
  readonly revision: number | null;
  readonly work: RunWork | null;
  readonly trouble: RunTrouble | null;
  /** Sums of this node since its daemon started. */
  readonly trainedSteps: number;
  readonly trainedTokens: number;
  readonly trainSeconds: number;
  readonly validateSeconds: number;
  readonly mergeSeconds: number;
  readonly receivedBytes: number;
  readonly sentBytes: number;
  /** Tokens per second of its latest training; null before. */
  readonly tokensPerSecond: number | null;
}

/** Runs of the mesh on this node. Only a daemon has them. */
export interface RunService {
  /**
   * Makes the folder an artifact, keeps it by name and has the run written into the log. Refusals: those of
   * artifacts, `cluster_leaderless` and its like, the reducer's own.
   */
  create(
    request: NewRun,
    signal: AbortSignal,
  ): Promise<{
    readonly run: string;
    readonly name: string;
    readonly document: Digest;
    readonly index: number;
  }>;
  /** Events of a run after an index, ascending, at most so many; null for all runs. */
  records(run: string | null, after: number, count: number): readonly RunRecord[];
  /** The newest events of a run, ascending. */
  latestRecords(run: string, count: number): readonly RunRecord[];
  /**
   * As `records` of all of a run, after having asked other members for what this node lacks (it came later, or
   * a snapshot took the place of entries). `isWhole` where the chain leads without a gap from the run's beginning
   * to `chain`.
   */
  wholeRecords(
    run: string,
    signal: AbortSignal,
  ): Promise<{ readonly records: readonly RunRecord[]; readonly isWhole: boolean }>;
  /** Null for a run this node knows nothing of. */
  localFacts(run: string): LocalRunFacts | null;
  /**
   * Brings an artifact of a run here from who may have it: those named first, then all members. Refused as pulls
   * are.
   */
  fetch(artifact: Digest, from: readonly string[], signal: AbortSignal): Promise<void>;
  /**
   * The state at the beginning of the segment that was drawn of this node's work, as an artifact; `asker` is the
   * node that wants it, null for whoever sits here. Refused with `window_stale` to who was not drawn.
   */
  state(
    request: { readonly run: string; readonly window: number; readonly segment: number },
    asker: string | null,
    signal: AbortSignal,
  ): Promise<{ readonly artifact: Digest }>;
}

declare module "#src/command/define.ts" {
  interface Services {
    /** Null outside of a daemon. */
    readonly meshRuns: RunService | null;
  }
}
