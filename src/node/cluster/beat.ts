import type { Clock } from "#src/port/clock.ts";

/** The length of a tick of the log's core. */
export const tickMs = 100;
/** Ticks for which the process wakes at once: waking is what an idle node's time goes into. */
const ticksPerWake = 2;
/** Ticks made up for after a pause. Fewer than an election waits for: who slept should not disturb first. */
const catchUpMaximum = 4;

/**
 * Calls `tick` once for every `tickMs` of the monotonic clock, some at a time, until the signal aborts.
 * Never rejects.
 */
export async function beat(
  clock: Pick<Clock, "monotonicMs" | "sleep">,
  signal: AbortSignal,
  tick: () => void,
): Promise<void> {
  const wakeMs = ticksPerWake * tickMs;
  let dueMs = clock.monotonicMs() + wakeMs;
  while (!signal.aborted) {
    const nowMs = clock.monotonicMs();
    if (dueMs > nowMs) {
      await clock.sleep(dueMs - nowMs, signal).catch(() => {});
      continue;
    }
    dueMs = Math.max(dueMs, nowMs - catchUpMaximum * tickMs) + wakeMs;
    for (let count = 0; count < ticksPerWake; count++) tick();
  }
}
