import { canonicalText } from "#src/codec/digest.ts";
import { assignedSlices } from "./assignment.ts";
import {
  intervalMaximum,
  redrawMaximum,
  runMaximum,
  validatorMaximum,
  workerMaximum,
} from "./bounds.ts";
import { missingOf } from "./draw.ts";
import { areApart, putBack, slotsIn } from "./intervals.ts";
import { isOver, type Run, type Window } from "./run.ts";

/** What must hold of the runs of every state, whatever events led to it. Null where it does, else what does not. */
export function brokenRuns(runs: readonly Run[]): string | null {
  if (runs.length > runMaximum || !ascends(runs, ({ run }) => run))
    return "the runs are too many or out of order";
  const names = runs.filter((run) => !isOver(run)).map(({ name }) => name);
  if (new Set(names).size < names.length) return "two runs at work have one name";
  for (const run of runs) {
    const broken = brokenRun(run);
    if (broken !== null) return `run ${run.run}: ${broken}`;
  }
  return null;
}

function brokenRun(run: Run): string | null {
  return (
    brokenSlots(run) ??
    brokenWorkers(run) ??
    brokenPhase(run) ??
    (run.window === null ? null : brokenWindow(run, run.window))
  );
}

/** Every slot is in the pool, assigned, or accepted for good, and in one of them alone. */
function brokenSlots({ pool, window, acceptedSlots, spec }: Run): string | null {
  if (!areApart(pool) || pool.length > intervalMaximum) return "the pool is no list of stretches";
  const assigned = window === null ? [] : assignedSlices(window);
  const last = pool.at(-1);
  if (last !== undefined && last.first + last.count > spec.slots) return "the pool passes the run";
  const all = [...pool, ...assigned].toSorted((a, b) => a.first - b.first);
  const isTwice = all.some(({ first }, place) => {
    const before = all[place - 1];
    return before !== undefined && before.first + before.count > first;
  });
  if (isTwice) return "a slot stands in the pool and in a task, or in two tasks";
  const count = slotsIn(pool) + slotsIn(assigned) + acceptedSlots;
  return count === spec.slots ? null : `${count} slots are known of ${spec.slots}`;
}

function brokenWorkers({ workers, acceptedSlots, spec, revision, chain }: Run): string | null {
  if (workers.length > workerMaximum || !ascends(workers, ({ node }) => node))
    return "the workers are too many or out of order";
  const sum = workers.reduce((total, worker) => total + worker.acceptedSlots, 0);
  if (sum !== acceptedSlots) return "the accepted slots are not those of the workers";
  const ahead = workers.find((worker) => (worker.revision ?? 0) > revision.number);
  if (ahead !== undefined) return `${ahead.node} holds a revision that there is not`;
  const wrong = workers.find(
    ({ isQuarantined, strikes }) => isQuarantined !== strikes >= spec.strikes,
  );
  if (wrong !== undefined) return `${wrong.node} has ${wrong.strikes} strikes`;
  if (revision.number > 0 && (revision.digest === null || revision.artifact === null))
    return "a promoted revision has no digest";
  return chain.length === 64 ? null : "the chain is no digest";
}

function brokenPhase({ phase, window, pool, windowCount, past }: Run): string | null {
  if (phase === "completed" && (window !== null || pool.length > 0))
    return "completed with slots left";
  const isStill = phase === "stopped" || phase === "failed" || phase === "paused";
  if (isStill && window !== null) return `${phase} with a window`;
  if ((phase === "planned" || phase === "initializing") && windowCount > 0)
    return `${phase} after a window`;
  const latest = window?.number ?? past?.number ?? 0;
  const isCounted =
    isStill || phase === "completed" ? latest <= windowCount : latest === windowCount;
  return isCounted ? null : `${windowCount} windows were opened, the latest known is ${latest}`;
}

function brokenWindow(run: Run, window: Window): string | null {
  const { tasks, contributions, stage, accepted, revision } = window;
  if (revision !== run.revision.number) return "the window is of another revision";
  if (tasks.length === 0 || !ascends(tasks, ({ worker }) => worker))
    return "the tasks have no order";
  const wrong = tasks.find(
    ({ slices, steps }) =>
      slotsIn(slices) !== steps || steps > run.spec.windowSteps || !areApart(putBack([], slices)),
  );
  if (wrong !== undefined) return `the task of ${wrong.worker} is not what its slices are`;
  const workers = new Set(tasks.map(({ worker }) => worker));
  if (!contributions.every(({ worker }) => workers.has(worker)))
    return "a contribution without a task";
  if (!ascends(contributions, ({ worker }) => worker)) return "two contributions of one worker";
  const artifacts = new Set(contributions.map(({ artifact }) => artifact));
  if (artifacts.size < contributions.length) return "two contributions of one artifact";
  if (stage === "active" && (window.draws.length > 0 || window.verdicts.length > 0))
    return "judged before it was sealed";
  if (stage !== "scored" && (accepted.length > 0 || window.computed.length > 0))
    return "computed before it was scored";
  return stage === "active" ? null : (brokenDraws(window) ?? brokenAccepted(window));
}

function brokenDraws({ draws, contributions, verdicts, redraws }: Window): string | null {
  if (draws.map(({ worker }) => worker).join() !== contributions.map(({ worker }) => worker).join())
    return "a draw for another than who contributed";
  if (redraws > redrawMaximum) return "drawn again too often";
  const bad = draws.find(
    ({ worker, validators }) =>
      validators.includes(worker) ||
      new Set(validators).size < validators.length ||
      validators.length > validatorMaximum,
  );
  if (bad !== undefined) return `${bad.worker} is judged by itself or twice by one`;
  return ascends(verdicts, ({ worker, validator }) => `${worker} ${validator}`)
    ? null
    : "two verdicts of one validator on one worker";
}

/** What counts was accepted by all who were drawn for it. */
function brokenAccepted(window: Window): string | null {
  if (window.stage !== "scored") return null;
  if (window.accepted.length === 0 || !ascends(window.accepted, String))
    return "scored with nothing accepted";
  const broken = window.accepted.find((worker) => {
    const draw = window.draws.find((each) => each.worker === worker);
    const isOther = window.verdicts.some(
      ({ worker: judged, validator, verdict }) =>
        judged === worker &&
        draw?.validators.includes(validator) === true &&
        verdict !== "accepted",
    );
    return draw === undefined || isOther || missingOf(window, draw).length > 0;
  });
  return broken === undefined ? null : `${broken} counts without its verdicts`;
}

function ascends<T>(list: readonly T[], nameOf: (each: T) => string): boolean {
  return list.every((each, place) => place === 0 || nameOf(list[place - 1]!) < nameOf(each));
}

/** What must hold of every step from one state's runs to the next, of however many events. */
export function brokenRunStep(before: readonly Run[], after: readonly Run[]): string | null {
  for (const earlier of before) {
    const later = after.find(({ run }) => run === earlier.run);
    const broken = later === undefined ? brokenLoss(earlier, after) : brokenChange(earlier, later);
    if (broken !== null) return `run ${earlier.run}: ${broken}`;
  }
  return null;
}

/** Only a run that is over makes room, and only where there is none. */
function brokenLoss(earlier: Run, after: readonly Run[]): string | null {
  return after.length === runMaximum || isOver(earlier) ? null : "a run at work is gone";
}

function brokenChange(earlier: Run, later: Run): string | null {
  if (earlier === later) return null;
  // One comes out of the rules, the other maybe out of a text: their keys have not one order.
  if (earlier.chain === later.chain)
    return canonicalText(earlier) === canonicalText(later) ? null : "changed without its chain";
  if (earlier.document !== later.document || earlier.author !== later.author)
    return "became another run";
  if (isOver(earlier) && earlier.phase !== later.phase) return `went on after ${earlier.phase}`;
  if (later.revision.number < earlier.revision.number) return "a revision went back";
  if (later.windowCount < earlier.windowCount) return "a window went back";
  if (later.acceptedSlots < earlier.acceptedSlots) return "an accepted slot was lost";
  const isSame = later.revision.number === earlier.revision.number;
  if (
    isSame &&
    earlier.revision.digest !== null &&
    earlier.revision.digest !== later.revision.digest
  )
    return "a revision became another";
  return isSame === (later.acceptedSlots === earlier.acceptedSlots)
    ? null
    : "a revision without slots, or slots without one";
}

/** What must hold of the step that one event of a run makes. */
export function brokenRunEvent(earlier: Run, later: Run): string | null {
  if (later.chain === earlier.chain) return "an event without a trace";
  if (later.windowCount - earlier.windowCount > 1) return "two windows opened at once";
  const isPromoted = later.revision.number !== earlier.revision.number;
  if (!isPromoted) return null;
  if (later.revision.number !== earlier.revision.number + 1) return "a revision was left out";
  if (earlier.window?.stage !== "scored") return "a revision out of no scored window";
  return brokenAccepted(earlier.window);
}
