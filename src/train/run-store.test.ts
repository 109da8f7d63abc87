import { afterAll, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { encodeCrockford } from "#src/codec/base32.ts";
import { homePaths } from "#src/node/home.ts";
import { openStore } from "#src/node/store.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { PeakStore } from "./peak-store.ts";
import { RunStore, type TimedStep } from "./run-store.ts";
import { trainTables } from "./tables.ts";
import { tinyManifest } from "./train.fixture.ts";

const root = mkdtempSync(join(tmpdir(), "psionic-runs-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let count = 0;
let runs: RunStore;
beforeEach(() => {
  runs = new RunStore(openStore(homePaths(join(root, String(count++)), {}), [trainTables]));
});

const manifest = tinyManifest();
const add = (id: string, name: string, createdMs = 0) =>
  runs.add({ id, name, createdMs, manifest });

function codeOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (error instanceof Refusal) return error.code;
    throw error;
  }
  return "accepted";
}

test("T-4 latest, ids, names and unique prefixes of both name a run", () => {
  add("abcd1", "book", 10);
  add("abxy2", "novel", 20);
  expect(runs.resolve("latest").name).toBe("novel");
  for (const text of ["abcd1", "abc", "book", "bo"]) expect(runs.resolve(text).id).toBe("abcd1");
  expect(codeOf(() => runs.resolve("ab"))).toBe("run_ambiguous");
  for (const text of ["zzz", "", "%", "_", "novels"])
    expect(codeOf(() => runs.resolve(text))).toBe("run_not_found");
});

test("T-4 latest is the run added last, also after the clock was set back", () => {
  add("a1", "before", 2_000_000);
  add("a2", "after", 1_000_000);
  expect(runs.resolve("latest").name).toBe("after");
  expect(runs.all().map(({ name }) => name)).toEqual(["after", "before"]);
});

test("T-4 a manifest that could not be read again is not recorded; a damaged record is refused", () => {
  const forged = { ...manifest, checkpoints: { ...manifest.checkpoints, keepEverySteps: 2 ** 60 } };
  expect(() => runs.add({ id: "a", name: "bad", createdMs: 0, manifest: forged })).toThrow();
  expect(runs.all()).toEqual([]);
  add("b", "book");
  for (const [column, value] of [
    ["manifest", "{}"],
    ["manifest", "{"],
    ["state", "dancing"],
  ]) {
    runs.store.transaction(() => {
      runs.store.run(`UPDATE run SET ${column} = ?`, value!);
      expect(codeOf(() => runs.all())).toBe("store_corrupt");
      runs.store.run("UPDATE run SET manifest = ?, state = 'planned'", JSON.stringify(manifest));
    });
  }
});

test("T-4 an exact name wins over prefixes of others", () => {
  add("a1", "book", 1);
  add("a2", "book-2", 2);
  expect(runs.resolve("book").id).toBe("a1");
});

test("T-4 without runs, latest is refused and says what to do", () => {
  expect(codeOf(() => runs.resolve("latest"))).toBe("run_not_found");
});

const step = (number: number, changes: Partial<TimedStep> = {}): TimedStep => ({
  step: number,
  loss: 2.5,
  gradientNorm: 1,
  parameterNorm: 3,
  updateNorm: 0.1,
  learningRate: 0.01,
  tokens: 40,
  lossBits: "40200000",
  gradientNormBits: "3f800000",
  tokensPerSecond: 100,
  ...changes,
});

test("T-6 steps come back as they were; the same step again replaces, and other bits are reported without losing the first", () => {
  add("r", "run");
  expect(runs.recordSteps("r", [step(1), step(2), step(3)], 5)).toEqual([]);
  expect(runs.steps("r")).toEqual([step(1), step(2), step(3)]);
  expect(runs.steps("r", 2, 2)).toEqual([step(2)]);
  expect(
    runs.recordSteps("r", [step(2, { tokensPerSecond: 7 }), step(3, { lossBits: "40200001" })], 6),
  ).toEqual([3]);
  expect(runs.step("r", 2)!.tokensPerSecond).toBe(7);
  expect(runs.lastStep("r")!.step).toBe(3);
  expect(runs.step("r", 3)!.lossBits).toBe(step(3).lossBits);
});

test("T-6 a run whose parent fell silent reads as interrupted", () => {
  const run = add("r", "run");
  runs.setState("r", "running", 1_000);
  expect(runs.stateOf(runs.byId("r"), 5_000)).toBe("running");
  expect(runs.stateOf(runs.byId("r"), 60_000)).toBe("interrupted");
  expect(runs.stateOf(runs.byId("r"), -60_000)).toBe("interrupted");
  expect(runs.stateOf(run, 60_000)).toBe("planned");
  runs.closeAbandoned();
  expect(runs.byId("r").state).toBe("interrupted");
});

test("T-7 removed checkpoints keep their digests and are marked", () => {
  add("r", "run");
  runs.recordCheckpoint("r", { step: 4, stateDigest: "a", manifestDigest: "b" }, [], 1);
  runs.recordCheckpoint("r", { step: 8, stateDigest: "c", manifestDigest: "d" }, [4], 2);
  expect(runs.checkpoints("r").map(({ step: each, isKept }) => [each, isKept])).toEqual([
    [4, false],
    [8, true],
  ]);
});

test("T-10 the manifest's digest follows it when the steps are fixed", () => {
  const run = add("r", "run");
  const fixed = { ...manifest, schedule: { ...manifest.schedule, steps: 99 } };
  runs.fixManifest("r", fixed);
  expect(runs.byId("r").manifest.schedule.steps).toBe(99);
  expect(runs.byId("r").digest).not.toBe(run.digest);
});

test("T-6 events keep their order", () => {
  add("r", "run");
  for (const type of ["started", "crashed", "started"]) runs.recordEvent("r", type, { x: 1 }, 9);
  expect(runs.events("r").map(({ type }) => type)).toEqual(["started", "crashed", "started"]);
});

test("T-4 a peak is kept for a day, and a lower one measured meanwhile does not lower it", () => {
  const peaks = new PeakStore(runs.store);
  expect(peaks.get("best/2", 0)).toBeNull();
  peaks.put("best/2", 500, 1_000);
  peaks.put("best/2", 300, 2_000);
  expect(peaks.get("best/2", 3_000)).toBe(500);
  expect(peaks.get("best/2", 3 * 86_400_000)).toBeNull();
  expect(peaks.get("best/1", 0)).toBeNull();
});

test("T-4 ids are eight characters no one confuses", () => {
  expect(encodeCrockford(Uint8Array.of(0, 0, 0, 0, 0))).toBe("00000000");
  expect(encodeCrockford(Uint8Array.of(255, 255, 255, 255, 255))).toBe("zzzzzzzz");
  expect(encodeCrockford(Uint8Array.of(1))).toBe("04");
});

test("A-10 a run that goes on after a rest has not stalled meanwhile", () => {
  add("a", "book");
  runs.setState("a", "running", 1_000);
  runs.recordSteps("a", [], 2_000);
  runs.setState("a", "interrupted", 3_000);
  runs.setState("a", "running", 900_000);
  expect(runs.byId("a").progressMs).toBe(900_000);
});
