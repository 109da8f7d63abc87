import { expect, test } from "bun:test";
import { Series, sparkline } from "./curve.ts";
import { bytesText, countText, secondsText } from "./wording.ts";

test("T-4 a curve falls from the highest bar to the lowest", () => {
  expect(sparkline([8, 7, 6, 5, 4, 3, 2, 1], 8)).toBe("█▇▆▅▄▃▂▁");
  expect(sparkline([5, 5, 1, 1], 2)).toBe("█▁");
  expect(sparkline([2, 2], 10)).toBe("▁▁");
  expect(sparkline([], 10)).toBe("");
  expect(sparkline([NaN, 1, Infinity], 10)).toBe("▁");
});

test("T-4 a series keeps its shape and never grows beyond its maximum", () => {
  const series = new Series(64);
  for (let index = 0; index < 10_000; index++) series.add(index);
  expect(series.values.length).toBeLessThan(64);
  expect(series.values).toEqual(series.values.toSorted((a, b) => a - b));
  expect(series.values[0]).toBe(0);
  expect(series.values.at(-1)!).toBeGreaterThan(9_000);
});

test("T-4 figures read as people write them", () => {
  expect([bytesText(512), bytesText(3 * 1024 * 1024), bytesText(1.5 * 2 ** 30)]).toEqual([
    "512 B",
    "3.0 MiB",
    "1.5 GiB",
  ]);
  expect([countText(812), countText(837_000), countText(124_439_808)]).toEqual([
    "812",
    "837k",
    "124M",
  ]);
  expect([secondsText(4.25), secondsText(75), secondsText(7_260)]).toEqual([
    "4.3 s",
    "1 min 15 s",
    "2 h 1 min",
  ]);
});
