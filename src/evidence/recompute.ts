import type { Digest } from "#src/codec/digest.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { committedDigest, stepAt } from "#src/train/windows/commitments.ts";
import type { LocalWork } from "#src/train/windows/tasks.ts";
import type { LoadedRevision, Workbench } from "#src/train/windows/workbench.ts";
import { windowStateDigest } from "#src/train/windows/worker-state.ts";
import type { ReadContribution } from "./check-contribution.ts";
import type { Recomputing } from "./segments.ts";

/** Work of a worker in a window, to be computed again. */
export interface RecomputedWork {
  readonly worker: string;
  readonly work: LocalWork;
  readonly revision: LoadedRevision;
  readonly contribution: ReadContribution;
  /** Where its private state lies; null where it began with zeros. */
  readonly privateBefore: string | null;
  /** Where what it goes on with is to be put, where that is wanted. */
  readonly privateAfter: string;
}

/**
 * Computes a worker's steps in a window again and compares every state it committed to on the way, bit for bit; where all
 * of them are computed, its delta too. Refused with `evidence_differs` naming window, worker and segment.
 */
export async function recompute(
  bench: Workbench,
  of: RecomputedWork,
  { segments, isKept }: Recomputing,
  onSegment: (segment: number) => void,
): Promise<void> {
  const { work, revision, privateBefore } = of;
  const { disk } = bench.run;
  bench.restore(revision);
  bench.state.clearPrivate();
  if (privateBefore !== null) await bench.state.readPrivate(disk, privateBefore);
  await compareState(bench, of, 0);
  for (let segment = 0; segment < segments; segment++) {
    await takeSegment(bench, of, segment);
    await compareState(bench, of, segment + 1);
    onSegment(segment);
  }
  if (stepAt(work, segments) !== work.steps) return;
  await compareDelta(bench, of);
  if (isKept) await bench.state.writePrivate(disk, of.privateAfter);
}

async function takeSegment(bench: Workbench, of: RecomputedWork, segment: number): Promise<void> {
  const { work } = of;
  try {
    await bench.takeSteps(work, stepAt(work, segment), stepAt(work, segment + 1));
  } catch (error) {
    if (!(error instanceof Refusal) || error.code !== "not_finite") throw error;
    throw differs(of, segment, `it cannot be computed: ${error.message}`);
  }
}

/** The state in memory against the commitment of that number. */
async function compareState(bench: Workbench, of: RecomputedWork, index: number): Promise<void> {
  const { work, contribution } = of;
  const { commitments } = contribution;
  const parts = await bench.state.digestParts();
  const place = { window: work.window, work: commitments.work, step: stepAt(work, index) };
  const found = windowStateDigest(place, parts);
  const committed = committedDigest(commitments, work, index);
  if (found === committed) return;
  const what = index === 0 ? "it begins in another state" : "it ends in another state";
  throw differs(of, Math.max(0, index - 1), what, { committed, recomputed: found });
}

async function compareDelta(bench: Workbench, of: RecomputedWork): Promise<void> {
  const { contribution, revision, work } = of;
  const { commitments, delta } = contribution;
  const last = commitments.states.length - 2;
  const { bytes, residual } = bench.encode(revision);
  if (Buffer.compare(bytes, delta) !== 0)
    throw differs(of, last, "its delta is not what the codec makes of its end");
  if (residual !== null) bench.state.residual?.set(residual);
  const found: Digest | null = (await bench.state.digestParts()).residual;
  if (found === commitments.residualAfter) return;
  throw differs(of, last, `what it keeps after step ${work.steps} is not what its delta left`);
}

function differs(
  { worker, work }: RecomputedWork,
  segment: number,
  why: string,
  details: Readonly<Record<string, unknown>> = {},
): Refusal {
  const [first, last] = [stepAt(work, segment) + 1, stepAt(work, segment + 1)];
  return new Refusal(
    "evidence_differs",
    `segment ${segment} of ${worker} in window ${work.window} (steps ${first} to ${last}): ${why}`,
    "the worker did not do the work it was credited with, or this machine computes wrongly; verify it on another",
    { window: work.window, worker, segment, ...details },
  );
}
