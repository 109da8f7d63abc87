import { describe, expect, test } from "bun:test";
import { canonicalText } from "#src/codec/digest.ts";
import { brokenRunStep } from "./invariants.ts";
import { plainSpec, TestRuns } from "./run.fixture.ts";
import type { Run } from "./run.ts";
import { workerOf } from "./workers.ts";

/** A window of one worker that gives nothing, sealed after a while. */
function missWindow(mesh: TestRuns, afterMs: number): void {
  expect(mesh.open()).toBe("done");
  mesh.nowMs += afterMs;
  expect(mesh.seal(`seal ${mesh.nowMs}`)).toBe("done");
}

describe("W-3 pace", () => {
  test("W-7 who is too slow for its task is given less each time, down to one step", () => {
    const mesh = new TestRuns(["a"], { ...plainSpec, windowSteps: 8, trainMs: 4_000 });
    const rates: number[] = [];
    for (let count = 0; count < 6; count++) {
      mesh.ready("a", { rate: 0 });
      missWindow(mesh, 4_000);
      expect(mesh.run.pool).toEqual([{ first: 0, count: 40 }]);
      rates.push(workerOf(mesh.run, "a")!.rate);
    }
    expect(rates).toEqual(rates.toSorted((a, b) => b - a));
    expect(new Set(rates).size).toBe(6);
    mesh.ready("a", { rate: 0 });
    expect(mesh.open()).toBe("done");
    expect(mesh.window.tasks.map((task) => task.steps)).toEqual([1]);
  });

  test("W-3 what its work showed counts for more than what a worker says of its pace", () => {
    const mesh = new TestRuns(["a"]);
    const rate = () => workerOf(mesh.run, "a")!.rate;
    mesh.ready("a", { rate: 900 });
    expect(rate()).toBe(900);
    missWindow(mesh, 1_000);
    const missed = rate();
    expect(missed).toBeLessThan(450);
    mesh.ready("a", { rate: 900 });
    expect(rate()).toBe(missed);
  });
});

test("C-1 a run out of a text is the same as one out of the rules, and a changed one is not", () => {
  const mesh = new TestRuns(["a"]);
  mesh.ready("a");
  const { runs } = mesh;
  const restored = JSON.parse(canonicalText(runs)) as readonly Run[];
  expect(JSON.stringify(restored)).not.toBe(JSON.stringify(runs));
  expect(brokenRunStep(runs, restored)).toBeNull();
  const changed = restored.map((run) => ({ ...run, reason: "another" }));
  expect(brokenRunStep(runs, changed)).toContain("changed without its chain");
});
