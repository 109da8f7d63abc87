import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as v from "valibot";
import { homePaths } from "#src/node/home.ts";
import { openStore, type OpenStore } from "#src/node/store.ts";
import { listRuns } from "./run-list.ts";
import { runSeriesResult, runsResult } from "./run-results.ts";
import { percentOfPeak, readSeries, spread } from "./run-series.ts";
import { RunStore, type Run, type TimedStep } from "./run-store.ts";
import { trainTables } from "./tables.ts";
import { tinyManifest } from "./train.fixture.ts";

const root = mkdtempSync(join(tmpdir(), "train-series-"));
let store: OpenStore;
let runs: RunStore;
let run: Run;
const stepCount = 200_000;

const step = (number: number, split?: TimedStep["split"]): TimedStep => ({
  ...{ step: number, loss: 1 / number, gradientNorm: 1, parameterNorm: 1, updateNorm: 1 },
  ...{ learningRate: 0.1, tokens: 40, lossBits: "0", gradientNormBits: "0" },
  tokensPerSecond: 100,
  ...(split === undefined ? {} : { split }),
});
const evaluation = (number: number, full = false) => ({
  ...{
    step: number,
    loss: 2 / number,
    bitsPerByte: null,
    exactMatch: 0.5,
    targets: 1,
    rows: 1,
    full,
  },
});

beforeAll(() => {
  store = openStore(homePaths(root, {}), [trainTables]);
  runs = new RunStore(store);
  run = runs.add({ id: "long", name: "long", createdMs: 0, manifest: tinyManifest() });
  store.run(
    `INSERT INTO run_step (run, step, loss, gradient_norm, parameter_norm, update_norm, learning_rate,
       tokens, loss_bits, gradient_norm_bits, tokens_per_second)
     WITH RECURSIVE number (value) AS (VALUES (1) UNION ALL SELECT value + 1 FROM number WHERE value < ?)
     SELECT 'long', value, 1.0 / value, 1, 1, 1, 0.1, 40, '0', '0', 100 FROM number`,
    stepCount,
  );
});
afterAll(() => {
  store.close();
  rmSync(root, { recursive: true, force: true });
});

test("A-10 numbers are spread evenly, both ends among them", () => {
  expect(spread(1, 5, 16)).toEqual([1, 2, 3, 4, 5]);
  expect(spread(1, 1, 16)).toEqual([1]);
  expect(spread(1, 0, 16)).toEqual([]);
  for (const last of [17, 100, 999, 1_000_003]) {
    const points = spread(3, last, 16);
    expect(points[0]).toBe(3);
    expect(points.at(-1)).toBe(last);
    expect(new Set(points).size).toBe(Math.min(16, last - 2));
    const gaps = points.slice(1).map((point, index) => point - points[index]!);
    expect(Math.max(...gaps) - Math.min(...gaps)).toBeLessThanOrEqual(1);
  }
});

test("A-10 200,000 steps come as at most so many points, the last among them, without reading the rest", () => {
  const plan = store.all(
    `EXPLAIN QUERY PLAN SELECT run_step.* FROM json_each(?2) AS wanted
     CROSS JOIN run_step ON run_step.run = ?1 AND run_step.step = wanted.value`,
    "long",
    "[1]",
  );
  expect(plan.map((row) => String(row["detail"])).join("; ")).toContain("(run=? AND step=?)");
  const startMs = performance.now();
  const series = readSeries(store, run, { after: 0, points: 1_000, peakFlops: null });
  expect(performance.now() - startMs).toBeLessThan(100);
  expect(series).toMatchObject({ run: "long", first: 1, last: stepCount });
  expect(series.steps.step).toHaveLength(1_000);
  expect(series.steps.step.at(-1)).toBe(stepCount);
  expect(series.steps.loss[0]).toBe(1);
  expect(series.steps.split.gradient[0]).toBeNull();
  expect(v.is(runSeriesResult, series)).toBe(true);
});

test("A-10 only what comes after a step is given to whoever saw the rest", () => {
  const series = readSeries(store, run, { after: stepCount - 3, points: 16, peakFlops: null });
  expect(series.steps.step).toEqual([stepCount - 2, stepCount - 1, stepCount]);
  const none = readSeries(store, run, { after: stepCount, points: 16, peakFlops: null });
  expect(none.steps.step).toEqual([]);
  expect(none.last).toBe(stepCount);
});

test("A-10 evaluations are thinned out too; a full one wins over a sample of the same step", () => {
  const other = runs.add({ id: "other", name: "other", createdMs: 0, manifest: tinyManifest() });
  for (let number = 1; number <= 100; number++)
    runs.recordEvaluation("other", evaluation(number), 1);
  runs.recordEvaluation("other", { ...evaluation(100, true), loss: 7 }, 1);
  const { evaluations } = readSeries(store, other, { after: 0, points: 16, peakFlops: null });
  expect(evaluations.step.length).toBeLessThanOrEqual(16);
  expect(evaluations.step[0]).toBe(1);
  expect(evaluations.step.at(-1)).toBe(100);
  expect(evaluations.loss.at(-1)).toBe(7);
  const all = readSeries(store, other, { after: 90, points: 5_000, peakFlops: null });
  expect(all.evaluations.step).toEqual([90, 91, 92, 93, 94, 95, 96, 97, 98, 99, 100]);
});

test("A-10 where the time of a step went is kept with it", () => {
  const split = { data: 0.1, gradient: 0.2, norm: 0.3, update: 0.4, evaluate: 0.5, checkpoint: 0 };
  const timed = runs.add({ id: "timed", name: "timed", createdMs: 0, manifest: tinyManifest() });
  runs.recordSteps("timed", [step(1, split), step(2)], 1);
  expect(runs.step("timed", 1)!.split).toEqual(split);
  expect(runs.step("timed", 2)!.split).toBeUndefined();
  const { steps } = readSeries(store, timed, { after: 0, points: 16, peakFlops: 1e9 });
  expect(steps.split.update).toEqual([0.4, null]);
  expect(steps.percentOfPeak[0]).toBeCloseTo(percentOfPeak(timed, 100, 1e9)!, 12);
  expect(percentOfPeak(timed, 100, null)).toBeNull();
});

test("A-10 the list of runs has each run's latest figures", () => {
  const listed = listRuns(store, 1);
  expect(v.is(runsResult, { runs: listed })).toBe(true);
  expect(listed.find((each) => each.run === "other")).toMatchObject({
    ...{ task: "addition", valLoss: 7, exactMatch: 0.5, bitsPerByte: null, loss: null },
  });
  expect(listed.find((each) => each.run === "long")).toMatchObject({
    ...{ step: stepCount, tokensPerSecond: 100, percentOfPeak: null },
  });
});
