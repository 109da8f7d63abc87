import type { Services } from "#src/command/define.ts";
import { median, rowOf, type Row } from "./row.ts";

/** What a call of the registry costs: inside a process, and of a daemon over its local socket. */
export const callRows = ["call-process", "call-socket"] as const;

/** Calls before the first that counts, so that code is compiled and the connection is open. */
const warmUpCount = 200;
const callMinimum = 100;
const callMaximum = 20_000;

/** Median time of one call after another. */
export async function measureCalls(
  { callPaths, clock }: Services,
  name: (typeof callRows)[number],
  seconds: number,
): Promise<Row> {
  const path = await callPaths[name]();
  try {
    for (let count = 0; count < warmUpCount; count++) await path.call();
    const times: number[] = [];
    const untilMs = clock.monotonicMs() + seconds * 1_000;
    let nowMs = clock.monotonicMs();
    while (times.length < callMinimum || (nowMs < untilMs && times.length < callMaximum)) {
      await path.call();
      const endedMs = clock.monotonicMs();
      times.push(endedMs - nowMs);
      nowMs = endedMs;
    }
    return rowOf(name, 1, { milliseconds: median(times) });
  } finally {
    await path.close();
  }
}
