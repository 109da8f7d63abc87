import { describe, expect, test } from "bun:test";
import { Refusal } from "#src/refusal/refusal.ts";
import { RunningCalls } from "./running-calls.ts";

const reason = new Refusal("interrupted", "stop", "again");
const never = new AbortController().signal;

describe("A-9 calls under way", () => {
  test("A-9 one call is stopped by its caller's name for it, others go on", () => {
    const calls = new RunningCalls();
    const one = calls.begin({ id: "one", place: "process" }, never);
    const other = calls.begin({ id: "other", place: "process" }, never);
    const nameless = calls.begin({ id: null, place: "process" }, never);
    expect(calls.stop("one", reason)).toBe(true);
    expect([one, other, nameless].map(({ signal }) => signal.aborted)).toEqual([
      true,
      false,
      false,
    ]);
    expect(one.signal.reason).toBe(reason);
    expect(calls.stop("nobody", reason)).toBe(false);
    one.end();
    expect(calls.stop("one", reason)).toBe(false);
    expect(calls.count).toBe(2);
  });

  test("A-9 a caller that goes away aborts its call", () => {
    const gone = new AbortController();
    const { signal } = new RunningCalls().begin({ id: null, place: "node" }, gone.signal);
    gone.abort(reason);
    expect(signal.reason).toBe(reason);
  });

  test("A-9 those that hold the node stop first, then all", () => {
    const calls = new RunningCalls();
    const train = calls.begin({ id: null, place: "node" }, never);
    const sample = calls.begin({ id: null, place: "process" }, never);
    calls.stopAll("node", reason);
    expect([train.signal.aborted, sample.signal.aborted]).toEqual([true, false]);
    calls.stopAll("all", reason);
    expect(sample.signal.aborted).toBe(true);
  });

  test("A-9 idle waits for the last call, and for none where none runs", async () => {
    const calls = new RunningCalls();
    await calls.idle();
    const [first, last] = [1, 2].map(() => calls.begin({ id: null, place: "process" }, never));
    let isIdle = false;
    const idle = calls.idle().then(() => (isIdle = true));
    first!.end();
    await Promise.resolve();
    expect(isIdle).toBe(false);
    last!.end();
    expect(await idle).toBe(true);
  });
});
