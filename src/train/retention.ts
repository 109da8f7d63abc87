/** Which checkpoints stay: the last ones, the best one, and every Nth step for replay. */
import type { Disk } from "#src/port/disk.ts";
import { checkpointStep } from "./checkpoint.ts";

export interface Retention {
  /** How many of the newest stay; at least 1. */
  readonly keepLast: number;
  /** Steps that are multiples of this stay; 0 keeps none for that reason. */
  readonly keepEverySteps: number;
}

export interface Marks {
  readonly last: number;
  readonly best: number | null;
}

/** The steps to remove out of those there are. The last and the best are never among them. */
export function expiredSteps(
  steps: readonly number[],
  retention: Retention,
  marks: Marks,
): number[] {
  const newest = steps.toSorted((a, b) => b - a).slice(0, Math.max(1, retention.keepLast));
  return steps.filter(
    (step) =>
      !newest.includes(step) &&
      step !== marks.last &&
      step !== marks.best &&
      !(retention.keepEverySteps > 0 && step % retention.keepEverySteps === 0),
  );
}

/** Applies the rule to a `checkpoints` directory; returns the steps removed. */
export async function sweepCheckpoints(
  disk: Disk,
  directory: string,
  retention: Retention,
  marks: Marks,
): Promise<number[]> {
  const steps = (await disk.list(directory)).flatMap((entry) => checkpointStep(entry.name) ?? []);
  const expired = expiredSteps(steps, retention, marks);
  for (const step of expired) {
    const entry = (await disk.list(directory)).find((each) => checkpointStep(each.name) === step);
    if (entry) await disk.remove(`${directory}/${entry.name}`);
  }
  return expired;
}
