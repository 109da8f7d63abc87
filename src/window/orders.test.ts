import { describe, expect, test } from "bun:test";
import { ordersOfRuns, type RunOrder } from "./orders.ts";
import { digestOf, memberNamed, plainSpec, TestRuns } from "./run.fixture.ts";
import type { Hearing } from "./surroundings.ts";

/** What a leader that hears everybody orders, after so many milliseconds. */
function due(mesh: TestRuns, afterMs: number, changed: Partial<Hearing> = {}): readonly RunOrder[] {
  const nowMs = mesh.nowMs + afterMs;
  const heardMs = new Map(mesh.members.map(({ node }) => [node, nowMs]));
  const hearing = { nowMs, ledSinceMs: 0, heardMs, ...changed };
  return ordersOfRuns(mesh.runs, mesh.around, hearing, () => digestOf("drawn"));
}

const kinds = (orders: readonly RunOrder[]) => orders.map(({ kind }) => kind);
const heardBut = (mesh: TestRuns, afterMs: number, silent: readonly string[]) => ({
  heardMs: new Map(
    mesh.members.map(({ node }) => [
      node,
      silent.includes(node) ? mesh.nowMs : mesh.nowMs + afterMs,
    ]),
  ),
});

describe("W-7 opening", () => {
  test("W-7 waits for the trainers that answer, for a while, and for nobody who is silent", () => {
    const mesh = new TestRuns();
    expect(due(mesh, 0)).toEqual([]);
    mesh.ready("a");
    mesh.ready("b");
    expect(due(mesh, 4_999)).toEqual([]);
    expect(due(mesh, 5_000)).toEqual([{ kind: "window-opened", run: mesh.run.run, window: 1 }]);
    expect(kinds(due(mesh, 4_999, heardBut(mesh, 4_999, [])))).toEqual([]);
    const silent = new Map([["a", mesh.nowMs]]);
    expect(kinds(due(mesh, 10, { heardMs: silent, ledSinceMs: mesh.nowMs - 5_000 }))).toEqual([
      "window-opened",
    ]);
    mesh.ready("c");
    expect(kinds(due(mesh, 0))).toEqual(["window-opened"]);
    mesh.wish("pause");
    expect(due(mesh, 60_000)).toEqual([]);
  });

  test("W-7 the next window waits for those who have not said yet that they hold the revision", () => {
    const mesh = new TestRuns().begin().toPromoted();
    expect(mesh.run.revision.number).toBe(1);
    expect(due(mesh, 4_999)).toEqual([]);
    expect(kinds(due(mesh, 5_000))).toEqual(["window-opened"]);
    mesh.ready("c");
    expect(kinds(due(mesh, 0))).toEqual(["window-opened"]);
  });

  test("W-7 after windows that came to nothing it waits longer each time, and in the end gives up", () => {
    const mesh = new TestRuns().begin();
    const again = () => {
      mesh.seal();
      for (const node of ["a", "b", "c"]) mesh.ready(node);
    };
    again();
    expect(kinds(due(mesh, 0))).toEqual(["window-opened"]);
    for (let count = 2; count <= 4; count++) {
      mesh.open();
      again();
    }
    expect(mesh.run.heldCount).toBe(4);
    expect(due(mesh, 9_999)).toEqual([]);
    expect(kinds(due(mesh, 10_000))).toEqual(["window-opened"]);
    for (let count = 5; count <= 100; count++) {
      mesh.open();
      again();
    }
    expect(due(mesh, 0)).toMatchObject([{ kind: "run-failed", run: mesh.run.run }]);
    expect(mesh.order(due(mesh, 0)[0]!)).toBe("done");
    expect(mesh.run.phase).toBe("failed");
    expect(due(mesh, 0)).toEqual([]);
  });
});

describe("W-7 sealing", () => {
  test("W-7 is due when all contributed, and not before", () => {
    const mesh = new TestRuns().begin();
    mesh.contribute("a");
    mesh.contribute("b");
    expect(due(mesh, 59_999)).toEqual([]);
    mesh.contribute("c");
    expect(due(mesh, 0)).toMatchObject([
      { kind: "window-sealed", window: 1, seed: digestOf("drawn") },
    ]);
  });

  test("W-7 goes on without who is silent, is no ready member or has gone, and in the end without anybody", () => {
    const mesh = new TestRuns().begin();
    mesh.contribute("a");
    mesh.contribute("b");
    expect(due(mesh, 4_999, heardBut(mesh, 4_999, ["c"]))).toEqual([]);
    expect(kinds(due(mesh, 5_000, heardBut(mesh, 5_000, ["c"])))).toEqual(["window-sealed"]);
    expect(due(mesh, 5_000)).toEqual([]);
    expect(kinds(due(mesh, 60_000))).toEqual(["window-sealed"]);
    const gone = new TestRuns().begin();
    gone.contribute("a");
    gone.contribute("b");
    gone.say("c", { saying: "gone", reason: "x" });
    expect(kinds(due(gone, 0))).toEqual(["window-sealed"]);
    mesh.change("c", { isReady: false });
    expect(kinds(due(mesh, 0))).toEqual(["window-sealed"]);
  });

  test("W-7 a new leader lets the others come first, and takes what is there at once", () => {
    const mesh = new TestRuns().begin();
    mesh.contribute("a");
    mesh.contribute("b");
    const fresh = (afterMs: number) => ({ ledSinceMs: mesh.nowMs + afterMs, heardMs: new Map() });
    expect(due(mesh, 60_000, fresh(59_999))).toEqual([]);
    expect(due(mesh, 64_998, fresh(59_999))).toEqual([]);
    expect(kinds(due(mesh, 64_999, fresh(59_999)))).toEqual(["window-sealed"]);
    mesh.contribute("c");
    expect(kinds(due(mesh, 60_000, fresh(60_000)))).toEqual(["window-sealed"]);
  });
});

describe("W-7 judging and merging in time", () => {
  test("W-7 validators are drawn again after their time, each time later", () => {
    const mesh = new TestRuns().begin().toSealed();
    expect(due(mesh, 19_999)).toEqual([]);
    expect(kinds(due(mesh, 20_000))).toEqual(["validators-redrawn"]);
    mesh.order(due(mesh, 20_000)[0]!);
    expect(due(mesh, 39_999)).toEqual([]);
    expect(kinds(due(mesh, 40_000))).toEqual(["validators-redrawn"]);
  });

  test("W-7 at once where those missing are silent and there are others, or nobody is left", () => {
    const mesh = new TestRuns(["a", "b", "c", "d"]).begin().toSealed();
    const [draw, ...rest] = mesh.window.draws;
    for (const { worker, validators } of rest) mesh.judge(validators[0]!, worker);
    const silent = draw!.validators;
    expect(due(mesh, 4_999, heardBut(mesh, 4_999, silent))).toEqual([]);
    expect(kinds(due(mesh, 5_000, heardBut(mesh, 5_000, silent)))).toEqual(["validators-redrawn"]);
    const pair = new TestRuns(["a", "b"]).begin().toSealed();
    pair.judge("a", "b");
    expect(due(pair, 5_000, heardBut(pair, 5_000, ["b"]))).toEqual([]);
    pair.change("b", { isReady: false });
    expect(kinds(due(pair, 0))).toEqual(["validators-redrawn"]);
    pair.order(due(pair, 0)[0]!);
    expect(pair.window).toMatchObject({ stage: "scored", accepted: ["b"] });
  });

  test("W-7 a delta is given up after its time alone, and where nobody who has it can be heard", () => {
    const mesh = new TestRuns(["a", "b", "c", "d"]).begin().toScored();
    const { worker, validators } = mesh.window.draws[0]!;
    const holders = [worker, ...validators];
    expect(due(mesh, 19_999, heardBut(mesh, 19_999, holders))).toEqual([]);
    expect(due(mesh, 20_000)).toEqual([]);
    expect(due(mesh, 20_000, heardBut(mesh, 20_000, [worker]))).toEqual([]);
    const orders = due(mesh, 20_000, heardBut(mesh, 20_000, holders));
    expect(orders).toMatchObject([{ kind: "contribution-lost", window: 1, worker }]);
    expect(mesh.order(orders[0]!)).toBe("done");
  });

  test("W-10 revisions that differ with nobody left to decide are made again without a delta", () => {
    const mesh = new TestRuns(["a", "b"]).begin().toScored();
    mesh.state("a", "one");
    expect(due(mesh, 20_000)).toEqual([]);
    mesh.state("b", "other");
    expect(due(mesh, 19_999)).toEqual([]);
    expect(kinds(due(mesh, 20_000))).toEqual(["contribution-lost"]);
  });

  test("W-7 of many runs each has its orders, a few at a time", () => {
    const mesh = new TestRuns(["a"]);
    for (let number = 0; number < 6; number++) {
      const name = `n${number}`;
      const spec = plainSpec;
      const document = digestOf(name);
      mesh.codeOf("a", { kind: "run-created", run: `aaaa000${number}`, name, document, spec });
    }
    const readied = mesh.runs.map((run) => ({
      ...run,
      phase: "initializing" as const,
      workers: [{ ...new TestRuns(["a"]).begin().run.workers[0]! }],
    }));
    mesh.runs = readied;
    mesh.members = [memberNamed("a")];
    expect(due(mesh, 0)).toHaveLength(4);
  });
});
