import { expect, test } from "bun:test";
import { findAlerts, type AlertFacts, type RunFacts } from "./alerts.ts";

const gib = 2 ** 30;
const hour = 3_600_000;
const nowMs = 1_000 * hour;

const run = (changes: Partial<RunFacts> = {}): RunFacts => ({
  ...{ run: "id", name: "book", state: "running", failure: null, progressMs: nowMs },
  ...{ stepMs: 1_000, isMeasuring: false, checkpointBytes: null, ...changes },
});
const kinds = (facts: Partial<AlertFacts>) =>
  findAlerts({ nowMs, runs: [], disk: null, ...facts }).map(({ kind }) => kind);
const failed = (code: string, atMs = nowMs) =>
  run({ state: "failed", failure: { atMs, code, message: "it broke", hint: "mend it" } });

test("A-10 a node where all is well has no alerts", () => {
  expect(kinds({ runs: [run()], disk: { freeBytes: 500 * gib, totalBytes: 1000 * gib } })).toEqual(
    [],
  );
});

test.each([
  ["not_finite", "not_finite"],
  ["trainer_crashed", "trainer_crashed"],
  ["disk_full", "failed"],
  ["bug", "failed"],
])("A-10 a run that failed with %s is shown as %s", (code, kind) => {
  expect(findAlerts({ nowMs, runs: [failed(code)], disk: null })).toEqual([
    {
      ...{ kind, severity: "critical", subject: "id", sinceMs: nowMs, hint: "mend it" },
      message: "Run book failed: it broke",
    } as never,
  ]);
});

test("A-10 a failure fades after a day, and when the run goes on", () => {
  expect(kinds({ runs: [failed("not_finite", nowMs - 23 * hour)] })).toEqual(["not_finite"]);
  expect(kinds({ runs: [failed("not_finite", nowMs - 25 * hour)] })).toEqual([]);
  expect(kinds({ runs: [{ ...failed("not_finite"), state: "running" }] })).toEqual([]);
});

test("A-10 a run stalls after a minute, or ten of its steps where those are longer", () => {
  const silent = (seconds: number, changes: Partial<RunFacts> = {}) =>
    kinds({ runs: [run({ progressMs: nowMs - 1_000 * seconds, ...changes })] });
  expect(silent(59)).toEqual([]);
  expect(silent(61)).toEqual(["stalled"]);
  expect(silent(61, { stepMs: 20_000 })).toEqual([]);
  expect(silent(201, { stepMs: 20_000 })).toEqual(["stalled"]);
  expect(silent(61, { stepMs: null })).toEqual(["stalled"]);
  expect(silent(61, { isMeasuring: true })).toEqual([]);
  expect(silent(601, { isMeasuring: true })).toEqual(["stalled"]);
  expect(silent(61, { state: "interrupted" })).toEqual([]);
  expect(kinds({ runs: [run({ progressMs: null })] })).toEqual([]);
});

test("A-10 a disk is low below 2 GiB, below a twentieth, and without room for three checkpoints", () => {
  const low = (
    freeBytes: number,
    totalBytes: number | null,
    checkpointBytes = 0,
    state = "running",
  ) =>
    findAlerts({
      nowMs,
      runs: [run({ state, checkpointBytes })],
      disk: { freeBytes, totalBytes },
    }).map(({ kind, severity }) => `${kind} ${severity}`);
  expect(low(1.9 * gib, null)).toEqual(["disk_low warning"]);
  expect(low(2.1 * gib, null)).toEqual([]);
  expect(low(4 * gib, 100 * gib)).toEqual(["disk_low warning"]);
  expect(low(6 * gib, 100 * gib)).toEqual([]);
  expect(low(20 * gib, 100 * gib, 7 * gib)).toEqual(["disk_low critical"]);
  expect(low(22 * gib, 100 * gib, 7 * gib)).toEqual([]);
  // A run that does not train writes no checkpoints.
  expect(low(20 * gib, 100 * gib, 7 * gib, "completed")).toEqual([]);
});

test("A-10 what is critical comes first, then what is newest", () => {
  const stalled = run({ progressMs: nowMs - hour });
  const runs = [stalled, failed("not_finite", nowMs - hour), failed("disk_full", nowMs - 1)];
  expect(kinds({ runs })).toEqual(["failed", "not_finite", "stalled"]);
});
