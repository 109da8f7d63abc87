import { digestJson } from "#src/codec/digest.ts";
import { missingOf } from "./draw.ts";
import type { Job, JobKind } from "./job.ts";
import { agreeingWith, quorumOf } from "./promotion.ts";
import { isOver, type Run } from "./run.ts";
import type { Surroundings } from "./surroundings.ts";
import { holdsPresent, memberOf, workerOf } from "./workers.ts";

/** What others wait for goes first. */
const order: readonly JobKind[] = ["merge", "validate", "train", "evaluate", "prepare"];

interface View {
  readonly run: Run;
  readonly node: string;
  readonly around: Surroundings;
  /** Whether the run's present revision lies on this node. */
  readonly isHere: boolean;
}

/**
 * What a node has to do now for the runs of its mesh, the most urgent first. `holding` gives the promoted revision of
 * a run that lies here, ready to be used; null where there is none. Nothing is remembered: the same state and the same
 * disk give the same duties.
 */
export function dutiesOf(
  runs: readonly Run[],
  node: string,
  holding: (run: string) => number | null,
  around: Surroundings,
): readonly Job[] {
  const jobs = runs.flatMap((run) =>
    jobsOf({ run, node, around, isHere: holding(run.run) === run.revision.number }),
  );
  return order.flatMap((kind) => jobs.filter((job) => job.kind === kind));
}

function jobsOf(view: View): readonly Job[] {
  if (memberOf(view.around, view.node) === undefined) return [];
  const evaluations = evaluationsFor(view);
  if (isOver(view.run)) return evaluations;
  return [...mergesFor(view), ...judgingsFor(view), ...trainingsFor(view), ...evaluations].concat(
    preparingsFor(view),
  );
}

/** Also of who said its revision before, where by now as many agree as there have to be: it says so again. */
function mergesFor({ run, node, around, isHere }: View): readonly Job[] {
  const { window } = run;
  const worker = workerOf(run, node);
  if (window?.stage !== "scored" || !isHere || worker === undefined) return [];
  if (!holdsPresent(run, worker)) return [];
  const agreeing = agreeingWith(window, node);
  const isStated = window.computed.some((each) => each.node === node);
  if (isStated && agreeing.length < quorumOf(run, window, around)) return [];
  return [{ kind: "merge", run, window }];
}

function judgingsFor({ run, node }: View): readonly Job[] {
  const { window } = run;
  if (window?.stage !== "sealed") return [];
  return window.draws
    .filter((draw) => missingOf(window, draw).includes(node))
    .map((draw) => ({
      ...{ kind: "validate", run, window, draw },
      task: window.tasks.find(({ worker }) => worker === draw.worker)!,
      contribution: window.contributions.find(({ worker }) => worker === draw.worker)!,
    }));
}

function trainingsFor({ run, node, isHere }: View): readonly Job[] {
  const { window } = run;
  if (window?.stage !== "active" || !isHere) return [];
  const task = window.tasks.find(({ worker }) => worker === node);
  const isDone = window.contributions.some(({ worker }) => worker === node);
  return task === undefined || isDone ? [] : [{ kind: "train", run, window, task }];
}

/** Each revision is evaluated by one who holds it, drawn for it; the last one over all rows. */
function evaluationsFor({ run, node, around }: View): readonly Job[] {
  const { revision, evaluated, phase } = run;
  if (revision.digest === null || phase === "stopped" || phase === "failed") return [];
  const isFull = phase === "completed";
  if (evaluated?.revision === revision.number && (evaluated.isFull || !isFull)) return [];
  return evaluatorOf(run, around) === node ? [{ kind: "evaluate", run, isFull }] : [];
}

function evaluatorOf(run: Run, around: Surroundings): string | null {
  const lotOf = (node: string) =>
    digestJson({ seed: run.spec.seed, run: run.run, evaluated: run.revision.number, node });
  const able = run.workers
    .filter((worker) => holdsPresent(run, worker) && isReady(around, worker.node))
    .map(({ node }) => ({ node, lot: lotOf(node) }));
  return able.toSorted((a, b) => (a.lot < b.lot ? -1 : 1))[0]?.node ?? null;
}

/** Of a trainer that has not the present revision, or has not said so since it was not counted on. */
function preparingsFor({ run, node, around, isHere }: View): readonly Job[] {
  const member = memberOf(around, node);
  const worker = workerOf(run, node);
  if (member?.isTrainer !== true || !member.isReady || worker?.isQuarantined === true) return [];
  if (run.phase === "paused") return [];
  const isReadied = worker !== undefined && holdsPresent(run, worker);
  return isHere && isReadied ? [] : [{ kind: "prepare", run }];
}

function isReady(around: Surroundings, node: string): boolean {
  return memberOf(around, node)?.isReady === true;
}
