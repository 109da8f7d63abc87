import type { Digest } from "#src/codec/digest.ts";
import { workerMaximum } from "./bounds.ts";
import { deny } from "./deny.ts";
import { withNamed } from "./list.ts";
import type { Run, Worker } from "./run.ts";
import type { RunMember, Surroundings } from "./surroundings.ts";

export function workerOf({ workers }: Run, node: string): Worker | undefined {
  return workers.find((worker) => worker.node === node);
}

export function memberOf({ members }: Surroundings, node: string): RunMember | undefined {
  return members.find((member) => member.node === node);
}

const blank = {
  ...{ revision: null, lane: "", rate: 0, strikes: 0, isQuarantined: false, private: null },
  ...{ statement: null, acceptedSlots: 0, acceptedCount: 0, rejectedCount: 0, missedCount: 0 },
} as const;

/** What is known of a node in a run, also before it said anything. */
export function knownWorker(run: Run, node: string): Worker {
  return workerOf(run, node) ?? { node, ...blank };
}

/** Puts a worker in. Refused with `worker_unfit` where the run has as many as it may. */
export function withWorker(run: Run, worker: Worker): Run {
  if (workerOf(run, worker.node) === undefined && run.workers.length >= workerMaximum)
    deny(
      "worker_unfit",
      `${workerMaximum} nodes take part in ${run.name} already`,
      "begin another run with it",
    );
  return { ...run, workers: withNamed(run.workers, ({ node }) => node, worker) };
}

/** The run after a node said something, which its next statement has to name. */
export function withStatement(run: Run, node: string, statement: Digest): Run {
  return withWorker(run, { ...knownWorker(run, node), statement });
}

export function mapWorkers(run: Run, change: (worker: Worker) => Worker): Run {
  return { ...run, workers: run.workers.map(change) };
}

/** Who holds the present revision, asks for work, and may have it. */
export function eligibleWorkers(run: Run, around: Surroundings): readonly Worker[] {
  return run.workers.filter((worker) => {
    const member = memberOf(around, worker.node);
    return holdsPresent(run, worker) && member !== undefined && member.isReady && member.isTrainer;
  });
}

/** Whether a worker that is not out of the run said that it has the run's present revision. */
export function holdsPresent({ revision }: Run, worker: Worker): boolean {
  return worker.revision === revision.number && !worker.isQuarantined;
}
