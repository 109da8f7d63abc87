import type { Clock } from "#src/port/clock.ts";

/** The length of a tick of the log's core. */
export const tickMs = 100;
/** Ticks made up for after a pause. Fewer than an election waits for: who slept should not disturb first. */
const catchUpMaximum = 4;

/** Calls `tick` every `tickMs` of the monotonic clock until the signal aborts. Never rejects. */
export async function beat(
  clock: Pick<Clock, "monotonicMs" | "sleep">,
  signal: AbortSignal,
  tick: () => void,
): Promise<void> {
  let dueMs = clock.monotonicMs() + tickMs;
  while (!signal.aborted) {
    const nowMs = clock.monotonicMs();
    if (dueMs > nowMs) {
      await clock.sleep(dueMs - nowMs, signal).catch(() => {});
      continue;
    }
    dueMs = Math.max(dueMs, nowMs - catchUpMaximum * tickMs) + tickMs;
    tick();
  }
}
