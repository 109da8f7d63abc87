/**
 * What `run/status` and `run/windows` answer of a run that several machines train, as far as the page reads it.
 * Nodes are named by id; `shortId` is what people read.
 */

/** A machine that takes part, or did. */
export interface Participant {
  readonly node: string;
  readonly shortId: string;
  readonly isSelf: boolean;
  /** `avx2`, `neon`… as it says. */
  readonly lane: string;
  /** Tokens per second of its latest work; 0 before. */
  readonly rate: number;
  /** The revision with which it asks for work; null while it does not. */
  readonly revision: number | null;
  readonly acceptedSlots: number;
  readonly acceptedCount: number;
  readonly rejectedCount: number;
  readonly missedCount: number;
  readonly strikes: number;
  readonly isQuarantined: boolean;
  /** What it does now and whether that is there: `training`, `given`, `judged`, `silent`… */
  readonly standing: string;
  /** Local steps it has to do in the open window; null where it has no part in it. */
  readonly steps: number | null;
  /** Of them done, as far as the node knows that answers: its own. */
  readonly stepsDone: number | null;
}

export interface ShownVerdict {
  readonly validator: string;
  readonly verdict: string;
  readonly reasons: readonly string[];
  /** The segment it recomputed; null where none was drawn. */
  readonly segment: number | null;
}

/** What a participant did in a window. */
export interface WindowPart {
  readonly node: string;
  readonly shortId: string;
  readonly steps: number;
  /** `working`, `given`, `accepted`, `rejected`, `quarantined`, `not-judged`, `missed` or `lost`. */
  readonly outcome: string;
  readonly reasons: readonly string[];
  /** Of its contribution; null where it gave none. */
  readonly sizeBytes: number | null;
  readonly trainMs: number | null;
  /** Those who were drawn to judge it. */
  readonly validators: readonly string[];
  readonly verdicts: readonly ShownVerdict[];
}

export interface ShownWindow {
  readonly number: number;
  /** `active`, `sealed` and `scored` while it is open; `promoted` or `held` after. */
  readonly stage: string;
  /** Why it was held; empty otherwise. */
  readonly reason: string;
  /** The revision all started from. */
  readonly revision: number;
  /** Accepted slots of the run when it was opened. */
  readonly progress: number;
  readonly openedMs: number;
  /** Null while it is open. */
  readonly tookMs: number | null;
  readonly acceptedSlots: number;
  readonly sizeBytes: number;
  /** What the same contributions would have been uncompressed; null where that is not known. */
  readonly denseBytes: number | null;
  /** Held-out loss of the revision it led to; null until somebody evaluated it. */
  readonly loss: number | null;
  readonly parts: readonly WindowPart[];
}

/** Something that happened to a run: somebody came or went, or was refused, or others lead now. */
export interface RunHappening {
  readonly atMs: number;
  readonly kind: string;
  /** Accepted slots of the run then: where it stands on a curve. */
  readonly progress: number;
  readonly window: number | null;
  readonly node: string | null;
  readonly shortId: string | null;
  readonly reason: string;
}

/** The answer of `run/windows`: the newest ones, ascending. */
export interface WindowsAnswer {
  readonly run: string;
  readonly windows: readonly ShownWindow[];
  readonly events: readonly RunHappening[];
  /** Windows opened so far, of which those above are the last. */
  readonly windowCount: number;
}

/** The window that is open. */
export interface OpenWindow {
  readonly number: number;
  readonly stage: string;
  readonly sinceMs: number;
  readonly deadlineMs: number;
  /** How many were given work, have contributed, and have said the next revision. */
  readonly taskCount: number;
  readonly contributionCount: number;
  readonly verdictCount: number;
  readonly verdictWantedCount: number;
  readonly computedCount: number;
}

/** The part `mesh` of the answer of `run/status`; null or absent for a run of one node. */
export interface MeshRun {
  readonly run: string;
  readonly name: string;
  readonly phase: string;
  /** What the phase is owed to; empty where it needs no reason. */
  readonly reason: string;
  readonly wish: string;
  readonly sinceMs: number;
  readonly author: string;
  readonly slots: number;
  readonly slotTokens: number;
  readonly scheduleSteps: number;
  readonly acceptedSlots: number;
  readonly windowSteps: number;
  readonly segmentSteps: number;
  readonly validators: number;
  /** Share of contributions of which a segment is recomputed. */
  readonly replay: number;
  readonly codec: string;
  readonly revision: number;
  readonly revisionDigest: string | null;
  readonly windowCount: number;
  /** Of the latest contributions, so many; and what they would have been uncompressed. */
  readonly movedBytes: number;
  readonly denseBytes: number | null;
  readonly contributionCount: number;
  /** Of all participants together, over the last windows; null before the first. */
  readonly tokensPerSecond: number | null;
  readonly secondsLeft: number | null;
  readonly quorum: number;
  readonly participants: readonly Participant[];
  /** The newest evaluation; null before the first. */
  readonly loss: {
    readonly revision: number;
    readonly loss: number;
    readonly isFull: boolean;
    readonly exactMatch: number;
  } | null;
  /** Contributions by what became of them, over the whole run. */
  readonly acceptedCount: number;
  readonly rejectedCount: number;
  readonly missedCount: number;
  /** The window that is open, with the mesh's clock at which its stage ends at the latest. */
  readonly window: OpenWindow | null;
  readonly trouble: {
    readonly kind: string;
    readonly code: string;
    readonly message: string;
    readonly hint: string;
  } | null;
  /** Sums of the node that answers, since its daemon started. */
  readonly spent: {
    readonly trainSeconds: number;
    readonly validateSeconds: number;
    readonly mergeSeconds: number;
    readonly receivedBytes: number;
    readonly sentBytes: number;
  } | null;
  /** The latest, oldest first. */
  readonly events: readonly RunHappening[];
  /** The clock of the node that answers, for what is left of a deadline. */
  readonly nowMs: number;
}
