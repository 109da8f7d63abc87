/** How a run of the mesh stands: the state all members share, told for people and pages. */
import * as v from "valibot";
import type { LinkView } from "#src/peer/link.ts";
import { perMillion } from "#src/window/bounds.ts";
import {
  codecNames,
  isOver,
  type PastWindow,
  type Run,
  type Window,
  type Worker,
} from "#src/window/run.ts";
import type { LocalRunFacts, RunRecord } from "#src/window/services.ts";
import { acceptedIn, runEvents, runEventSchema } from "./run-events.ts";
import { lossOf } from "./run-loss.ts";

const numberOrNull = v.nullable(v.number());

export const standings = [
  ...(["preparing", "ready", "training", "given", "validating", "judged"] as const),
  ...(["merging", "merged", "waiting", "silent", "gone", "out", "idle"] as const),
] as const;
export type Standing = (typeof standings)[number];

const phases = [
  ...(["planned", "initializing", "active", "recovering", "paused"] as const),
  ...(["completed", "stopped", "failed"] as const),
] as const;

const jobKinds = ["prepare", "train", "validate", "merge", "evaluate"] as const;

const participantSchema = v.strictObject({
  node: v.string(),
  shortId: v.string(),
  isSelf: v.boolean(),
  /** What is due of it now; null where it waits. */
  doing: v.nullable(v.picklist(jobKinds)),
  /** The same told closer, with what it waits for and whether it is there. */
  standing: v.picklist(standings),
  /** `avx2`, `neon`… as it says. */
  lane: v.string(),
  /** Tokens per second of its latest work; 0 before. */
  rate: v.number(),
  /** Local steps it has to do in the open window; null where it has no part in it. */
  steps: numberOrNull,
  /** Of them done, as far as this node knows: its own. */
  stepsDone: numberOrNull,
  slices: v.array(v.strictObject({ first: v.number(), count: v.number() })),
  /** Whom it judges. */
  judges: v.array(v.string()),
  /** The revision with which it asks for work; null while it does not. */
  revision: numberOrNull,
  acceptedSlots: v.number(),
  acceptedCount: v.number(),
  rejectedCount: v.number(),
  missedCount: v.number(),
  strikes: v.number(),
  isQuarantined: v.boolean(),
  /** Milliseconds since it was heard; null for this node and where there is no link. */
  silentMs: numberOrNull,
});
export type Participant = v.InferOutput<typeof participantSchema>;

export const meshRunResult = v.strictObject({
  run: v.string(),
  name: v.string(),
  author: v.string(),
  phase: v.picklist(phases),
  /** What the phase is owed to; empty where it needs no reason. */
  reason: v.string(),
  wish: v.picklist(["run", "pause", "stop"]),
  createdMs: v.number(),
  sinceMs: v.number(),
  /** The artifact that holds manifest and data. */
  document: v.string(),
  /** Over every event of the run and what it decided. */
  chain: v.string(),
  slots: v.number(),
  slotTokens: v.number(),
  scheduleSteps: v.number(),
  acceptedSlots: v.number(),
  windowSteps: v.number(),
  segmentSteps: v.number(),
  codec: v.picklist(codecNames),
  seed: v.number(),
  quorum: v.number(),
  validators: v.number(),
  /** Share of contributions of which a segment is recomputed. */
  replay: v.number(),
  revision: v.number(),
  revisionDigest: v.nullable(v.string()),
  windowCount: v.number(),
  /** Of the contributions in the latest part of the run's record, and what they would have been uncompressed. */
  movedBytes: v.number(),
  denseBytes: numberOrNull,
  contributionCount: v.number(),
  /** Of all participants together, over the latest windows; null before the first work. */
  tokensPerSecond: numberOrNull,
  secondsLeft: numberOrNull,
  participants: v.array(participantSchema),
  /** The window that is open, with the mesh's clock at which its stage ends at the latest. */
  window: v.nullable(
    v.strictObject({
      number: v.number(),
      stage: v.picklist(["active", "sealed", "scored"]),
      openedMs: v.number(),
      sinceMs: v.number(),
      deadlineMs: v.number(),
      taskCount: v.number(),
      contributionCount: v.number(),
      verdictCount: v.number(),
      verdictWantedCount: v.number(),
      computedCount: v.number(),
    }),
  ),
  /** The one before. */
  past: v.nullable(
    v.strictObject({
      number: v.number(),
      outcome: v.picklist(["promoted", "held"]),
      reason: v.string(),
      acceptedSlots: v.number(),
      sizeBytes: v.number(),
      tookMs: v.number(),
    }),
  ),
  /** The newest evaluation; null before the first. */
  loss: v.nullable(
    v.strictObject({
      revision: v.number(),
      loss: v.number(),
      isFull: v.boolean(),
      exactMatch: v.number(),
    }),
  ),
  /** Contributions by what became of them, over the whole run. */
  acceptedCount: v.number(),
  rejectedCount: v.number(),
  missedCount: v.number(),
  /** Whether document, data and record are on this node. */
  isHere: v.boolean(),
  /** What this node does for it now; null where nothing. */
  work: v.nullable(
    v.strictObject({
      kind: v.picklist(jobKinds),
      window: numberOrNull,
      steps: numberOrNull,
      of: numberOrNull,
    }),
  ),
  trouble: v.nullable(
    v.strictObject({
      kind: v.picklist(jobKinds),
      code: v.string(),
      message: v.string(),
      hint: v.string(),
    }),
  ),
  /** Sums of this node since its daemon started; null where it did nothing for the run. */
  spent: v.nullable(
    v.strictObject({
      trainedTokens: v.number(),
      trainSeconds: v.number(),
      validateSeconds: v.number(),
      mergeSeconds: v.number(),
      receivedBytes: v.number(),
      sentBytes: v.number(),
    }),
  ),
  /** The latest, oldest first. */
  events: v.array(runEventSchema),
  /** The clock of the node that answers, for what is left of a deadline. */
  nowMs: v.number(),
});
export type MeshRunStatus = v.InferOutput<typeof meshRunResult>;

/** Events that are told. */
const eventMaximum = 24;

/** What is known beside the run itself. */
export interface StatusSources {
  readonly nowMs: number;
  readonly self: string;
  /** Live members, by node. */
  readonly members: ReadonlySet<string>;
  readonly links: readonly Pick<LinkView, "node" | "state" | "silentMs">[];
  /** Silence from which on a member is told to be silent. */
  readonly staleMs: number;
  readonly facts: LocalRunFacts | null;
  /** The latest of the run, ascending. */
  readonly records: readonly RunRecord[];
  /** Numbers the model learns; null where the run's document is not here yet. */
  readonly parameterCount: number | null;
  /** Shortens the id of a node. */
  nameOf(node: string): string;
}

export function meshRunStatus(run: Run, sources: StatusSources): MeshRunStatus {
  const { spec, revision, past, acceptedSlots } = run;
  const { records, facts, nameOf, nowMs } = sources;
  const rate = tokensPerSecond(run, records);
  const sum = (count: (worker: Worker) => number) =>
    run.workers.reduce((total, worker) => total + count(worker), 0);
  return {
    ...{ run: run.run, name: run.name, author: run.author, phase: run.phase, reason: run.reason },
    ...{ wish: run.wish, createdMs: run.createdMs, sinceMs: run.sinceMs, chain: run.chain },
    ...{ document: run.document, slots: spec.slots, slotTokens: spec.slotTokens },
    ...{ scheduleSteps: spec.scheduleSteps, acceptedSlots, windowSteps: spec.windowSteps },
    ...{ segmentSteps: spec.segmentSteps, codec: spec.codec, seed: spec.seed },
    ...{ quorum: spec.quorum, validators: spec.validators },
    replay: spec.replayPerMillion / perMillion,
    ...{ revision: revision.number, revisionDigest: revision.digest },
    ...{ windowCount: run.windowCount, ...movedOf(sources) },
    ...{ tokensPerSecond: rate, secondsLeft: secondsLeft(run, rate) },
    participants: run.workers.map((worker) => participantOf(run, worker, sources)),
    window: run.window === null ? null : windowStatus(run, run.window),
    past: past === null ? null : pastOf(past),
    loss: records.map(lossOf).findLast((loss) => loss !== null) ?? null,
    acceptedCount: sum(({ acceptedCount }) => acceptedCount),
    rejectedCount: sum(({ rejectedCount }) => rejectedCount),
    missedCount: sum(({ missedCount }) => missedCount),
    ...hereOf(facts),
    events: runEvents(records, { acceptedSlots, nameOf }).slice(-eventMaximum),
    nowMs,
  };
}

function pastOf(past: PastWindow): NonNullable<MeshRunStatus["past"]> {
  const { number, outcome, reason, acceptedSlots, sizeBytes, tookMs } = past;
  return { number, outcome, reason, acceptedSlots, sizeBytes, tookMs };
}

/** Promotions over which the rate is taken. */
const rateCount = 9;

/**
 * Of all participants, what stands between two windows included: over the latest promotions on record, else over the
 * window before, else as the workers say of themselves.
 */
function tokensPerSecond(run: Run, records: readonly RunRecord[]): number | null {
  const { past, spec, workers, window } = run;
  const promotions = records.filter((record) => acceptedIn(record) > 0).slice(-rateCount);
  const [first, ...rest] = promotions;
  const tookMs = (rest.at(-1)?.atMs ?? 0) - (first?.atMs ?? 0);
  if (rest.length > 0 && tookMs > 0) {
    const slots = rest.reduce((sum, record) => sum + acceptedIn(record), 0);
    return (slots * spec.slotTokens * 1_000) / tookMs;
  }
  if (past?.outcome === "promoted" && past.tookMs > 0)
    return (past.acceptedSlots * spec.slotTokens * 1_000) / past.tookMs;
  const busy = new Set(window?.tasks.map(({ worker }) => worker));
  const rate = workers.reduce((sum, worker) => sum + (busy.has(worker.node) ? worker.rate : 0), 0);
  return rate === 0 ? null : rate;
}

function secondsLeft({ phase, spec, acceptedSlots }: Run, rate: number | null): number | null {
  const isGoing = phase === "active" || phase === "recovering" || phase === "initializing";
  if (rate === null || rate === 0 || !isGoing) return null;
  return ((spec.slots - acceptedSlots) * spec.slotTokens) / rate;
}

function windowStatus({ spec }: Run, window: Window): MeshRunStatus["window"] {
  const { number, stage, openedMs, sinceMs, tasks, contributions, draws, verdicts } = window;
  const waitMs = { active: spec.trainMs, sealed: spec.judgeMs, scored: spec.mergeMs }[stage];
  return {
    ...{ number, stage, openedMs, sinceMs, deadlineMs: sinceMs + waitMs },
    ...{ taskCount: tasks.length, contributionCount: contributions.length },
    verdictCount: verdicts.length,
    verdictWantedCount: draws.reduce((sum, { validators }) => sum + validators.length, 0),
    computedCount: window.computed.length,
  };
}

function participantOf(run: Run, worker: Worker, sources: StatusSources): Participant {
  const { node } = worker;
  const { self, facts, links, nameOf } = sources;
  const { window } = run;
  const task = window?.tasks.find((each) => each.worker === node);
  const judges = window?.draws.filter(({ validators }) => validators.includes(node)) ?? [];
  const isSelf = node === self;
  const work = isSelf ? (facts?.work ?? null) : null;
  const standing = standingOf(run, worker, sources);
  return {
    ...{ node, shortId: nameOf(node), isSelf, standing, lane: worker.lane, rate: worker.rate },
    ...{ doing: work?.kind ?? jobOf[standing] ?? null, steps: task?.steps ?? null },
    stepsDone: work?.kind === "train" ? work.steps : null,
    slices: task?.slices.map((slice) => ({ ...slice })) ?? [],
    judges: judges.map((draw) => draw.worker),
    ...{ revision: worker.revision, acceptedSlots: worker.acceptedSlots },
    ...{ acceptedCount: worker.acceptedCount, rejectedCount: worker.rejectedCount },
    ...{ missedCount: worker.missedCount, strikes: worker.strikes },
    isQuarantined: worker.isQuarantined,
    silentMs: isSelf ? null : (links.find((link) => link.node === node)?.silentMs ?? null),
  };
}

/** The work that a standing stands for. */
const jobOf: Partial<Record<Standing, (typeof jobKinds)[number]>> = {
  preparing: "prepare",
  training: "train",
  validating: "validate",
  merging: "merge",
};

function standingOf(run: Run, worker: Worker, sources: StatusSources): Standing {
  const { node } = worker;
  const { window, phase } = run;
  if (worker.isQuarantined) return "out";
  if (!sources.members.has(node)) return "gone";
  if (isOver(run)) return "idle";
  if (isSilent(node, sources)) return "silent";
  if (worker.revision !== run.revision.number) return "preparing";
  if (window === null) return phase === "paused" ? "idle" : "ready";
  if (window.stage === "scored")
    return window.computed.some((each) => each.node === node) ? "merged" : "merging";
  if (window.stage === "sealed") return judgingOf(window, node);
  if (!window.tasks.some((task) => task.worker === node)) return "waiting";
  const isGiven = window.contributions.some((each) => each.worker === node);
  return isGiven ? "given" : "training";
}

function judgingOf({ draws, verdicts }: Window, node: string): Standing {
  const own = draws.filter(({ validators }) => validators.includes(node));
  if (own.length === 0) return "waiting";
  const given = verdicts.filter(({ validator }) => validator === node);
  return given.length < own.length ? "validating" : "judged";
}

function isSilent(node: string, { self, links, staleMs }: StatusSources): boolean {
  if (node === self) return false;
  const link = links.find((each) => each.node === node);
  return link !== undefined && (link.state === "unreachable" || (link.silentMs ?? 0) > staleMs);
}

function movedOf({ records, parameterCount }: StatusSources) {
  const sizes = records.flatMap(({ command }) => {
    if (command.kind !== "run-stated") return [];
    const { said } = command.statement;
    return said.saying === "contribution" ? [said.sizeBytes] : [];
  });
  return {
    movedBytes: sizes.reduce((sum, sizeBytes) => sum + sizeBytes, 0),
    denseBytes: parameterCount === null ? null : 4 * parameterCount * sizes.length,
    contributionCount: sizes.length,
  };
}

function hereOf(
  facts: LocalRunFacts | null,
): Pick<MeshRunStatus, "isHere" | "work" | "trouble" | "spent"> {
  if (facts === null) return { isHere: false, work: null, trouble: null, spent: null };
  const { isHere, work, trouble, trainedTokens, trainSeconds } = facts;
  const { validateSeconds, mergeSeconds, receivedBytes, sentBytes } = facts;
  return {
    isHere,
    work: work && { kind: work.kind, window: work.window, steps: work.steps, of: work.of },
    trouble:
      trouble && (({ kind, code, message, hint }) => ({ kind, code, message, hint }))(trouble),
    spent: {
      ...{ trainedTokens, trainSeconds, validateSeconds, mergeSeconds },
      ...{ receivedBytes, sentBytes },
    },
  };
}
