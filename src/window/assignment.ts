import { digestJson } from "#src/codec/digest.ts";
import {
  forgivenMisses,
  intervalMaximum,
  restExponentMaximum,
  windowStepMaximum,
} from "./bounds.ts";
import { slotsIn, takeSlots } from "./intervals.ts";
import type { Interval, Run, RunSpec, Task, Window, Worker } from "./run.ts";
import type { Surroundings } from "./surroundings.ts";
import { eligibleWorkers } from "./workers.ts";

/**
 * Who works in the next window, how many steps, on which slots: a function of the run's seed, the window, the pool, the
 * members and what the workers did before. None where nobody can.
 */
export function assign(run: Run, number: number, around: Surroundings): readonly Task[] {
  const { spec, pool } = run;
  const available = slotsIn(pool);
  // Each task can leave one more stretch in the pool, which has a bound.
  const seats = Math.max(1, intervalMaximum + 1 - pool.length);
  const count = Math.min(spec.participants, available, seats);
  const workers = ranked(run, number, awake(number, eligibleWorkers(run, around))).slice(0, count);
  const steps = sharedSteps(wantedSteps(spec, workers), available);
  const inOrder = workers
    .map((worker, place) => ({ worker: worker.node, steps: steps[place]! }))
    .toSorted((a, b) => (a.worker < b.worker ? -1 : 1));
  const tasks: Task[] = [];
  let rest = pool;
  for (const task of inOrder) {
    const { taken, rest: left } = takeSlots(rest, task.steps);
    tasks.push({ ...task, slices: taken });
    rest = left;
  }
  return tasks;
}

/**
 * Who gave nothing far more often than something that counted rests for longer and longer, where others are there:
 * each time it is waited for as long as a window may last.
 */
function awake(number: number, workers: readonly Worker[]): readonly Worker[] {
  const isAwake = ({ missedCount, acceptedCount }: Worker) => {
    const beyond = missedCount - acceptedCount - forgivenMisses;
    return beyond <= 0 || number % 2 ** Math.min(beyond, restExponentMaximum) === 0;
  };
  const there = workers.filter(isAwake);
  return there.length > 0 ? there : workers;
}

/** Those with fewer proven lies go first; among equals each window draws anew, so that everybody comes to it. */
function ranked({ spec, run }: Run, number: number, workers: readonly Worker[]): readonly Worker[] {
  return workers
    .map((worker) => ({
      worker,
      lot: digestJson({ seed: spec.seed, run, window: number, node: worker.node }),
    }))
    .toSorted((a, b) => a.worker.strikes - b.worker.strikes || (a.lot < b.lot ? -1 : 1))
    .map(({ worker }) => worker);
}

/**
 * H for everybody, or quarters of H by measured rate; a rate that nobody knows yet counts as the fastest. Nobody is
 * given what its rate is too low for: it would never give anything.
 */
function wantedSteps(spec: RunSpec, workers: readonly Worker[]): readonly number[] {
  const { windowSteps, pace } = spec;
  const fastest = Math.max(...workers.map(({ rate }) => rate), 0);
  return workers.map(({ rate }) => {
    if (rate === 0) return windowSteps;
    const most = fittingSteps(spec, rate);
    if (pace === "even") return Math.min(windowSteps, most);
    // To the nearest quarter: somebody a little slower than the fastest keeps pace with it.
    const quarters = Math.max(1, Math.floor((8 * rate + fastest) / (2 * fastest)));
    return Math.min(Math.max(1, Math.floor((windowSteps * quarters) / 4)), most);
  });
}

/** Steps that three quarters of a window's time are enough for, at least one. */
function fittingSteps({ trainMs, slotTokens }: RunSpec, rate: number): number {
  const steps = (BigInt(rate) * BigInt(trainMs) * 3n) / (BigInt(slotTokens) * 4_000n);
  return Math.max(1, Math.min(Number(steps), windowStepMaximum));
}

/** What is wanted, or where there is less, one step each and the others in proportion. */
function sharedSteps(wanted: readonly number[], available: number): readonly number[] {
  const total = wanted.reduce((sum, each) => sum + each, 0);
  if (total <= available) return wanted;
  const [beyond, shared] = [total - wanted.length, available - wanted.length];
  const steps = wanted.map((each) => 1 + Math.floor(((each - 1) * shared) / beyond));
  let left = available - steps.reduce((sum, each) => sum + each, 0);
  return steps.map((each, place) => {
    if (left === 0 || each === wanted[place]) return each;
    left--;
    return each + 1;
  });
}

/** The slots that are out of the pool for a window: of all tasks, then of who contributed, then of who counts. */
export function assignedSlices(window: Window): readonly Interval[] {
  return tasksHeld(window).flatMap(({ slices }) => slices);
}

function tasksHeld({ stage, tasks, contributions, accepted }: Window): readonly Task[] {
  if (stage === "active") return tasks;
  if (stage === "scored") return tasks.filter(({ worker }) => accepted.includes(worker));
  return tasks.filter((task) => contributions.some(({ worker }) => worker === task.worker));
}

/** The slices of some of a window's workers. */
export function slicesOf({ tasks }: Window, workers: ReadonlySet<string>): readonly Interval[] {
  return tasks.filter(({ worker }) => workers.has(worker)).flatMap(({ slices }) => slices);
}
