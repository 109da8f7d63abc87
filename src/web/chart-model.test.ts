import { expect, test } from "bun:test";
import { columnsOf, drawingOf, tableRows } from "./chart-model.ts";
import { csvName, csvText } from "./csv.ts";

const plain = {
  ...{ smoothing: 0, isLogarithmic: false, isArea: false },
  hidden: new Set<string>(),
};
const line = (label: string, x: number[], y: (number | null)[], isSmoothed = false) => ({
  ...{ label, colour: 0, isSmoothed },
  curve: { x, y },
});

test("a smoothed line keeps its figures as a faint one", () => {
  const lines = [line("training", [1, 2], [4, 2], true), line("held out", [2], [3])];
  const drawing = drawingOf(lines, { ...plain, smoothing: 0.5 });
  expect(drawing.lines.map(({ label, isFaint }) => [label, isFaint])).toEqual([
    ["training", true],
    ["training", false],
    ["held out", false],
  ]);
  expect(drawing.y[0]).toEqual([4, 2]);
  expect(drawing.y[1]?.[1]).toBeCloseTo(8 / 3, 10);
  expect(drawing.y[2]).toEqual([null, 3]);
});

test("an area without one of its parts closes the gap", () => {
  const lines = [line("data", [1], [1]), line("gradient", [1], [5])];
  const all = drawingOf(lines, { ...plain, isArea: true });
  expect(all.y).toEqual([[6], [5]]);
  const fewer = drawingOf(lines, { ...plain, isArea: true, hidden: new Set(["gradient"]) });
  expect(fewer.y).toEqual([[1], [0]]);
  expect(fewer.lines[1]?.isShown).toBe(false);
});

test("an area of many steps is their mean, so that one long step does not hide the rest", () => {
  const x = Array.from({ length: 1600 }, (_, index) => index + 1);
  const y = x.map((step) => (step === 800 ? 101 : 1));
  const drawing = drawingOf([line("gradient", x, y)], { ...plain, isArea: true });
  expect(drawing.averaged).toBe(10);
  expect(drawing.x).toHaveLength(160);
  expect(drawing.x.at(-1)).toBe(1600);
  expect(Math.max(...drawing.y[0]!.map((value) => value ?? 0))).toBe(11);
});

test("the table is bounded and ends with the newest row; the CSV has every figure in full", () => {
  const x = Array.from({ length: 1001 }, (_, index) => index);
  const columns = columnsOf([line("loss", x, x)], "step");
  const rows = tableRows(columns);
  expect(rows.length).toBeLessThanOrEqual(200);
  expect(rows.at(-1)).toBe(1000);
  expect(csvText(columns).trimEnd().split("\r\n")).toHaveLength(1002);
});

test("CSV quotes what needs it and disarms formulas", () => {
  const text = csvText({ names: ["step", 'a "b", c'], values: [[1], ["=1+1"]] });
  expect(text).toBe('step,"a ""b"", c"\r\n1,\'=1+1\r\n');
  expect(csvText({ names: ["x"], values: [[-1.5, null]] })).toBe("x\r\n-1.5\r\n\r\n");
  expect(csvName("my run/1", "Tokens per second")).toBe("my-run-1-tokens-per-second.csv");
});
