import { describe, expect, test } from "bun:test";
import { marksBetween } from "./chart-model.ts";
import { fixtureIds } from "./mesh.fixture.ts";
import {
  columnMaximum,
  heldOutOver,
  marksOf,
  rowMaximum,
  timelineOf,
  windowColumns,
} from "./timeline.ts";
import type { WindowPart } from "./window-answers.ts";
import { fixtureEvents, fixtureMesh, fixtureWindows } from "./window.fixture.ts";

const run = fixtureMesh();

describe("the picture of windows", () => {
  const timeline = timelineOf(fixtureWindows, fixtureEvents, run.windowSteps);

  test("W-12 one column per window, one row per participant, in an order that does not change", () => {
    expect(timeline.columns.map(({ window }) => window.number)).toEqual(
      Array.from({ length: 21 }, (_, index) => index + 1),
    );
    expect(timeline.rows.map(({ name }) => name)).toEqual([
      ...["psnab3cab", "psndq7fdq", "psnhm5khm", "psnpr2tpr", "psnvz6xvz"],
    ]);
    const early = timelineOf(fixtureWindows.slice(0, 12), fixtureEvents, run.windowSteps);
    expect(early.rows).toEqual(timeline.rows.slice(0, 4));
  });

  test("W-12 a cell tells steps and outcome, without colour too", () => {
    const cellOf = (window: number, row: number) =>
      timeline.columns[window - 1]!.cells.find((cell) => cell.row === row);
    expect(cellOf(1, 2)).toMatchObject({ share: 0.5, outcome: "accepted", mark: "" });
    expect(cellOf(7, 1)).toMatchObject({ outcome: "missed", mark: "–" });
    expect(cellOf(10, 3)).toMatchObject({ outcome: "rejected", mark: "×" });
    expect(cellOf(10, 3)!.words).toContain("it did not do this work");
    expect(cellOf(1, 4)).toBeUndefined();
    expect(cellOf(21, 0)).toMatchObject({ mark: "…" });
  });

  test("W-12 letters of what happened stand at the window of its time; the open one has no time", () => {
    const marks = timeline.columns.map((column) => column.marks);
    expect(marks[0]).toBe("J");
    expect(marks[6]).toBe("X");
    expect(marks[9]).toBe("R");
    expect(marks[14]).toBe("CXH");
    expect(timeline.columns[20]!.tookShare).toBeNull();
    expect(timeline.columns[4]!.tookShare).toBe(1);
    expect(timeline.words).toStartWith("Windows 1 to 21 of 5 nodes: 19 promoted, 1 held.");
  });

  test("many windows and many nodes are cut to what a picture can show, and that is said", () => {
    const parts = Array.from({ length: 40 }, (_, index): WindowPart => {
      const node = `psn${String(index).padStart(32, "a")}`;
      return { ...fixtureWindows[0]!.parts[0]!, node, shortId: node, steps: index + 1 };
    });
    const many = Array.from({ length: 300 }, (_, index) => ({
      ...fixtureWindows[0]!,
      ...{ number: index + 1, parts },
    }));
    const cut = timelineOf(many, [], 32);
    expect(cut.columns.length).toBe(columnMaximum);
    expect(cut.columns[0]!.window.number).toBe(181);
    expect(cut.rows.length).toBe(rowMaximum);
    expect(cut.hiddenCount).toBe(16);
    expect(Math.max(...cut.columns[0]!.cells.map(({ share }) => share))).toBe(1);
  });

  test("no window is no picture, and words say so", () => {
    expect(timelineOf([], fixtureEvents, 32)).toMatchObject({
      ...{ rows: [], columns: [], hiddenCount: 0, words: "No windows yet." },
    });
  });

  test("the figures of all windows are columns of one length", () => {
    const { names, values } = windowColumns(fixtureWindows);
    expect(new Set(values.map(({ length }) => length))).toEqual(new Set([21]));
    expect(values[names.indexOf("missed")]!.slice(13, 16)).toEqual([0, 3, 0]);
  });
});

describe("held-out losses of revisions", () => {
  test("W-12 they stand where the schedule was when the revision was made", () => {
    const measured = { step: [0, 1, 2], loss: [5.5, 5.2, 4.9] };
    const all = heldOutOver(fixtureWindows, measured, run);
    // Revision 0 is the node's own; the others come with their windows: 112 slots of 4000 are 44 of 1600 steps.
    expect(all.step.slice(0, 2)).toEqual([0, 44]);
    expect(all.loss.slice(0, 2)).toEqual([5.5, fixtureWindows[0]!.loss]);
    expect(all.step.length).toBe(20);
    expect(all.step).toEqual(all.step.toSorted((a, b) => a - b));
  });

  test("what is older than the windows is spread over what went before them", () => {
    const late = fixtureWindows.slice(4);
    const all = heldOutOver(late, { step: [0, 2, 4, 5], loss: [5, 4, 3, 2] }, run);
    expect(all.step.slice(0, 3)).toEqual([0, 80, 160]);
    expect(all.loss.slice(0, 4)).toEqual([5, 4, 3, late[0]!.loss]);
    expect(heldOutOver([], { step: [0], loss: [5] }, run)).toEqual({ step: [0], loss: [5] });
  });
});

describe("marks on the curve of the loss", () => {
  const marks = marksOf(fixtureEvents, run);

  test("W-12 they stand where the schedule was then", () => {
    const rejected = marks.find(({ letter }) => letter === "R");
    // 900 of 4000 slots are 360 of 1600 steps.
    expect(rejected).toMatchObject({ x: 360 });
    expect(rejected!.words).toContain(fixtureIds.refused.slice(0, 9));
  });

  test("a reader of the curve hears each once, at the first place that is not before it", () => {
    const places = [0, 100, 200, 300, 400, 700];
    const told = places.map((_, index) => marksBetween(marks, places, index).length);
    expect(told.reduce((sum, count) => sum + count, 0)).toBe(marks.length);
    expect(marksBetween(marks, places, 4).map(({ letter }) => letter)).toEqual(["R"]);
    expect(marksBetween(marks, places, 6)).toEqual([]);
  });
});
