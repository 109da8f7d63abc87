import type { RunSpec } from "./run.ts";

/**
 * The step of the run's schedule at which a local step (from 0) of a window is taken: by how far the run has come,
 * as if everybody who takes part went at the same pace. Below `scheduleSteps`.
 */
export function scheduleStep(
  spec: Pick<RunSpec, "slots" | "scheduleSteps">,
  progress: number,
  localStep: number,
  participantCount: number,
): number {
  // Both factors may have 40 bits.
  const reached = BigInt(progress) + BigInt(localStep) * BigInt(participantCount);
  const step = (BigInt(spec.scheduleSteps) * reached) / BigInt(spec.slots);
  return Math.min(Number(step), spec.scheduleSteps - 1);
}
