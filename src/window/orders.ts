import { digestJson, type Digest } from "#src/codec/digest.ts";
import { heldMaximum, heldMinimum, redrawMaximum, runOrderMaximum } from "./bounds.ts";
import { drawsAgain, isHopeless, missingOf } from "./draw.ts";
import type { RunCommand } from "./event.ts";
import { haveAllMerged } from "./promotion.ts";
import { isOver, type Run, type Window } from "./run.ts";
import type { Hearing, Surroundings } from "./surroundings.ts";
import { eligibleWorkers, memberOf, workerOf } from "./workers.ts";

type Ordered = Extract<RunCommand, { readonly fence: object }>;
type Unfenced<T> = T extends unknown ? Omit<T, "fence"> : never;

/** An order as it is due; whoever gives it puts its fence to it. */
export type RunOrder = Unfenced<Ordered>;

/** How long the same run comes first. */
const turnMs = 100;

interface View {
  readonly run: Run;
  readonly around: Surroundings;
  readonly hearing: Hearing;
  readonly draw: () => Digest;
}

/**
 * What the coordinator owes the runs now: one order for each at most, and each again at the next look for as long as it
 * is due. It decides when by its own clock and ears; what follows is decided by the rules. `draw` gives a number that
 * nobody can know before.
 */
export function ordersOfRuns(
  runs: readonly Run[],
  around: Surroundings,
  hearing: Hearing,
  draw: () => Digest,
): readonly RunOrder[] {
  const orders: RunOrder[] = [];
  for (const run of inTurn(runs, hearing)) {
    if (orders.length >= runOrderMaximum) break;
    const order = isOver(run) ? null : orderOf({ run, around, hearing, draw });
    if (order !== null) orders.push(order);
  }
  return orders;
}

/** Another run is the first each time, so that busy ones do not keep the orders of others waiting. */
function inTurn(runs: readonly Run[], { nowMs }: Hearing): readonly Run[] {
  if (runs.length <= runOrderMaximum) return runs;
  const from = Math.floor(nowMs / turnMs) % runs.length;
  return [...runs.slice(from), ...runs.slice(0, from)];
}

function orderOf(view: View): RunOrder | null {
  switch (view.run.window?.stage) {
    case undefined:
      return view.run.heldCount >= heldMaximum ? failing(view.run) : opening(view);
    case "active":
      return sealing(view, view.run.window);
    case "sealed":
      return redrawing(view, view.run.window);
    case "scored":
      return losing(view, view.run.window);
  }
}

function failing({ run, past, heldCount }: Run): RunOrder {
  const reason = `${heldCount} windows in a row came to nothing: ${past?.reason ?? "no reason"}`;
  return { kind: "run-failed", run, reason };
}

function opening({ run, around, hearing }: View): RunOrder | null {
  if (run.wish !== "run") return null;
  const eligible = eligibleWorkers(run, around);
  if (eligible.length === 0) return null;
  const { nowMs } = hearing;
  const isGraced = nowMs < graceEndMs(run);
  if (isGraced && run.heldCount >= heldMinimum) return null;
  if (isGraced && isSomebodyComing({ run, around, hearing })) return null;
  return { kind: "window-opened", run: run.run, window: run.windowCount + 1 };
}

/** How long those who are not ready yet are waited for; after windows that came to nothing, everybody waits. */
function graceEndMs({ past, heldCount, sinceMs, spec }: Run): number {
  const beginMs = past?.endedMs ?? sinceMs;
  const patience = Math.min(8, Math.max(1, heldCount - heldMinimum + 1));
  return beginMs + patience * spec.silenceMs;
}

/** Before the first window every trainer that answers; later, who worked on the revision before. */
function isSomebodyComing({ run, around, hearing }: Omit<View, "draw">): boolean {
  return around.members.some((member) => {
    const { node } = member;
    const worker = workerOf(run, node);
    if (!member.isReady || !member.isTrainer || worker?.isQuarantined === true) return false;
    if (worker?.revision === run.revision.number || isSilent(node, run, hearing)) return false;
    return run.past === null ? worker === undefined : (worker?.revision ?? null) !== null;
  });
}

/** Whether nothing was heard of a node for so long that nobody waits for it alone. */
function isSilent(node: string, { spec }: Run, hearing: Hearing, sinceMs = 0): boolean {
  const { nowMs, ledSinceMs, heardMs } = hearing;
  const latestMs = Math.max(heardMs.get(node) ?? ledSinceMs, sinceMs);
  return latestMs + spec.silenceMs <= nowMs;
}

/** Whether a node is no member that could still answer. */
function isGone({ run, around, hearing }: View, node: string, sinceMs: number): boolean {
  return memberOf(around, node)?.isReady !== true || isSilent(node, run, hearing, sinceMs);
}

/** Whether a stage has lasted longer than it may; a new leader lets the others come first. */
function isLate({ run, hearing }: View, untilMs: number): boolean {
  const { nowMs, ledSinceMs } = hearing;
  return nowMs >= untilMs && nowMs >= ledSinceMs + run.spec.silenceMs;
}

function sealing(view: View, window: Window): RunOrder | null {
  const { run, draw } = view;
  const { number, sinceMs, tasks, contributions } = window;
  const given = new Set(contributions.map(({ worker }) => worker));
  const isWaitedFor = (worker: string) =>
    !given.has(worker) &&
    (workerOf(run, worker)?.revision ?? null) !== null &&
    !isGone(view, worker, sinceMs);
  const isDue =
    !tasks.some(({ worker }) => isWaitedFor(worker)) || isLate(view, sinceMs + run.spec.trainMs);
  if (!isDue) return null;
  return { kind: "window-sealed", run: run.run, window: number, seed: draw() };
}

function redrawing(view: View, window: Window): RunOrder | null {
  const { run, around, draw } = view;
  const { number, sinceMs, redraws } = window;
  const order = () =>
    ({ kind: "validators-redrawn", run: run.run, window: number, seed: draw() }) as const;
  if (isLate(view, sinceMs + (redraws + 1) * run.spec.judgeMs)) return order();
  const open = window.draws.filter((each) => missingOf(window, each).length > 0);
  const missing = open.flatMap((each) => missingOf(window, each));
  if (missing.some((node) => !isGone(view, node, sinceMs))) return null;
  // Before its time only where it helps: there are others, or nobody is left to wait for.
  const again = { ...window, draws: drawsAgain(run, window, window.anchor, around) };
  const isOther = again.draws.some(
    ({ validators }, place) => validators.join() !== window.draws[place]!.validators.join(),
  );
  const isOut = open.every((each) => isHopeless(window, each, around));
  return isOut || (isOther && redraws < redrawMaximum) ? order() : null;
}

/** After its time: a delta that all who can have it are gone with, or one of those over which the revisions differ. */
function losing(view: View, window: Window): RunOrder | null {
  const { run, around } = view;
  const { number, sinceMs, accepted, verdicts, computed, anchor } = window;
  if (!isLate(view, sinceMs + run.spec.mergeMs)) return null;
  const holdersOf = (worker: string) => [
    worker,
    ...verdicts.filter((verdict) => verdict.worker === worker).map(({ validator }) => validator),
  ];
  const isLost = (worker: string) => holdersOf(worker).every((node) => isGone(view, node, 0));
  const lotOf = (worker: string) => digestJson({ anchor, worker });
  const isDisputed =
    new Set(computed.map(({ digest }) => digest)).size > 1 && haveAllMerged(run, window, around);
  const worker =
    accepted.find(isLost) ??
    (isDisputed ? accepted.toSorted((a, b) => (lotOf(a) < lotOf(b) ? -1 : 1))[0] : undefined);
  if (worker === undefined) return null;
  return { kind: "contribution-lost", run: run.run, window: number, worker };
}
