import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import * as v from "valibot";
import { canonicalText } from "#src/codec/digest.ts";
import { Chance } from "#src/sim/chance.ts";
import { assignedSlices, slicesOf } from "./assignment.ts";
import { putBack, slotsIn } from "./intervals.ts";
import { brokenRunEvent, brokenRuns, brokenRunStep } from "./invariants.ts";
import { digestOf, memberNamed, plainSpec, TestRuns } from "./run.fixture.ts";
import { isOver, verdicts, type Interval, type RunSpec } from "./run.ts";
import { runsSchema } from "./state-schema.ts";

const nodes = ["a", "b", "c", "d"];

function specOf(chance: Chance): RunSpec {
  return {
    ...plainSpec,
    slots: chance.between(6, 60),
    windowSteps: chance.between(2, 6),
    pace: chance.pick(["even", "measured"] as const),
    participants: chance.between(1, 4),
    validators: chance.between(0, 3),
    quorum: chance.between(1, 3),
    strikes: chance.between(1, 3),
  };
}

/** Nodes and a coordinator that do anything at any time: much of it right, some of it late, wrong or forged. */
class Crowd {
  readonly mesh: TestRuns;
  #count = 0;

  constructor(readonly chance: Chance) {
    this.mesh = new TestRuns(nodes, specOf(chance));
  }

  act(): string {
    const { chance, mesh } = this;
    mesh.nowMs += chance.between(0, 900);
    if (chance.happens(0.04)) this.#changeMember();
    if (chance.happens(0.6)) return this.#stageAct();
    return chance.pick([
      () => mesh.ready(this.#node(), { rate: chance.between(0, 900) }),
      () => mesh.ready(this.#node(), { digest: digestOf("another") }),
      () => this.#stageAct(),
      () => mesh.say(this.#node(), { saying: "gone", reason: "x" }),
      () => mesh.say(this.#node(), { saying: "gone", reason: "x" }, { previous: null }),
      () => mesh.say(this.#node(), { saying: "gone", reason: "x" }, { key: "z" }),
      () => mesh.evaluate(this.#node(), chance.between(0, 3), chance.happens(0.3)),
      () => mesh.open(),
      () => (chance.happens(0.3) ? mesh.seal(this.#name()) : mesh.open()),
      () => mesh.redraw(this.#name()),
      () => mesh.wish(chance.happens(0.5) ? "pause" : "run", this.#node()),
      () => mesh.wish("run"),
      () => (chance.happens(0.03) ? mesh.wish("stop") : mesh.wish("run")),
    ])();
  }

  /** What somebody may do now, mostly. */
  #stageAct(): string {
    const { chance, mesh } = this;
    const { run } = mesh;
    const [node, other] = [this.#node(), this.#node()];
    switch (run.window?.stage) {
      case undefined:
        return chance.happens(0.6) ? mesh.ready(node) : mesh.open();
      case "active":
        if (chance.happens(0.15)) return mesh.seal(this.#name());
        if (chance.happens(0.1))
          return mesh.contribute(node, { artifact: digestOf(`delta ${run.windowCount} ${other}`) });
        return mesh.contribute(node, { trainMs: chance.between(0, 50) });
      case "sealed":
        if (chance.happens(0.1)) return mesh.redraw(this.#name());
        return mesh.judge(node, other, chance.happens(0.8) ? "accepted" : chance.pick(verdicts));
      case "scored":
        if (chance.happens(0.1)) return mesh.lose(node);
        return mesh.state(node, chance.happens(0.1) ? "another" : undefined);
    }
  }

  #node = () => this.chance.pick(nodes);
  #name = () => `draw ${this.#count++}`;

  #changeMember(): void {
    const node = this.#node();
    const { mesh, chance } = this;
    if (chance.happens(0.2) && node !== "a") {
      const isThere = mesh.members.some((each) => each.node === node);
      mesh.members = isThere
        ? mesh.members.filter((each) => each.node !== node)
        : [...mesh.members, memberNamed(node)].toSorted((a, b) => (a.node < b.node ? -1 : 1));
    } else mesh.change(node, { isReady: chance.happens(0.6), isValidator: chance.happens(0.4) });
  }
}

describe("W-1 W-2 W-6 W-7 W-10 any events", () => {
  test("W-7 keep what a run promises: no slot lost, none twice, nothing promoted without its verdicts", () => {
    const codes = new Map<string, number>();
    let promotedCount = 0;
    let heldCount = 0;
    let completedCount = 0;
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1_000_000 }), (seed) => {
        const crowd = new Crowd(new Chance(seed, 1));
        const { mesh } = crowd;
        let accepted: readonly Interval[] = [];
        for (let count = 0; count < 220; count++) {
          const { runs, run } = mesh;
          const text = count % 8 === 0 ? canonicalText(runs) : null;
          const code = crowd.act();
          codes.set(code, (codes.get(code) ?? 0) + 1);
          if (text !== null) expect(canonicalText(runs)).toBe(text);
          if (code !== "done") {
            expect(mesh.runs).toBe(runs);
            continue;
          }
          expect(brokenRuns(mesh.runs)).toBeNull();
          expect(brokenRunStep(runs, mesh.runs)).toBeNull();
          expect(brokenRunEvent(run, mesh.run)).toBeNull();
          if (mesh.run.revision.number > run.revision.number) {
            promotedCount++;
            const counted = slicesOf(run.window!, new Set(run.window!.accepted));
            expect(slotsIn(counted)).toBe(mesh.run.acceptedSlots - run.acceptedSlots);
            accepted = putBack(accepted, counted);
          }
          if (mesh.run.heldCount > run.heldCount) heldCount++;
          const { window, pool, spec } = mesh.run;
          const assigned = window === null ? [] : assignedSlices(window);
          expect(putBack(accepted, [...pool, ...assigned])).toEqual([
            { first: 0, count: spec.slots },
          ]);
          expect(slotsIn(accepted)).toBe(mesh.run.acceptedSlots);
        }
        expect(v.is(runsSchema, JSON.parse(canonicalText(mesh.runs)))).toBe(true);
        if (isOver(mesh.run)) completedCount += mesh.run.phase === "completed" ? 1 : 0;
      }),
      { numRuns: 40, seed: 11 },
    );
    expect(promotedCount).toBeGreaterThan(50);
    expect(heldCount).toBeGreaterThan(50);
    expect(completedCount).toBeGreaterThan(5);
    for (const code of [
      ...["done", "window_stale", "window_unready", "statement_stale", "statement_forged"],
      ...["worker_unfit", "verdict_undrawn", "delta_repeated", "revision_differs", "scope_lacking"],
    ])
      expect([code, codes.has(code)]).toEqual([code, true]);
  }, 60_000);
});
