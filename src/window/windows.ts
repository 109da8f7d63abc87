import type { Digest } from "#src/codec/digest.ts";
import { assign, assignedSlices, slicesOf } from "./assignment.ts";
import { redrawMaximum } from "./bounds.ts";
import { deny } from "./deny.ts";
import { drawsAgain, drawsOf, isHopeless, missingOf } from "./draw.ts";
import type { RunCommandOf } from "./event.ts";
import { putBack, takeSlots } from "./intervals.ts";
import { rateOf } from "./rate.ts";
import type { Run, RunSpec, Window, Worker } from "./run.ts";
import { hold, isJudged, score } from "./scoring.ts";
import type { Step } from "./step.ts";
import type { Surroundings } from "./surroundings.ts";
import { mapWorkers } from "./workers.ts";

/** The coordinator's orders about windows. It decides when; the rules decide what. */

const zeros: Digest = "0".repeat(64);

export function openWindow(
  run: Run,
  { window: number }: RunCommandOf<"window-opened">,
  around: Surroundings,
): Step {
  if (run.window !== null || number !== run.windowCount + 1)
    return deny(
      "window_stale",
      `window ${number} of ${run.name} is not the next: ${run.windowCount} were opened`,
      "look at the run's state again",
    );
  if (run.wish !== "run")
    return deny("window_unready", `${run.name} is paused`, "have it go on first");
  const tasks = assign(run, number, around);
  if (tasks.length === 0)
    return deny(
      "window_unready",
      `no ready trainer holds revision ${run.revision.number} of ${run.name}`,
      "wait until a node says that it is ready",
    );
  const steps = tasks.reduce((sum, task) => sum + task.steps, 0);
  const { nowMs } = around;
  const window: Window = {
    ...{ number, stage: "active", revision: run.revision.number, progress: run.acceptedSlots },
    ...{ sinceMs: nowMs, openedMs: nowMs, tasks, contributions: [], seed: zeros, redraws: 0 },
    ...{ draws: [], verdicts: [], accepted: [], computed: [], anchor: zeros },
  };
  const { rest: pool } = takeSlots(run.pool, steps);
  return { run: { ...run, pool, windowCount: number, window }, decided: { tasks }, isAnchor: true };
}

/** The window of that number in that stage, or a refusal. */
export function windowIn(run: Run, number: number, stage: Window["stage"]): Window {
  const { window } = run;
  if (window?.number === number && window.stage === stage) return window;
  const present =
    window === null ? `${run.windowCount} were opened and none is open` : stageText(window);
  return deny(
    "window_stale",
    `${run.name} has no ${stage} window ${number}: ${present}`,
    "what belongs to another window or comes too late has no effect",
  );
}

function stageText({ number, stage }: Window): string {
  return `window ${number} is ${stage}`;
}

/** Who gave nothing is not counted on before it says again that it is ready; its slots go back. */
export function sealWindow(
  run: Run,
  { window: number, seed }: RunCommandOf<"window-sealed">,
  around: Surroundings,
): Step {
  const active = windowIn(run, number, "active");
  const { nowMs } = around;
  const given = new Set(active.contributions.map(({ worker }) => worker));
  const missed = new Set(
    active.tasks.map(({ worker }) => worker).filter((worker) => !given.has(worker)),
  );
  const pool = putBack(run.pool, slicesOf(active, missed));
  const draws = drawsOf(run, active, seed, around);
  const window: Window = { ...active, stage: "sealed", sinceMs: nowMs, seed, draws };
  const sealed = mapWorkers({ ...run, pool, window }, (worker) =>
    missed.has(worker.node) ? withMissed(worker, active, run.spec, nowMs) : worker,
  );
  const decided = { draws, missed: [...missed] };
  if (draws.length === 0) {
    const held = "no_contribution";
    return { run: hold(sealed, held, nowMs), decided: { ...decided, held } };
  }
  return judged({ run: sealed, decided, isAnchor: true }, nowMs);
}

/**
 * A worker that gave nothing counts as half as fast as it would have had to be, until it gives something: whoever is
 * too slow for its task has a smaller one the next time.
 */
function withMissed(
  worker: Worker,
  { tasks, sinceMs }: Window,
  { slotTokens }: RunSpec,
  nowMs: number,
): Worker {
  const steps = tasks.find((task) => task.worker === worker.node)?.steps ?? 0;
  const needed = rateOf(steps * slotTokens, Math.max(1, nowMs - sinceMs));
  const known = worker.rate === 0 ? needed : Math.min(worker.rate, needed);
  const rate = Math.max(1, Math.floor(known / 2));
  return { ...worker, revision: null, rate, missedCount: worker.missedCount + 1 };
}

/** Goes on to scoring at once where nobody is waited for, as in a run of one node. */
export function judged(step: Step, nowMs: number): Step {
  const { window } = step.run;
  if (window?.stage !== "sealed" || !isJudged(window)) return step;
  return scored(step, window, nowMs);
}

function scored(step: Step, window: Window, nowMs: number): Step {
  const { decided, ...rest } = score(step.run, window, nowMs);
  return { ...rest, decided: { ...step.decided, ...decided } };
}

/**
 * Others judge what was not judged. After `redrawMaximum` times, or where nobody is left to be waited for, what is
 * still not judged does not count.
 */
export function redrawValidators(
  run: Run,
  { window: number, seed }: RunCommandOf<"validators-redrawn">,
  around: Surroundings,
): Step {
  const sealed = windowIn(run, number, "sealed");
  const { nowMs } = around;
  if (sealed.redraws >= redrawMaximum)
    return scored({ run, decided: { draws: sealed.draws } }, sealed, nowMs);
  const draws = drawsAgain(run, sealed, seed, around);
  const window: Window = { ...sealed, draws, redraws: sealed.redraws + 1 };
  const step = { run: { ...run, window }, decided: { draws } };
  const isOver = draws.every(
    (draw) => missingOf(window, draw).length === 0 || isHopeless(window, draw, around),
  );
  return isOver ? scored(step, window, nowMs) : step;
}

/** Leaves an accepted delta out that nobody can have: what was computed with it does not count any more. */
export function loseContribution(
  run: Run,
  { window: number, worker }: RunCommandOf<"contribution-lost">,
  around: Surroundings,
): Step {
  const before = windowIn(run, number, "scored");
  if (!before.accepted.includes(worker))
    return deny(
      "window_stale",
      `${worker} has no accepted contribution in window ${number} of ${run.name}`,
      "look at the run's state again",
    );
  const { nowMs } = around;
  const accepted = before.accepted.filter((each) => each !== worker);
  const pool = putBack(run.pool, slicesOf(before, new Set([worker])));
  const window: Window = { ...before, accepted, computed: [], sinceMs: nowMs };
  const lost = { ...run, pool, window };
  if (accepted.length > 0) return { run: lost, decided: { accepted }, isAnchor: true };
  const isDisputed = new Set(before.computed.map(({ digest }) => digest)).size > 1;
  const held = isDisputed ? "revision_differs" : "delta_unavailable";
  return { run: hold(lost, held, nowMs), decided: { accepted, held } };
}

/** The run without its window, whose slots are in the pool again. */
export function withoutWindow(run: Run): Run {
  const { window } = run;
  if (window === null) return run;
  return { ...run, window: null, pool: putBack(run.pool, assignedSlices(window)) };
}
