import { expect, test } from "bun:test";
import type { Clock } from "#src/port/clock.ts";
import { quietLimitMs, watchSilence } from "./silence.ts";

/** A clock whose sleeps pass at once; `each` is told where it stands after every one. */
function quickClock(each: (nowMs: number) => number | void): Clock {
  let nowMs = 0;
  return {
    wallMs: () => nowMs,
    monotonicMs: () => nowMs,
    async sleep(delayMs) {
      nowMs += delayMs;
      nowMs += each(nowMs) ?? 0;
    },
  };
}

const never = new AbortController().signal;

test("W-7 a silence as long as the limit is a hang, and its length is told", async () => {
  const clock = quickClock(() => {});
  expect(
    await watchSilence(
      clock,
      () => 0,
      () => 6_000,
      never,
    ),
  ).toBe(6_000);
});

test("W-7 a process that is heard within every limit is never taken for hung", async () => {
  let heardMs = 0;
  const over = new AbortController();
  const clock = quickClock((nowMs) => {
    if (nowMs - heardMs > 4_000) heardMs = nowMs;
    if (nowMs > 200_000) over.abort(new Error("done"));
  });
  expect(
    await watchSilence(
      clock,
      () => heardMs,
      () => 6_000,
      over.signal,
    ),
  ).toBeNull();
});

test("W-7 a machine that slept for hours has missed one look, and its processes are heard before the next", async () => {
  let heardMs = 0;
  let looks = 0;
  const over = new AbortController();
  const clock = quickClock((nowMs) => {
    looks++;
    if (looks === 4) return 7_200_000;
    if (looks > 4) heardMs = nowMs;
    if (looks > 20) over.abort(new Error("done"));
    return 0;
  });
  expect(
    await watchSilence(
      clock,
      () => heardMs,
      () => 6_000,
      over.signal,
    ),
  ).toBeNull();
});

test("W-7 a slow process is waited for longer than a quick one, but not for ever", () => {
  expect(quietLimitMs(100)).toBe(30_000);
  expect(quietLimitMs(10_000)).toBe(80_000);
  expect(quietLimitMs(10_000_000)).toBe(900_000);
  expect(quietLimitMs(100, 2_000)).toBe(2_000);
});
