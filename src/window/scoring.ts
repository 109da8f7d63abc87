import { assert } from "#src/refusal/refusal.ts";
import { slicesOf, assignedSlices } from "./assignment.ts";
import { missingOf } from "./draw.ts";
import { putBack } from "./intervals.ts";
import { proofsOfLies, type Reason } from "./reasons.ts";
import type { Draw, Run, Window, Worker } from "./run.ts";
import type { Step } from "./step.ts";
import { mapWorkers } from "./workers.ts";

export interface Score {
  readonly worker: string;
  readonly outcome: "accepted" | "rejected" | "quarantined" | "not-judged";
  /** Ascending; none of what was accepted. */
  readonly reasons: readonly Reason[];
  /** How many judged it: none in a run of one node. */
  readonly verdictCount: number;
}

export function isJudged(window: Window): boolean {
  return window.draws.every((draw) => missingOf(window, draw).length === 0);
}

/** What the verdicts make of each contribution: nothing counts that not all who were drawn accepted. */
function scoreOf(window: Window, draw: Draw): Score {
  const { worker } = draw;
  const given = window.verdicts.filter(
    (verdict) => verdict.worker === worker && draw.validators.includes(verdict.validator),
  );
  const said = new Set(given.flatMap(({ reasons }) => reasons));
  const score = { worker, verdictCount: given.length };
  if (missingOf(window, draw).length > 0)
    return { ...score, outcome: "not-judged", reasons: ["not_judged"] };
  if (given.every(({ verdict }) => verdict === "accepted"))
    return { ...score, outcome: "accepted", reasons: [] };
  const isRejected = given.some(({ verdict }) => verdict === "rejected");
  const isDisputed = isRejected && given.some(({ verdict }) => verdict === "accepted");
  if (isDisputed) said.add("verdicts_differ");
  const reasons = [...said].toSorted();
  return { ...score, outcome: isRejected && !isDisputed ? "rejected" : "quarantined", reasons };
}

/** Ends the judging: what counts goes on to be merged, the slots of the rest go back. */
export function score(run: Run, window: Window, nowMs: number): Step {
  const scores = window.draws.map((draw) => scoreOf(window, draw));
  const accepted = scores
    .filter(({ outcome }) => outcome === "accepted")
    .map(({ worker }) => worker);
  const lost = new Set(
    scores.filter(({ outcome }) => outcome !== "accepted").map(({ worker }) => worker),
  );
  const pool = putBack(run.pool, slicesOf(window, lost));
  const scored: Window = { ...window, stage: "scored", sinceMs: nowMs, accepted };
  const byWorker = new Map(scores.map((each) => [each.worker, each]));
  const judged = mapWorkers({ ...run, pool, window: scored }, (worker) =>
    withScore(worker, byWorker.get(worker.node), run.spec.strikes),
  );
  if (accepted.length > 0) return { run: judged, decided: { accepted, scores }, isAnchor: true };
  const reason = scores[0]?.reasons[0] ?? "no_contribution";
  return { run: hold(judged, reason, nowMs), decided: { accepted, scores, held: reason } };
}

function withScore(worker: Worker, given: Score | undefined, strikeMaximum: number): Worker {
  if (given === undefined || given.outcome === "accepted" || given.outcome === "not-judged")
    return worker;
  const rejectedCount = worker.rejectedCount + 1;
  const isLie =
    given.outcome === "rejected" && given.reasons.some((reason) => proofsOfLies.includes(reason));
  if (!isLie) return { ...worker, rejectedCount };
  const strikes = worker.strikes + 1;
  const isQuarantined = worker.isQuarantined || strikes >= strikeMaximum;
  return { ...worker, rejectedCount, strikes, isQuarantined };
}

/** Ends a window without a revision: nothing changed, and why stands there. */
export function hold(run: Run, reason: string, nowMs: number): Run {
  const { window } = run;
  assert(window !== null, "a window is held that is open");
  const { number, anchor, openedMs } = window;
  return {
    ...run,
    pool: putBack(run.pool, assignedSlices(window)),
    window: null,
    heldCount: run.heldCount + 1,
    past: {
      ...{ number, outcome: "held", reason, revision: window.revision, acceptedSlots: 0 },
      ...{ sizeBytes: 0, tookMs: nowMs - openedMs, endedMs: nowMs, anchor },
    },
  };
}
