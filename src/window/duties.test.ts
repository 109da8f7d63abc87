import { describe, expect, test } from "bun:test";
import { dutiesOf } from "./duties.ts";
import { memberNamed, plainSpec, TestRuns } from "./run.fixture.ts";

const dutiesIn = (mesh: TestRuns, node: string, held: number | null = mesh.run.revision.number) =>
  dutiesOf(mesh.runs, node, () => held, mesh.around).map(({ kind }) => kind);

/** Without evaluations, which are one node's. */
const workIn = (mesh: TestRuns, node: string, held?: number | null) =>
  dutiesIn(mesh, node, held).filter((kind) => kind !== "evaluate");

describe("W-7 duties", () => {
  test("W-7 a trainer prepares until it holds the revision and is counted on; nobody else does", () => {
    const mesh = new TestRuns();
    mesh.members = [...mesh.members, memberNamed("v", { isTrainer: false, isValidator: true })];
    expect(dutiesIn(mesh, "a", null)).toEqual(["prepare"]);
    expect(dutiesIn(mesh, "a")).toEqual(["prepare"]);
    mesh.ready("a");
    expect(workIn(mesh, "a")).toEqual([]);
    expect(workIn(mesh, "a", null)).toEqual(["prepare"]);
    expect(dutiesIn(mesh, "v", null)).toEqual([]);
    expect(dutiesIn(mesh, "z", null)).toEqual([]);
    mesh.change("b", { isReady: false });
    expect(dutiesIn(mesh, "b", null)).toEqual([]);
    mesh.wish("pause");
    expect(dutiesIn(mesh, "c", null)).toEqual([]);
    mesh.wish("run");
    expect(dutiesIn(mesh, "c", null)).toEqual(["prepare"]);
    mesh.wish("stop");
    expect(dutiesIn(mesh, "c", null)).toEqual([]);
  });

  test("W-7 work goes through the stages, and each piece is due until it is stated", () => {
    const mesh = new TestRuns().begin();
    expect(workIn(mesh, "a")).toEqual(["train"]);
    // After a restart the disk is looked at first.
    expect(workIn(mesh, "a", null)).toEqual(["prepare"]);
    mesh.contribute("a");
    expect(workIn(mesh, "a")).toEqual([]);
    mesh.contribute("b");
    mesh.contribute("c");
    mesh.seal();
    const [draw] = mesh.window.draws;
    const validator = draw!.validators[0]!;
    const [job] = dutiesOf(mesh.runs, validator, () => 0, mesh.around);
    expect(job).toMatchObject({ kind: "validate", draw, contribution: { worker: draw!.worker } });
    mesh.judge(validator, draw!.worker);
    expect(workIn(mesh, validator)).toEqual([]);
    mesh.judgeAll();
    expect(workIn(mesh, "a")).toEqual(["merge"]);
    mesh.state("a");
    expect(workIn(mesh, "a")).toEqual([]);
    mesh.state("b");
    expect(workIn(mesh, "a")).toEqual([]);
    expect(workIn(mesh, "a", 0)).toEqual(["prepare"]);
    expect(workIn(mesh, "c", 0)).toEqual(["prepare"]);
  });

  test("W-7 who missed a window has no more work in it", () => {
    const mesh = new TestRuns().begin();
    mesh.contribute("a");
    mesh.contribute("b");
    mesh.seal();
    expect(workIn(mesh, "c")).toEqual(
      mesh.window.draws.some(({ validators }) => validators.includes("c"))
        ? ["validate", "prepare"]
        : ["prepare"],
    );
  });

  test("W-12 each revision is evaluated by one who holds it; the last over all rows", () => {
    const mesh = new TestRuns(["a", "b"], { ...plainSpec, slots: 8 }).begin();
    const evaluators = () => ["a", "b"].filter((node) => dutiesIn(mesh, node).includes("evaluate"));
    const [first, ...others] = evaluators();
    expect(others).toEqual([]);
    mesh.evaluate(first!, 0);
    expect(evaluators()).toEqual([]);
    mesh.toPromoted();
    expect(mesh.run.phase).toBe("completed");
    const [last] = evaluators();
    expect(dutiesOf(mesh.runs, last!, () => null, mesh.around)).toMatchObject([
      { kind: "evaluate", isFull: true },
    ]);
    mesh.evaluate(last!, 1, true);
    expect(evaluators()).toEqual([]);
  });

  test("W-12 another evaluates where the one who was drawn is not there", () => {
    const mesh = new TestRuns().begin();
    const evaluators = () =>
      ["a", "b", "c"].filter((node) => dutiesIn(mesh, node).includes("evaluate"));
    const [first] = evaluators();
    mesh.change(first!, { isReady: false });
    const [second, ...more] = evaluators();
    expect(second).not.toBe(first);
    expect(more).toEqual([]);
  });
});
