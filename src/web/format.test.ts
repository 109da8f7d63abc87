import { expect, test } from "bun:test";
import {
  formatAgo,
  formatBytes,
  formatCount,
  formatDuration,
  formatFigure,
  formatName,
  formatPercent,
  formatShort,
  formatTick,
  sentenceOf,
} from "./format.ts";

test("figures keep what tells them apart, from the smallest rate to a diverged loss", () => {
  expect(formatFigure(1.84054)).toBe("1.8405");
  expect(formatFigure(12.3456)).toBe("12.346");
  expect(formatFigure(0)).toBe("0");
  expect(formatFigure(3e-4)).toBe("3.00e−4");
  expect(formatFigure(1e30)).toBe("1.00e+30");
  expect(formatFigure(-2.5)).toBe("−2.5000");
  expect(formatFigure(Infinity)).toBe("∞");
});

test("what is not there is a dash, never NaN or undefined", () => {
  for (const format of [formatFigure, formatCount, formatShort, formatPercent, formatBytes]) {
    for (const value of [null, undefined, NaN]) expect(format(value)).toBe("–");
  }
  expect(formatDuration(Infinity)).toBe("–");
});

test("short counts round before they choose their letter", () => {
  expect(formatShort(999)).toBe("999");
  expect(formatShort(999_999)).toBe("1.00M");
  expect(formatShort(128_411)).toBe("128k");
  expect(formatShort(2.5)).toBe("2.50");
});

test("bytes change their unit where the next one reads better", () => {
  expect(formatBytes(512)).toBe("512\u202fB");
  expect(formatBytes(1024 * 1024 - 1)).toBe("1.00\u202fMiB");
  expect(formatBytes(4_853_936)).toBe("4.63\u202fMiB");
});

test("durations never show sixty of anything", () => {
  expect(formatDuration(0.0021)).toBe("2.10 ms");
  expect(formatDuration(59.6)).toBe("1 min");
  expect(formatDuration(3599.7)).toBe("1 h");
  expect(formatDuration(86_399)).toBe("1 d");
  expect(formatDuration(200)).toBe("3 min 20 s");
});

test("marks of an axis differ and carry no idle decimals", () => {
  expect([1.8, 2, 2.2].map((mark) => formatTick(formatFigure, mark, 0.2))).toEqual([
    ...["1.8", "2.0", "2.2"],
  ]);
  expect(formatTick(formatFigure, 1.84321, 0.00001)).toBe("1.84321");
  expect(formatTick(formatShort, 50_000, 50_000)).toBe("50k");
  expect(formatTick(formatDuration, 0.005, 0.005)).toBe("5 ms");
  expect(formatTick(formatCount, 1000, 500)).toBe("1\u202f000");
});

test("times ago, names and sentences", () => {
  expect(formatAgo(0, 5_000)).toBe("just now");
  expect(formatAgo(0, 125_000)).toBe("2 min ago");
  expect(formatName("learningRate")).toBe("learning rate");
  expect(sentenceOf("the disk is low")).toBe("The disk is low.");
  expect(sentenceOf("Why?")).toBe("Why?");
});
