import { expect, test } from "bun:test";
import { addSight, secondsLeft, shareDone, type Sight } from "./progress.ts";
import { appendSeries, lastStepOf, type Series, splitParts, stepSeconds } from "./series.ts";

function series(first: number, last: number, loss = 1, evaluated: number[] = []): Series {
  const step = Array.from({ length: last - first + 1 }, (_, index) => first + index);
  const column = step.map(() => loss);
  return {
    run: "abc",
    steps: {
      step,
      ...{ loss: column, gradientNorm: column, learningRate: column },
      ...{ tokensPerSecond: column, percentOfPeak: column },
      split: Object.fromEntries(splitParts.map((part) => [part, column])) as never,
    },
    evaluations: {
      step: evaluated,
      ...{ loss: evaluated, bitsPerByte: evaluated.map(() => null), exactMatch: evaluated },
    },
  };
}

test("what comes after is appended to every column", () => {
  const grown = appendSeries(series(1, 3, 1, [2]), series(4, 5, 2, [4]));
  expect(grown.steps.step).toEqual([1, 2, 3, 4, 5]);
  expect(grown.steps.loss).toEqual([1, 1, 1, 2, 2]);
  expect(grown.steps.split.gradient).toEqual([1, 1, 1, 2, 2]);
  expect(grown.evaluations.step).toEqual([2, 4]);
  expect(lastStepOf(grown)).toBe(5);
});

test("nothing new changes nothing", () => {
  const before = series(1, 3);
  expect(appendSeries(before, series(4, 3)).steps).toEqual(before.steps);
});

test("a run that goes on from a checkpoint replaces the steps it takes anew", () => {
  const grown = appendSeries(series(1, 10, 1), series(6, 8, 2));
  expect(grown.steps.step).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  expect(grown.steps.loss.slice(4)).toEqual([1, 2, 2, 2]);
});

test("an evaluation sent again stands once", () => {
  const grown = appendSeries(series(1, 4, 1, [2, 4]), series(5, 6, 1, [4, 6]));
  expect(grown.evaluations.step).toEqual([2, 4, 6]);
});

test("points are bounded and the last one stays", () => {
  let grown: Series | null = null;
  for (let first = 1; first < 5_000; first += 10) {
    grown = appendSeries(grown, series(first, first + 9), 100);
    expect(grown.steps.step.length).toBeLessThanOrEqual(100);
    expect(lastStepOf(grown)).toBe(first + 9);
  }
  const { step } = grown!.steps;
  expect([...step].sort((a, b) => a - b)).toEqual([...step]);
});

test("another run's figures do not mix", () => {
  const other = { ...series(1, 2), run: "other" };
  expect(appendSeries(series(1, 5), other)).toBe(other);
  expect(stepSeconds(series(1, 2).steps)).toEqual([6, 6]);
});

test("the time left follows the pace that was seen", () => {
  let sights: readonly Sight[] = [];
  for (const [atMs, step] of [
    [0, 100],
    [1000, 110],
    [2000, 120],
  ] as const) {
    sights = addSight(sights, { atMs, step });
  }
  expect(secondsLeft(sights, 220)).toBe(10);
  expect(secondsLeft(sights.slice(0, 2), 220)).toBeNull();
  expect(addSight(sights, { atMs: 3000, step: 50 })).toHaveLength(1);
  expect(shareDone(5, 0)).toBe(0);
  expect(shareDone(300, 200)).toBe(1);
});
