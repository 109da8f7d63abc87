import type { Clock } from "#src/port/clock.ts";

/** Least silence of a process that works after which it is taken for hung. */
const quietDefaultMs = 30_000;
/** However slow a process was, it is not waited for longer. */
const quietMaximumMs = 15 * 60_000;
/** How much longer than its longest pause so far a process may say nothing. */
const quietFactor = 8;
/** Looks within one limit: a machine that slept for hours has missed one look, not all of them. */
const looks = 6;

/** After how long a silence is taken for a hang, given the longest that was none. */
export function quietLimitMs(longestQuietMs: number, leastMs = quietDefaultMs): number {
  return Math.min(
    Math.max(leastMs, quietMaximumMs),
    Math.max(leastMs, quietFactor * longestQuietMs),
  );
}

/**
 * Waits until nothing was heard for a whole limit, counted in looks between which the clock moved as it should, and
 * gives the silence in milliseconds; null where `over` is aborted first.
 */
export async function watchSilence(
  clock: Clock,
  lastHeardMs: () => number,
  limitMs: () => number,
  over: AbortSignal,
): Promise<number | null> {
  let quietLooks = 0;
  let before = lastHeardMs();
  while (!over.aborted) {
    await clock.sleep(limitMs() / looks, over).catch(() => {});
    if (over.aborted) return null;
    const heard = lastHeardMs();
    quietLooks = heard === before ? quietLooks + 1 : 0;
    before = heard;
    if (quietLooks >= looks) return clock.monotonicMs() - heard;
  }
  return null;
}
