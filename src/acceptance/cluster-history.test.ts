import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { judgeHistory, type Operation } from "./cluster-history.fixture.ts";
import { drawnFrom } from "./storm.fixture.ts";

/** `w1 0-5`: a write of 1 from 0 to 5; `r1 3-4`: a read of it; `w1 0-`: a write that nobody heard of again. */
function history(...lines: string[]): Operation[] {
  return lines.map((line) => {
    const [, key, kind, value, from, to] = /^(?:(\w+)\.)?([wr])(\d*) (\d+)-(\d*)$/.exec(line)!;
    return {
      ...{ key: key ?? "k", kind: kind === "w" ? "write" : "read", value: value! },
      ...{ startedMs: Number(from), endedMs: to === "" ? Infinity : Number(to) },
    };
  });
}

const isLinearizable = (...lines: string[]) => judgeHistory(history(...lines)).isLinearizable;

describe("C-3 the judge of histories", () => {
  test("what one machine could have answered passes", () => {
    expect(isLinearizable()).toBe(true);
    expect(isLinearizable("r 0-1", "w1 2-3", "r1 4-5")).toBe(true);
    // During a write both values may be seen, in this order.
    expect(isLinearizable("w1 0-9", "r 1-2", "r1 3-4", "r1 10-11")).toBe(true);
    expect(isLinearizable("w1 0-9", "w2 0-9", "r2 1-8", "r1 10-11")).toBe(true);
    expect(isLinearizable("a.w1 0-1", "b.r 2-3", "b.w1 4-5", "a.r1 6-7")).toBe(true);
  });

  test("what it could not does not, and the verdict names it", () => {
    expect(isLinearizable("w1 0-1", "r 2-3")).toBe(false);
    expect(isLinearizable("r1 0-1", "w1 2-3")).toBe(false);
    expect(isLinearizable("w1 0-9", "r1 1-2", "r 3-4")).toBe(false);
    expect(isLinearizable("w1 0-1", "w2 2-3", "r1 4-5")).toBe(false);
    expect(isLinearizable("w1 0-9", "w2 0-9", "r1 10-11", "r2 12-13")).toBe(false);
    expect(judgeHistory(history("a.w1 0-1", "b.w1 0-1", "b.r1 2-3", "b.r 4-5"))).toEqual({
      ...{ isLinearizable: false, key: "b", orderedCount: 2 },
      unfitting: history("b.r 4-5"),
    });
  });

  test("a write nobody heard of again may be done at any later time, once, or never", () => {
    expect(isLinearizable("w1 0-", "r 5-6", "r1 50-51")).toBe(true);
    expect(isLinearizable("w1 0-", "r 5-6", "r 50-51")).toBe(true);
    expect(isLinearizable("w1 9-", "r1 5-6")).toBe(false);
    expect(isLinearizable("w1 0-", "r1 5-6", "w2 7-8", "r1 9-10")).toBe(false);
    expect(isLinearizable("w1 0-", "r1 5-6", "r 7-8")).toBe(false);
  });

  test("it says of every small history what trying all orders says", () => {
    const operation = fc.record({
      kind: fc.constantFrom("write" as const, "read" as const),
      value: fc.constantFrom("", "1", "2"),
      startedMs: fc.nat(12),
      lengthMs: fc.nat(6),
      isLost: fc.boolean(),
    });
    const verdicts = { true: 0, false: 0 };
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 6 }), (drawn) => {
        const operations = drawn.map(({ kind, value, startedMs, lengthMs, isLost }) => ({
          ...{ key: "k", kind, value, startedMs },
          endedMs: isLost && kind === "write" ? Infinity : startedMs + lengthMs,
        }));
        const verdict = judgeHistory(operations).isLinearizable;
        verdicts[`${verdict}`]++;
        expect(verdict).toBe(canBeOrdered(operations, ""));
      }),
      { numRuns: 3_000, seed: 4 },
    );
    expect(Math.min(verdicts.true, verdicts.false)).toBeGreaterThan(300);
  });

  test("10,000 calls of a register are judged in seconds, and one stale read among them is found", () => {
    const operations = atomicHistory(10_000);
    expect(judgeHistory(operations).isLinearizable).toBe(true);
    const lastRead = operations.findLastIndex(({ kind }) => kind === "read");
    const stale = operations.findIndex(
      ({ kind, endedMs }) => kind === "write" && endedMs < Infinity,
    );
    const wrong = operations.with(lastRead, {
      ...operations[lastRead]!,
      value: operations[stale]!.value,
    });
    expect(judgeHistory(wrong).isLinearizable).toBe(false);
  }, 20_000);
});

/** By trying every order there is. */
function canBeOrdered(left: readonly Operation[], value: string): boolean {
  if (left.every(({ endedMs }) => endedMs === Infinity)) return true;
  return left.some((next, at) => {
    if (left.some(({ endedMs }) => endedMs < next.startedMs)) return false;
    if (next.kind === "read" && next.value !== value) return false;
    return canBeOrdered(left.toSpliced(at, 1), next.kind === "write" ? next.value : value);
  });
}

/** Eight callers at one true register: each call takes effect at a moment between its start and its end. */
function atomicHistory(count: number): Operation[] {
  const draw = drawnFrom(20_261_121);
  const freeAtMs = Array.from({ length: 8 }, () => 0);
  const calls = Array.from({ length: count }, (_, index) => {
    const caller = index % freeAtMs.length;
    const startedMs = freeAtMs[caller]! + draw();
    const doneMs = startedMs + draw() * 3;
    const endedMs = doneMs + draw() * 3;
    freeAtMs[caller] = endedMs;
    const kind = draw() < 0.5 ? ("write" as const) : ("read" as const);
    // Some writes are never heard of again; some of these were not done.
    const isLost = kind === "write" && draw() < 0.02;
    return { index, kind, startedMs, doneMs, endedMs, isLost, isDone: !isLost || draw() < 0.5 };
  });
  let value = "";
  return calls
    .toSorted((one, other) => one.doneMs - other.doneMs)
    .map(({ index, kind, startedMs, endedMs, isLost, isDone }) => {
      if (kind === "write" && isDone) value = String(index + 1);
      return {
        ...{ key: "k", kind, value: kind === "write" ? String(index + 1) : value, startedMs },
        endedMs: isLost ? Infinity : endedMs,
      };
    });
}
