import { describe, expect, test } from "bun:test";
import { dutiesOf } from "./duties.ts";
import { slotsIn } from "./intervals.ts";
import { digestOf, memberNamed, plainSpec, TestRuns } from "./run.fixture.ts";
import { workerOf } from "./workers.ts";

const scored = (nodes?: readonly string[], spec = plainSpec) =>
  new TestRuns(nodes, spec).begin().toScored();

describe("W-6 W-10 a revision", () => {
  test("W-10 is promoted by the quorum's last word, with what it counts and who holds it", () => {
    const mesh = scored();
    expect(mesh.state("a")).toBe("done");
    expect(mesh.run.revision.number).toBe(0);
    expect(mesh.state("b")).toBe("done");
    expect(mesh.run).toMatchObject({
      ...{ revision: { number: 1, digest: digestOf("revision 1 a,b,c") }, window: null },
      ...{ acceptedSlots: 12, heldCount: 0 },
      past: { number: 1, outcome: "promoted", revision: 1, acceptedSlots: 12, sizeBytes: 300 },
    });
    expect(workerOf(mesh.run, "a")).toMatchObject({
      ...{ revision: 1, acceptedSlots: 4, acceptedCount: 1, private: digestOf("private 1 a") },
    });
    expect(workerOf(mesh.run, "c")).toMatchObject({ revision: 0, acceptedSlots: 4 });
    expect(mesh.last!.decided).toMatchObject({ holders: ["a", "b"], revision: { number: 1 } });
  });

  test("W-10 needs distinct nodes that say the same, digest and artifact", () => {
    const mesh = scored();
    mesh.state("a");
    expect(mesh.state("a")).toBe("done");
    expect(mesh.run.window!.computed).toHaveLength(1);
    mesh.state("b", "another");
    expect(mesh.run.revision.number).toBe(0);
    const artifact = digestOf("another artifact");
    mesh.state("b", undefined, { artifact });
    expect(mesh.run.revision.number).toBe(0);
    mesh.state("c");
    expect(mesh.run.revision.number).toBe(1);
    expect(workerOf(mesh.run, "b")!.revision).toBe(0);
  });

  test("W-6 is made of a scored window, is the next one, and vouches for its history", () => {
    const early = new TestRuns().begin();
    expect(early.state("a")).toBe("window_stale");
    early.toSealed();
    expect(early.state("a")).toBe("window_stale");
    const mesh = scored();
    expect(mesh.state("a", "x", { revision: 2 })).toBe("statement_unfit");
    expect(mesh.state("a", "x", { window: 2 })).toBe("window_stale");
    const said = {
      saying: "revision" as const,
      ...{ window: 1, revision: 1, digest: digestOf("x"), artifact: digestOf("y") },
    };
    expect(mesh.say("a", said, { anchor: digestOf("z") })).toBe("statement_stale");
    mesh.say("c", { saying: "gone", reason: "x" });
    expect(mesh.state("c")).toBe("worker_unfit");
  });

  test("W-6 that is stated late counts where it is the same, and is refused where it is not", () => {
    const mesh = scored();
    const { anchor } = mesh.window;
    mesh.state("a");
    mesh.state("b");
    const late = (name: string, vouched = anchor) =>
      mesh.say(
        "c",
        {
          ...{ saying: "revision", window: 1, revision: 1, digest: digestOf(name) },
          artifact: digestOf(`artifact of ${name}`),
        },
        { anchor: vouched },
      );
    const right = "revision 1 a,b,c";
    expect(late("another")).toBe("revision_differs");
    expect(late(right, digestOf("x"))).toBe("statement_stale");
    expect(mesh.ready("c", { digest: digestOf("another") })).toBe("revision_differs");
    expect(late(right)).toBe("done");
    expect(workerOf(mesh.run, "c")!.revision).toBe(1);
    mesh.open();
    expect(mesh.window.tasks.map(({ worker }) => worker)).toEqual(["a", "b", "c"]);
    expect(late(right)).toBe("done");
    mesh.toPromoted();
    expect(late(right)).toBe("window_stale");
  });

  test("W-10 needs no more than there are: one who is gone is not waited for, and who said so says it again", () => {
    const mesh = scored(["a", "b"]);
    expect(mesh.state("a")).toBe("done");
    const dutiesOfA = () => dutiesOf(mesh.runs, "a", () => 0, mesh.around).map(({ kind }) => kind);
    expect(dutiesOfA()).not.toContain("merge");
    mesh.change("b", { isReady: false });
    expect(mesh.run.window).not.toBeNull();
    expect(dutiesOfA()).toContain("merge");
    expect(mesh.state("a")).toBe("done");
    expect(mesh.run.revision.number).toBe(1);
  });

  test("W-6 without a delta that nobody can have is another, and what was computed before is void", () => {
    const mesh = scored();
    mesh.state("a");
    const { anchor } = mesh.window;
    expect(mesh.lose("z")).toBe("window_stale");
    expect(mesh.lose("c")).toBe("done");
    expect(mesh.window).toMatchObject({ accepted: ["a", "b"], computed: [] });
    expect(mesh.window.anchor).not.toBe(anchor);
    expect(slotsIn(mesh.run.pool)).toBe(32);
    expect(mesh.lose("c")).toBe("window_stale");
    mesh.state("a");
    mesh.state("b");
    expect(mesh.run).toMatchObject({ acceptedSlots: 8, revision: { number: 1 } });
    expect(workerOf(mesh.run, "c")).toMatchObject({ acceptedCount: 0, private: null });
    expect(mesh.lose("a")).toBe("window_stale");
  });

  test("W-6 of nothing is none: the last delta's loss holds the window", () => {
    const mesh = scored(["a", "b"]);
    mesh.lose("a");
    mesh.lose("b");
    expect(mesh.run).toMatchObject({
      ...{ window: null, revision: { number: 0 }, heldCount: 1 },
      past: { outcome: "held", reason: "delta_unavailable" },
    });
    expect(slotsIn(mesh.run.pool)).toBe(40);
  });

  test("W-6 that two make differently is on record as that", () => {
    const mesh = new TestRuns(["a", "b"], { ...plainSpec, participants: 1 }).begin();
    const worker = mesh.window.tasks[0]!.worker;
    mesh.toSealed();
    mesh.judgeAll();
    mesh.state("a", "one");
    mesh.state("b", "other");
    mesh.lose(worker);
    expect(mesh.run.past).toMatchObject({ outcome: "held", reason: "revision_differs" });
  });

  test("W-7 windows held in a row make a run recover, until one is promoted", () => {
    const mesh = new TestRuns().begin();
    for (let time = 0; time < 3; time++) {
      mesh.seal();
      for (const node of ["a", "b", "c"]) mesh.ready(node);
      expect(mesh.run.phase).toBe(time < 2 ? "active" : "recovering");
      mesh.open();
    }
    expect(mesh.run).toMatchObject({
      phase: "recovering",
      reason: "no_contribution",
      heldCount: 3,
    });
    mesh.toPromoted();
    expect(mesh.run).toMatchObject({ phase: "active", reason: "", heldCount: 0 });
  });
});

describe("W-12 evaluations", () => {
  test("W-12 are of revisions there are, each once, and the last one also over all rows", () => {
    const mesh = new TestRuns();
    expect(mesh.evaluate("a", 0)).toBe("worker_unfit");
    mesh.begin();
    expect(mesh.evaluate("a", 1)).toBe("window_stale");
    const { chain } = mesh.run;
    expect(mesh.evaluate("a", 0)).toBe("done");
    expect(mesh.run.evaluated).toEqual({ revision: 0, isFull: false });
    expect(mesh.run.chain).not.toBe(chain);
    expect(mesh.evaluate("b", 0)).toBe("window_stale");
    expect(mesh.evaluate("b", 0, true)).toBe("done");
    expect(mesh.evaluate("b", 0)).toBe("window_stale");
    mesh.members = [...mesh.members, memberNamed("z", { isReady: false })];
    expect(mesh.evaluate("z", 0)).toBe("worker_unfit");
  });
});
