import { describe, expect, test } from "bun:test";
import { slotsIn } from "./intervals.ts";
import { memberNamed, plainSpec, TestRuns, digestOf } from "./run.fixture.ts";
import { workerOf } from "./workers.ts";

const sealed = (nodes?: readonly string[], spec = plainSpec) =>
  new TestRuns(nodes, spec).begin().toSealed();
const two = { ...plainSpec, validators: 2 };

describe("W-8 verdicts", () => {
  test("W-8 come from who was drawn, once, on the contribution that stands", () => {
    const mesh = sealed();
    const [draw, other] = mesh.window.draws;
    const validator = draw!.validators[0]!;
    const stranger = ["a", "b", "c"].find((node) => node !== validator && node !== draw!.worker)!;
    expect(mesh.judge(stranger, draw!.worker)).toBe("verdict_undrawn");
    expect(mesh.judge(draw!.worker, draw!.worker)).toBe("verdict_undrawn");
    const wrong = { contribution: digestOf("x") };
    expect(mesh.judge(validator, draw!.worker, "accepted", [], wrong)).toBe("statement_unfit");
    expect(mesh.judge(validator, draw!.worker)).toBe("done");
    expect(mesh.judge(validator, draw!.worker)).toBe("verdict_undrawn");
    expect(mesh.judge(other!.validators[0]!, other!.worker)).toBe("done");
  });

  test("W-7 come from who gave nothing in the window only where nobody else is", () => {
    for (const name of ["one", "two", "three", "four"]) {
      const mesh = new TestRuns(["a", "b", "c", "d"]);
      mesh.change("d", { isValidator: true });
      mesh.begin().toSealed(["a", "b", "c"]);
      mesh.redraw(name);
      expect(mesh.window.draws.flatMap(({ validators }) => validators)).not.toContain("d");
    }
    const pair = new TestRuns(["a", "b"]);
    pair.change("b", { isValidator: true });
    pair.begin().toSealed(["a"]);
    expect(pair.window.draws.map(({ validators }) => validators)).toEqual([["b"]]);
  });

  test("W-7 are not asked of who missed a window before, while others contribute", () => {
    const mesh = new TestRuns(["a", "b", "c", "d"]);
    mesh.change("d", { isValidator: true });
    mesh.begin().toSealed(["a", "b", "c"]);
    mesh.judgeAll();
    mesh.state("a");
    mesh.state("b");
    expect(mesh.run.revision.number).toBe(1);
    mesh.ready("c");
    mesh.open();
    mesh.toSealed();
    expect(mesh.window.contributions.map(({ worker }) => worker)).toEqual(["a", "b", "c"]);
    for (const name of ["one", "two", "three"]) {
      expect(mesh.window.draws.flatMap(({ validators }) => validators)).not.toContain("d");
      mesh.redraw(name);
    }
  });

  test("W-7 are not asked of a worker that asks for no more work, even where fewer judge then", () => {
    const mesh = new TestRuns(["a", "b", "c"], two);
    mesh.change("c", { isValidator: true });
    mesh.begin().toSealed(["a", "b"]);
    // Of this window c had work: it may still be there.
    expect(mesh.window.draws.flatMap(({ validators }) => validators)).toContain("c");
    mesh.judgeAll();
    mesh.state("a");
    mesh.state("b");
    mesh.open();
    mesh.toSealed();
    expect(mesh.window.draws.map(({ validators }) => validators)).toEqual([["b"], ["a"]]);
    mesh.judgeAll();
    expect(mesh.window.accepted).toEqual(["a", "b"]);
  });

  test("W-8 before the seal there are none, and after the score none any more", () => {
    const mesh = new TestRuns().begin();
    expect(mesh.judge("a", "b")).toBe("window_stale");
    mesh.toSealed();
    const [draw] = mesh.window.draws;
    mesh.judgeAll();
    expect(mesh.judge(draw!.validators[0]!, draw!.worker)).toBe("window_stale");
  });

  test("W-8 make sense: a reason unless accepted, and the segment that was drawn", () => {
    const mesh = sealed(undefined, { ...plainSpec, replayPerMillion: 1_000_000 });
    const { worker, validators, segment } = mesh.window.draws[0]!;
    const judge = (
      ...rest: Parameters<TestRuns["judge"]> extends [string, string, ...infer R] ? R : never
    ) => mesh.judge(validators[0]!, worker, ...rest);
    expect(segment).not.toBeNull();
    expect(judge("rejected", [])).toBe("statement_unfit");
    expect(judge("accepted", ["not_judged"])).toBe("statement_unfit");
    expect(judge("accepted", [], { segment: null })).toBe("statement_unfit");
    expect(judge("accepted", [], { segment: 1 - segment! })).toBe("statement_unfit");
    expect(judge("accepted", [], { recomputed: digestOf("x") })).toBe("statement_unfit");
    expect(judge("accepted", [], { recomputed: null, committed: null })).toBe("statement_unfit");
    expect(judge("rejected", ["delta_not_finite"], { segment: null })).toBe("done");
  });

  test("W-8 that reject by proof cost a strike, and enough of them the run; the slots go back", () => {
    const mesh = new TestRuns().begin();
    for (const strikes of [1, 2]) {
      mesh.toSealed();
      mesh.judgeAll((worker) => (worker === "b" ? "rejected" : "accepted"));
      expect(mesh.window.accepted).toEqual(["a", "c"]);
      const isQuarantined = strikes === 2;
      expect(workerOf(mesh.run, "b")).toMatchObject({
        ...{ strikes, isQuarantined, rejectedCount: strikes, acceptedCount: 0, private: null },
      });
      mesh.state("a");
      mesh.state("c");
      expect(mesh.run.revision.number).toBe(strikes);
      expect(mesh.run.acceptedSlots).toBe(8 * strikes);
      expect(mesh.ready("b")).toBe(isQuarantined ? "worker_unfit" : "done");
      mesh.open();
    }
    expect(mesh.window.tasks.map(({ worker }) => worker)).toEqual(["a", "c"]);
    expect(mesh.window.draws.flatMap(({ validators }) => validators)).not.toContain("b");
  });

  test("W-8 that are owed to breakage cost no strike", () => {
    const mesh = sealed();
    const [draw] = mesh.window.draws;
    for (const { worker, validators } of mesh.window.draws)
      if (worker === draw!.worker)
        mesh.judge(validators[0]!, worker, "rejected", ["state_unavailable"]);
      else mesh.judge(validators[0]!, worker);
    expect(workerOf(mesh.run, draw!.worker)).toMatchObject({ strikes: 0, rejectedCount: 1 });
    expect(mesh.window.accepted).not.toContain(draw!.worker);
  });

  test("W-10 that differ are on record and count against nobody", () => {
    const mesh = sealed(["a", "b", "c"], two);
    for (const { worker, validators } of mesh.window.draws) {
      mesh.judge(validators[0]!, worker, worker === "b" ? "rejected" : "accepted");
      mesh.judge(validators[1]!, worker);
    }
    expect(mesh.window.accepted).toEqual(["a", "c"]);
    expect(workerOf(mesh.run, "b")).toMatchObject({ strikes: 0, rejectedCount: 1 });
    expect(mesh.last!.decided).toMatchObject({
      scores: [
        { worker: "a", outcome: "accepted", reasons: [] },
        { worker: "b", outcome: "quarantined", reasons: ["segment_differs", "verdicts_differ"] },
        { worker: "c", outcome: "accepted", reasons: [] },
      ],
    });
  });

  test("W-10 are all needed: with one missing nothing is scored", () => {
    const mesh = sealed(["a", "b", "c"], two);
    const draws = mesh.window.draws.flatMap(({ worker, validators }) =>
      validators.map((validator) => ({ worker, validator })),
    );
    for (const { worker, validator } of draws.slice(1)) mesh.judge(validator, worker);
    expect(mesh.window.stage).toBe("sealed");
    mesh.judge(draws[0]!.validator, draws[0]!.worker);
    expect(mesh.window.stage).toBe("scored");
  });

  test("W-6 a window of which nothing counts is held, and changes nothing", () => {
    const mesh = sealed();
    mesh.judgeAll(() => "rejected");
    expect(mesh.run).toMatchObject({
      ...{ window: null, acceptedSlots: 0, revision: { number: 0 }, heldCount: 1 },
      past: { outcome: "held", reason: "segment_differs", acceptedSlots: 0 },
    });
    expect(slotsIn(mesh.run.pool)).toBe(40);
  });

  test("W-10 in a mesh of one nobody judges, which stands in what was decided", () => {
    const mesh = new TestRuns(["a"]).begin().toSealed();
    expect(mesh.window).toMatchObject({ stage: "scored", accepted: ["a"], verdicts: [] });
    expect(mesh.last!.decided).toMatchObject({
      draws: [{ worker: "a", validators: [], segment: null }],
      scores: [{ worker: "a", outcome: "accepted", verdictCount: 0 }],
    });
    expect(mesh.window.anchor).toBe(mesh.run.chain);
    expect(mesh.state("a")).toBe("done");
    expect(mesh.run.revision.number).toBe(1);
  });
});

describe("W-7 validators that do not come", () => {
  test("W-7 are replaced by others, and judge no more", () => {
    const mesh = sealed(["a", "b", "c", "d"]);
    const { worker, validators } = mesh.window.draws[0]!;
    const { anchor } = mesh.window;
    expect(mesh.redraw("again", 2)).toBe("window_stale");
    expect(mesh.redraw()).toBe("done");
    const [again] = mesh.window.draws;
    expect(again!.validators).toHaveLength(1);
    expect(again!.validators).not.toContain(validators[0]!);
    expect(again!.validators).not.toContain(worker);
    expect(mesh.window).toMatchObject({ anchor, redraws: 1 });
    expect(mesh.judge(validators[0]!, worker)).toBe("verdict_undrawn");
    expect(mesh.judge(again!.validators[0]!, worker)).toBe("done");
  });

  test("W-7 where nobody else is, one who is gone is left out; where nobody is left, it does not count", () => {
    const mesh = sealed(["a", "b", "c"], two);
    mesh.change("c", { isReady: false });
    mesh.judge("a", "b");
    mesh.judge("b", "a");
    mesh.redraw();
    // Whoever contributed and is gone is judged by the others still.
    expect(mesh.window.draws).toMatchObject([
      { worker: "a", validators: ["b"] },
      { worker: "b", validators: ["a"] },
      { worker: "c" },
    ]);
    mesh.judge("a", "c");
    mesh.judge("b", "c");
    expect(mesh.window).toMatchObject({ stage: "scored", accepted: ["a", "b", "c"] });
    const pair = sealed(["a", "b"]);
    pair.change("b", { isReady: false });
    pair.judge("a", "b");
    pair.redraw();
    expect(pair.window).toMatchObject({ stage: "scored", accepted: ["b"] });
  });

  test("W-7 are drawn again a few times alone; then what was not judged is left out, without a strike", () => {
    const mesh = sealed();
    const [, second, third] = mesh.window.draws;
    mesh.judge(second!.validators[0]!, second!.worker);
    mesh.judge(third!.validators[0]!, third!.worker);
    for (let time = 0; time < 3; time++) expect(mesh.redraw(`again ${time}`)).toBe("done");
    expect(mesh.window.stage).toBe("sealed");
    expect(mesh.redraw("the last")).toBe("done");
    expect(mesh.window).toMatchObject({ stage: "scored", accepted: ["b", "c"] });
    expect(workerOf(mesh.run, "a")).toMatchObject({ strikes: 0, rejectedCount: 0, revision: 0 });
    expect(mesh.redraw("more")).toBe("window_stale");
  });
});

describe("W-2 who judges whom", () => {
  test("W-2 hangs on the seed alone; nobody judges itself, and all have as much to do", () => {
    const nodes = ["a", "b", "c", "d", "e"];
    const rings = new Set<string>();
    for (let number = 0; number < 20; number++) {
      const seal = () => {
        const mesh = new TestRuns(nodes, two).begin();
        for (const node of nodes) mesh.contribute(node);
        mesh.seal(`seed ${number}`);
        return mesh.window.draws;
      };
      const draws = seal();
      expect(seal()).toEqual(draws);
      const counts = new Map<string, number>();
      for (const { worker, validators } of draws) {
        expect(new Set(validators).size).toBe(2);
        expect(validators).not.toContain(worker);
        for (const node of validators) counts.set(node, (counts.get(node) ?? 0) + 1);
      }
      expect([...counts.values()]).toEqual([2, 2, 2, 2, 2]);
      rings.add(JSON.stringify(draws));
    }
    expect(rings.size).toBe(20);
  });

  test("W-2 validators of the mesh are on the ring beside those who work", () => {
    const mesh = new TestRuns(["a", "b"]);
    mesh.members = [...mesh.members, memberNamed("v", { isTrainer: false, isValidator: true })];
    mesh.begin(["a", "b"]).toSealed();
    const drawn = new Set<string>();
    for (let number = 0; number < 30; number++) {
      const each = new TestRuns(["a", "b"]);
      each.members = mesh.members;
      each.begin(["a", "b"]);
      each.contribute("a");
      each.contribute("b");
      each.seal(`seed ${number}`);
      for (const { validators } of each.window.draws)
        for (const node of validators) drawn.add(node);
    }
    expect([...drawn].toSorted()).toEqual(["a", "b", "v"]);
    const { worker } =
      mesh.window.draws.find(({ validators }) => validators.includes("v")) ?? mesh.window.draws[0]!;
    const validator = mesh.window.draws.find((draw) => draw.worker === worker)!.validators[0]!;
    expect(mesh.judge(validator, worker)).toBe("done");
  });

  test.each([
    [0, 0, 0],
    [1_000_000, 60, 60],
    [500_000, 15, 45],
  ])("W-8 of a million, %d are recomputed", (replayPerMillion, least, most) => {
    let count = 0;
    const segments = new Set<number>();
    for (let number = 0; number < 20; number++) {
      const mesh = new TestRuns(["a", "b", "c"], { ...plainSpec, replayPerMillion }).begin();
      for (const node of ["a", "b", "c"]) mesh.contribute(node);
      mesh.seal(`seed ${number}`);
      for (const { segment } of mesh.window.draws) {
        if (segment === null) continue;
        count++;
        segments.add(segment);
      }
    }
    expect(count).toBeGreaterThanOrEqual(least);
    expect(count).toBeLessThanOrEqual(most);
    expect([...segments].toSorted((a, b) => a - b)).toEqual(count === 0 ? [] : [0, 1]);
  });
});
