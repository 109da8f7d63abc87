import { expect, test } from "bun:test";
import {
  choosePoints,
  elapsedSeconds,
  extentOf,
  joinCurves,
  positiveOnly,
  smooth,
  stack,
  thinCurve,
  valueAt,
} from "./curve.ts";
import { summarise } from "./summary.ts";

test("curves with places of their own come onto one list", () => {
  const joined = joinCurves([
    { x: [1, 2, 3], y: [10, 20, 30] },
    { x: [2, 4], y: [5, 6] },
  ]);
  expect(joined).toEqual({
    x: [1, 2, 3, 4],
    y: [
      [10, 20, 30, null],
      [null, 5, null, 6],
    ],
  });
});

test("thinning keeps ends and every spike, and its bound", () => {
  const values = Array.from({ length: 100_000 }, (_, index) => (index === 77_777 ? 1e6 : 1));
  const chosen = choosePoints(values, 500);
  expect(chosen.length).toBeLessThanOrEqual(500);
  expect(chosen[0]).toBe(0);
  expect(chosen.at(-1)).toBe(99_999);
  expect(chosen).toContain(77_777);
  expect(choosePoints([1, 2, 3], 500)).toEqual([0, 1, 2]);
  const thin = thinCurve({ x: values.map((_, index) => index), y: values }, 100);
  expect(thin.x.length).toBe(thin.y.length);
});

test("smoothing is an average corrected for its start, and leaves gaps", () => {
  expect(smooth([4, 4, 4], 0.9)).toEqual([4, 4, 4].map((value) => expect.closeTo(value, 10)));
  expect(smooth([1, 2], 0)).toEqual([1, 2]);
  expect(smooth([1, null, 3], 0.5)).toEqual([1, null, expect.closeTo(7 / 3, 10)]);
});

test("areas lie on one another, the last one lowest", () => {
  expect(
    stack([
      [1, 1],
      [2, null],
      [4, 4],
    ]),
  ).toEqual([
    [7, 5],
    [6, 4],
    [4, 4],
  ]);
});

test("a logarithmic axis gets nothing it cannot show", () => {
  expect(positiveOnly([1, 0, -1, null])).toEqual([1, null, null, null]);
});

test("seconds add up over points that are steps apart", () => {
  expect(elapsedSeconds([1, 2, 12], [2, 2, 0.5])).toEqual([2, 4, 9]);
  expect(valueAt([1, 2, 12], [2, 4, 9], 5)).toBe(4);
  expect(valueAt([1, 2, 12], [2, 4, 9], 0)).toBeNull();
});

test("a curve in words: first, last, lowest with its place", () => {
  const curve = { x: [1, 2, 3], y: [3, 1, 2] };
  expect(extentOf(curve)).toEqual({ first: 3, last: 2, least: 1, most: 3, leastAt: 2, count: 3 });
  expect(summarise("training", curve, "step", String)).toBe(
    "training: first 3, last 2, lowest 1 at step 2, highest 3, 3 figures.",
  );
  expect(summarise("held out", { x: [], y: [] }, "step", String)).toBe("held out: no figures yet.");
});
