import { digestJson } from "#src/codec/digest.ts";

/** A contribution that counted, as far as its recomputing costs. */
export interface TrailStep {
  readonly window: number;
  readonly worker: string;
  readonly steps: number;
  readonly segmentSteps: number;
  readonly segments: number;
  /** Whether it began with zeros, or with what its worker's last one before ended in. */
  readonly isFresh: boolean;
}

export interface Segment {
  readonly window: number;
  readonly worker: string;
  /** From 0. */
  readonly segment: number;
  /** Local steps from the worker's zeros to the segment's end. */
  readonly costSteps: number;
}

/** Every segment of the run that counted, with what it costs to come to its end. */
export function segmentsOf(trail: readonly TrailStep[]): Segment[] {
  const before = new Map<string, number>();
  return trail.flatMap(({ window, worker, steps, segmentSteps, segments, isFresh }) => {
    const start = isFresh ? 0 : (before.get(worker) ?? 0);
    before.set(worker, start + steps);
    return Array.from({ length: segments }, (_, segment) => {
      const costSteps = start + Math.min(steps, (segment + 1) * segmentSteps);
      return { window, worker, segment, costSteps };
    });
  });
}

export interface DrawnSegments {
  /** By window, worker and segment. */
  readonly drawn: readonly Segment[];
  readonly all: number;
  /** Within the budget. */
  readonly reachable: number;
}

/**
 * Draws segments without repetition among those that cost no more steps than the budget, each as likely as the other: a
 * function of the seed, so that another can draw the same.
 */
export function drawSegments(
  segments: readonly Segment[],
  { count, seed, budgetSteps }: { count: number; seed: string; budgetSteps: number },
): DrawnSegments {
  const reachable = segments.filter(({ costSteps }) => costSteps <= budgetSteps);
  const drawn = reachable
    .map((segment) => {
      const { window, worker, segment: number } = segment;
      return { segment, lot: digestJson({ seed, window, worker, segment: number }) };
    })
    .toSorted((a, b) => (a.lot < b.lot ? -1 : 1))
    .slice(0, count)
    .map(({ segment }) => segment)
    .toSorted(byPlace);
  return { drawn, all: segments.length, reachable: reachable.length };
}

function byPlace(a: Segment, b: Segment): number {
  if (a.window !== b.window) return a.window - b.window;
  if (a.worker !== b.worker) return a.worker < b.worker ? -1 : 1;
  return a.segment - b.segment;
}

/** What has to be computed of a window's contribution. */
export interface Recomputing {
  /** Segments from the first on. */
  readonly segments: number;
  /** Those of them that were drawn. */
  readonly drawn: readonly number[];
  /** Whether the worker's state at its end is needed for a later window. */
  readonly isKept: boolean;
}

/** What has to be computed for the drawn segments, by window and worker as `"3 psn…"`. */
export function planRecomputing(
  trail: readonly TrailStep[],
  drawn: readonly Segment[],
): ReadonlyMap<string, Recomputing> {
  const plan = new Map<string, Recomputing>();
  /** Workers whose state at the end of the window before is wanted. */
  const wanted = new Set<string>();
  for (const step of trail.toReversed()) {
    const own = drawn
      .filter(({ window, worker }) => window === step.window && worker === step.worker)
      .map(({ segment }) => segment);
    const isKept = wanted.delete(step.worker);
    if (own.length === 0 && !isKept) continue;
    const segments = isKept ? step.segments : Math.max(...own) + 1;
    plan.set(placeOf(step), { segments, drawn: own, isKept });
    if (!step.isFresh) wanted.add(step.worker);
  }
  return plan;
}

export function placeOf({ window, worker }: Pick<TrailStep, "window" | "worker">): string {
  return `${window} ${worker}`;
}
