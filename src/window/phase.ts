import { heldMinimum } from "./bounds.ts";
import { isOver, type Run, type RunPhase } from "./run.ts";
import { holdsPresent } from "./workers.ts";

/** The run with the phase that follows from the rest of it. */
export function settled(run: Run, nowMs: number): Run {
  if (isOver(run)) return run;
  const phase = phaseOf(run);
  const reason = phase === "recovering" ? (run.past?.reason ?? "") || "no_worker" : "";
  if (phase === run.phase && reason === run.reason) return run;
  return { ...run, phase, reason, sinceMs: phase === run.phase ? run.sinceMs : nowMs };
}

function phaseOf(run: Run): RunPhase {
  const { window, pool, wish, windowCount, heldCount, workers } = run;
  if (window === null && pool.length === 0) return "completed";
  if (window === null && wish === "pause") return "paused";
  const isManned = workers.some((worker) => holdsPresent(run, worker));
  if (windowCount === 0) return isManned ? "initializing" : "planned";
  if (heldCount >= heldMinimum || (window === null && !isManned)) return "recovering";
  return "active";
}
