import { describe, expect, test } from "bun:test";
import { slotsIn } from "./intervals.ts";
import { digestOf, memberNamed, plainSpec, runId, TestRuns } from "./run.fixture.ts";
import { workerOf } from "./workers.ts";

const begun = (nodes?: readonly string[], spec = plainSpec) => new TestRuns(nodes, spec).begin();
const created = (run: string, name: string, spec = plainSpec) =>
  ({ kind: "run-created", run, name, document: digestOf("document"), spec }) as const;

describe("W-1 a run", () => {
  test("W-1 begins planned, with all of its slots to be given out", () => {
    const mesh = new TestRuns();
    expect(mesh.run).toMatchObject({ phase: "planned", wish: "run", acceptedSlots: 0 });
    expect(mesh.run.pool).toEqual([{ first: 0, count: 40 }]);
  });

  test("W-1 is not begun under a known id or a name at work, nor by who is no host", () => {
    const mesh = new TestRuns();
    expect(mesh.codeOf("a", created(runId, "second"))).toBe("run_exists");
    expect(mesh.codeOf("a", created("run00002", "first"))).toBe("run_name_taken");
    expect(mesh.codeOf("b", created("run00002", "second"))).toBe("scope_lacking");
    expect(mesh.codeOf("a", created("run00002", "second"))).toBe("done");
    mesh.wish("stop");
    expect(mesh.codeOf("a", created("run00003", "first"))).toBe("done");
  });

  test.each([
    ["segments longer than the window", { segmentSteps: 5 }],
    ["too many segments", { windowSteps: 65, segmentSteps: 1 }],
    ["more tokens than can be counted", { slots: 2 ** 40, slotTokens: 2 ** 20 }],
  ])("W-1 is not begun with %s", (_, changed) => {
    const mesh = new TestRuns();
    const spec = { ...plainSpec, ...changed };
    expect(mesh.codeOf("a", created("run00002", "second", spec))).toBe("spec_unfit");
  });

  test("W-1 finds no room beside as many as there may be, and the oldest that is over makes some", () => {
    const mesh = new TestRuns();
    const add = (number: number) => mesh.codeOf("a", created(`run000${10 + number}`, `n${number}`));
    for (let number = 0; number < 15; number++) expect(add(number)).toBe("done");
    expect(add(15)).toBe("runs_full");
    mesh.wish("stop");
    expect(add(15)).toBe("done");
    expect(mesh.runs.length).toBe(16);
    expect(mesh.run).toBeUndefined();
  });

  test("W-1 goes through its phases to the end, and takes nothing any more", () => {
    const mesh = new TestRuns(["a", "b"], { ...plainSpec, slots: 16 });
    mesh.ready("a");
    expect(mesh.run.phase).toBe("initializing");
    mesh.begin();
    expect(mesh.run.phase).toBe("active");
    mesh.toPromoted();
    expect(mesh.run).toMatchObject({ phase: "active", acceptedSlots: 8, window: null });
    mesh.open();
    mesh.toPromoted();
    expect(mesh.run).toMatchObject({ phase: "completed", acceptedSlots: 16, pool: [] });
    for (const code of [mesh.ready("a"), mesh.open(), mesh.wish("stop"), mesh.seal()])
      expect(code).toBe("run_over");
    expect(mesh.evaluate("a", 2, true)).toBe("done");
  });

  test("W-1 pauses once its window has ended, and goes on", () => {
    const mesh = begun();
    expect(mesh.wish("pause", "b")).toBe("scope_lacking");
    expect(mesh.wish("pause")).toBe("done");
    expect(mesh.run.phase).toBe("active");
    mesh.toPromoted();
    expect(mesh.run.phase).toBe("paused");
    expect(mesh.open()).toBe("window_unready");
    mesh.wish("run");
    expect(mesh.run.phase).toBe("active");
    expect(mesh.open()).toBe("done");
  });

  test("W-1 stops and fails at once, and no slot is lost with its window", () => {
    const stopped = begun();
    stopped.wish("stop");
    expect(stopped.run).toMatchObject({ phase: "stopped", window: null });
    expect(stopped.run.pool).toEqual([{ first: 0, count: 40 }]);
    const failed = begun();
    const { run } = failed.run;
    expect(failed.order({ kind: "run-failed", run, reason: "why not" })).toBe("done");
    expect(failed.run).toMatchObject({ phase: "failed", reason: "why not", window: null });
  });

  test("W-1 has a chain that every event moves, over what was decided too", () => {
    const [one, other] = [begun(), begun()];
    expect(other.run.chain).toBe(one.run.chain);
    expect(one.window.anchor).toBe(one.run.chain);
    const before = one.run.chain;
    one.ready("a", { rate: 5 });
    expect(one.run.chain).not.toBe(before);
    expect(one.last!.decided).toEqual({});
    other.nowMs++;
    other.ready("a", { rate: 5 });
    expect(other.run.chain).not.toBe(one.run.chain);
  });

  test("W-1 an unknown run is nobody's", () => {
    const mesh = new TestRuns();
    const order = { kind: "window-opened", run: "nothere1", window: 1 } as const;
    expect(mesh.order(order)).toBe("run_unknown");
  });
});

describe("W-7 readiness", () => {
  test("W-7 the first word decides the seed's revision, and another is refused", () => {
    const mesh = new TestRuns();
    expect(mesh.ready("a")).toBe("done");
    expect(mesh.run.revision.digest).toBe(digestOf("revision 0"));
    expect(mesh.ready("b", { digest: digestOf("another") })).toBe("revision_differs");
    expect(mesh.ready("b", { revision: 1 })).toBe("window_stale");
    expect(mesh.ready("b")).toBe("done");
    expect(mesh.ready("b", { lane: "neon", rate: 9 })).toBe("done");
    expect(workerOf(mesh.run, "b")).toMatchObject({ revision: 0, lane: "neon", rate: 9 });
  });

  test("W-7 is of ready trainers alone, and who is gone is not counted on", () => {
    const mesh = new TestRuns();
    mesh.change("b", { isTrainer: false });
    mesh.change("c", { isReady: false });
    expect([mesh.ready("b"), mesh.ready("c"), mesh.ready("z")]).toEqual(
      Array.from({ length: 3 }, () => "worker_unfit"),
    );
    expect(mesh.say("b", { saying: "gone", reason: "x" })).toBe("worker_unfit");
    mesh.ready("a");
    expect(mesh.say("a", { saying: "gone", reason: "x" })).toBe("done");
    expect(mesh.run).toMatchObject({ phase: "planned", workers: [{ node: "a", revision: null }] });
    expect(mesh.open()).toBe("window_unready");
  });

  test("W-7 a newcomer has work from the next window on", () => {
    const mesh = begun(["a", "b"]);
    mesh.members = [...mesh.members, memberNamed("c")];
    mesh.ready("c");
    expect(mesh.contribute("c")).toBe("window_stale");
    mesh.toPromoted();
    mesh.ready("c");
    mesh.open();
    expect(mesh.window.tasks.map(({ worker }) => worker)).toEqual(["a", "b", "c"]);
  });
});

describe("W-8 what is stated", () => {
  test("W-8 is signed by the node's own key, for this mesh", () => {
    const mesh = begun();
    const gone = { saying: "gone", reason: "x" } as const;
    expect(mesh.say("b", gone, { key: "c" })).toBe("statement_forged");
    expect(mesh.say("b", gone, { mesh: "other" })).toBe("statement_forged");
    mesh.change("b", { key: memberNamed("d").key });
    expect(mesh.say("b", gone)).toBe("statement_forged");
    expect(mesh.say("b", gone, { key: "d" })).toBe("done");
  });

  test("W-8 names the statement before and the history that stands", () => {
    const mesh = begun();
    const gone = { saying: "gone", reason: "x" } as const;
    expect(mesh.say("b", gone, { previous: null })).toBe("statement_stale");
    expect(mesh.say("b", gone, { previous: digestOf("x") })).toBe("statement_stale");
    expect(mesh.say("b", gone, { anchor: mesh.window.anchor })).toBe("statement_stale");
    expect(mesh.say("b", gone)).toBe("done");
  });
});

describe("W-3 contributions", () => {
  test("W-3 are taken once from who has work, in time, with the window's anchor", () => {
    const mesh = begun(["a", "b", "c", "d"], { ...plainSpec, participants: 3 });
    const working = mesh.window.tasks.map(({ worker }) => worker);
    const [first, second] = [working[0]!, working[1]!];
    const idle = ["a", "b", "c", "d"].find((node) => !working.includes(node))!;
    expect(mesh.contribute(idle)).toBe("window_stale");
    expect(mesh.contribute(first, { window: 2 })).toBe("window_stale");
    expect(mesh.contribute(first, { segments: 1 })).toBe("statement_unfit");
    expect(mesh.contribute(first)).toBe("done");
    expect(mesh.contribute(first)).toBe("window_stale");
    const copied = digestOf(`delta 1 ${first}`);
    expect(mesh.contribute(second, { artifact: copied })).toBe("delta_repeated");
    expect(mesh.contribute(second)).toBe("done");
    mesh.seal();
    expect(mesh.contribute(working[2]!)).toBe("window_stale");
  });

  test("W-3 vouch for the history up to the opening", () => {
    const mesh = begun();
    const said = {
      saying: "contribution" as const,
      ...{ window: 1, artifact: digestOf("x"), sizeBytes: 1, trainMs: 1 },
      ...{ commitments: digestOf("y"), segments: 2, private: digestOf("z") },
    };
    expect(mesh.say("b", said, { anchor: mesh.run.chain.replace(/./, "x") })).toBe(
      "statement_stale",
    );
    expect(mesh.say("b", said, { anchor: null })).toBe("statement_stale");
    expect(mesh.say("b", said)).toBe("done");
    // 4 steps of 64 tokens in a millisecond.
    expect(workerOf(mesh.run, "b")!.rate).toBe(256_000);
  });
});

describe("W-7 sealing", () => {
  test("W-7 goes on with what there is: the slots of the missing are given out first, once", () => {
    const mesh = begun();
    const slices = mesh.window.tasks.map((task) => task.slices[0]!);
    expect(mesh.contribute("a")).toBe("done");
    expect(mesh.contribute("c")).toBe("done");
    expect(mesh.seal("seal", 2)).toBe("window_stale");
    expect(mesh.seal()).toBe("done");
    expect(mesh.seal()).toBe("window_stale");
    expect(workerOf(mesh.run, "b")).toMatchObject({ revision: null, missedCount: 1 });
    expect(mesh.run.pool[0]).toEqual(slices[1]);
    mesh.judgeAll();
    mesh.state("a");
    mesh.state("c");
    mesh.ready("b");
    mesh.open();
    expect(mesh.window.tasks[0]!.slices[0]).toEqual(slices[1]);
  });

  test("W-7 who was too slow for its task has a smaller one, until its work shows how fast it is", () => {
    const mesh = begun(undefined, { ...plainSpec, pace: "measured", slots: 400, windowSteps: 32 });
    const steps = () => mesh.window.tasks.map((task) => task.steps);
    const next = () => {
      mesh.seal();
      mesh.judgeAll();
      mesh.state("a");
      mesh.state("b");
      mesh.ready("c");
      mesh.open();
    };
    expect(steps()).toEqual([32, 32, 32]);
    mesh.nowMs += 60_000;
    for (const node of ["a", "b"]) mesh.contribute(node, { trainMs: 2_000, segments: 16 });
    next();
    // 32 steps of 64 tokens in a minute are 34 tokens a second, and half of that was too much.
    expect(workerOf(mesh.run, "c")!.rate).toBe(17);
    expect(steps()).toEqual([32, 32, 8]);
    mesh.nowMs += 60_000;
    mesh.contribute("c", { trainMs: 500, segments: 4 });
    expect(workerOf(mesh.run, "c")!.rate).toBe(1_024);
  });

  test("W-7 with nothing is held with its reason, and the run recovers after it", () => {
    const mesh = begun();
    expect(mesh.seal()).toBe("done");
    expect(mesh.run).toMatchObject({
      ...{ window: null, phase: "recovering", reason: "no_contribution", heldCount: 1 },
      past: { outcome: "held", reason: "no_contribution", revision: 0 },
    });
    expect(slotsIn(mesh.run.pool)).toBe(40);
    for (const node of ["a", "b", "c"]) expect(mesh.ready(node)).toBe("done");
    expect(mesh.run.phase).toBe("active");
    expect(mesh.open(1)).toBe("window_stale");
    expect(mesh.open()).toBe("done");
    expect(mesh.window.number).toBe(2);
  });
});
