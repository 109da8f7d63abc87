import type { Digest } from "#src/codec/digest.ts";
import type { Reason } from "./reasons.ts";

/** What the state of a mesh knows of a run: whole numbers, names and digests. */

/** `count` slots from `first` on. */
export interface Interval {
  readonly first: number;
  readonly count: number;
}

export type RunPhase =
  | "planned"
  | "initializing"
  | "active"
  | "recovering"
  | "paused"
  | "completed"
  | "stopped"
  | "failed";

export const codecNames = ["dense", "int8", "top-k"] as const;
export type CodecName = (typeof codecNames)[number];

/** What decides a run, as far as the rules need it; the document has all of it. */
export interface RunSpec {
  readonly seed: number;
  /** Local steps that the run's data is cut into, over all nodes. */
  readonly slots: number;
  /** Tokens one slot reads. */
  readonly slotTokens: number;
  /** Steps of the learning rate's schedule, over which the slots are spread. */
  readonly scheduleSteps: number;
  /** H: most local steps of a worker in a window. */
  readonly windowSteps: number;
  /** Steps between two commitments. */
  readonly segmentSteps: number;
  readonly codec: CodecName;
  /** Whether steps follow measured rates, or everybody gets H. */
  readonly pace: "measured" | "even";
  readonly participants: number;
  /** Validators of each contribution, where there are as many others. */
  readonly validators: number;
  /** Of a million contributions, how many have a segment recomputed by each of their validators. */
  readonly replayPerMillion: number;
  /** Nodes that must state the same next revision, where so many take part. */
  readonly quorum: number;
  /** Proven lies after which a worker is out of the run. */
  readonly strikes: number;
  /** How long a window may stay active, sealed and scored before the coordinator goes on without the silent. */
  readonly trainMs: number;
  readonly judgeMs: number;
  readonly mergeMs: number;
  /** How long a participant may be silent before a window that waits for it alone is sealed. */
  readonly silenceMs: number;
}

export interface Revision {
  /** 0 is the seed's. */
  readonly number: number;
  /** Of parameters and outer momentum; null until the first worker has said it. */
  readonly digest: Digest | null;
  /** The artifact with its checkpoint; null for number 0, which everybody makes. */
  readonly artifact: Digest | null;
}

/** A node in a run. */
export interface Worker {
  readonly node: string;
  /** Holds data, plan and this revision, and asks for work; null while it does not. */
  readonly revision: number | null;
  /** `avx2`, `neon`… as it says. */
  readonly lane: string;
  /** Tokens per second, of its latest work. */
  readonly rate: number;
  readonly strikes: number;
  readonly isQuarantined: boolean;
  /** Digest of its private optimizer state after its latest accepted contribution; null for zeros. */
  readonly private: Digest | null;
  /** Digest of its latest statement. */
  readonly statement: Digest | null;
  readonly acceptedSlots: number;
  readonly acceptedCount: number;
  readonly rejectedCount: number;
  /** Windows in which it was given work and gave nothing. */
  readonly missedCount: number;
}

/** What a worker has to do in a window. */
export interface Task {
  readonly worker: string;
  /** In the order in which it takes them. */
  readonly slices: readonly Interval[];
  readonly steps: number;
}

export interface Contribution {
  readonly worker: string;
  /** Digest of the statement. */
  readonly statement: Digest;
  /** The artifact with the delta and the list of commitments. */
  readonly artifact: Digest;
  readonly sizeBytes: number;
  /** Root over the commitments, first state and last included. */
  readonly commitments: Digest;
  readonly segments: number;
  readonly private: Digest;
  readonly trainMs: number;
}

export const verdicts = ["accepted", "rejected", "quarantined", "replay_required"] as const;
export type VerdictKind = (typeof verdicts)[number];

export interface Verdict {
  readonly worker: string;
  readonly validator: string;
  readonly verdict: VerdictKind;
  readonly reasons: readonly Reason[];
  /** The segment it recomputed; null where none was drawn. */
  readonly segment: number | null;
  readonly statement: Digest;
}

/** Who says what the next revision is. */
export interface Computed {
  readonly node: string;
  readonly digest: Digest;
  readonly artifact: Digest;
  readonly statement: Digest;
}

/** Whom a contribution was drawn for, or that it needs none. */
export interface Draw {
  readonly worker: string;
  readonly validators: readonly string[];
  /** Null where nothing is recomputed. */
  readonly segment: number | null;
}

export interface Window {
  /** From 1. */
  readonly number: number;
  readonly stage: "active" | "sealed" | "scored";
  /** The revision all start from. */
  readonly revision: number;
  /** Accepted slots of the run when it was opened: where the schedule stands. */
  readonly progress: number;
  /** Since when it is in this stage, by the mesh's clock. */
  readonly sinceMs: number;
  readonly openedMs: number;
  /** By ascending worker. */
  readonly tasks: readonly Task[];
  readonly contributions: readonly Contribution[];
  /** Drawn at sealing; all zeros before. */
  readonly seed: Digest;
  readonly redraws: number;
  readonly draws: readonly Draw[];
  readonly verdicts: readonly Verdict[];
  /** Workers whose contributions count, ascending; of a scored window. */
  readonly accepted: readonly string[];
  readonly computed: readonly Computed[];
  /** The run's chain when this stage began, or when an accepted contribution was lost: what statements name. */
  readonly anchor: Digest;
}

/** The window before, as it ended. */
export interface PastWindow {
  readonly number: number;
  readonly outcome: "promoted" | "held";
  readonly reason: string;
  readonly revision: number;
  readonly acceptedSlots: number;
  readonly sizeBytes: number;
  readonly tookMs: number;
  readonly endedMs: number;
  /** The anchor of its last stage, which late statements of a promoted revision name. */
  readonly anchor: Digest;
}

export interface Run {
  readonly run: string;
  readonly name: string;
  readonly author: string;
  /** The artifact with the run's document: manifest, and where it is text the prepared data. */
  readonly document: Digest;
  readonly spec: RunSpec;
  readonly phase: RunPhase;
  /** What the phase is owed to; empty where it needs no reason. */
  readonly reason: string;
  readonly wish: "run" | "pause" | "stop";
  readonly createdMs: number;
  readonly sinceMs: number;
  readonly revision: Revision;
  /** Slots neither accepted nor assigned: ascending, apart. */
  readonly pool: readonly Interval[];
  readonly acceptedSlots: number;
  /** By ascending node. */
  readonly workers: readonly Worker[];
  /** Windows opened so far. */
  readonly windowCount: number;
  readonly window: Window | null;
  readonly past: PastWindow | null;
  /** Windows held in a row, up to the present. */
  readonly heldCount: number;
  /** The latest revision of which an evaluation was stated, and whether over all rows; null before the first. */
  readonly evaluated: { readonly revision: number; readonly isFull: boolean } | null;
  /** Hash over every event of the run and what it decided. */
  readonly chain: Digest;
}

export function isOver({ phase }: Pick<Run, "phase">): boolean {
  return phase === "completed" || phase === "stopped" || phase === "failed";
}
