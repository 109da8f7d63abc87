import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Chance } from "#src/sim/chance.ts";
import { dutiesOf } from "./duties.ts";
import { brokenRuns } from "./invariants.ts";
import type { Job } from "./job.ts";
import { ordersOfRuns } from "./orders.ts";
import { digestOf, plainSpec, TestRuns } from "./run.fixture.ts";
import type { RunSpec } from "./run.ts";
import { workerOf } from "./workers.ts";

const nodes = ["a", "b", "c", "d"];
const liar = "d";
const tickMs = 500;
const leaseTicks = 12;

interface Machine {
  readonly node: string;
  isUp: boolean;
  sinceTick: number;
  held: number | null;
  readonly merged: Set<number>;
}

/** Nodes that do what is due when they come to it, and go away at any time; one of them contributes lies. */
class Fleet {
  readonly mesh: TestRuns;
  readonly #machines: readonly Machine[];
  readonly #heardMs = new Map<string, number>();
  #tick = 0;
  #drawCount = 0;
  #ledSinceMs: number;

  constructor(
    readonly chance: Chance,
    spec: RunSpec,
  ) {
    this.mesh = new TestRuns(nodes, spec);
    this.#ledSinceMs = this.mesh.nowMs;
    this.#machines = nodes.map((node) => ({
      ...{ node, isUp: true, sinceTick: 0, held: null, merged: new Set<number>() },
    }));
  }

  tick(isCalm: boolean): void {
    const { chance, mesh } = this;
    this.#tick++;
    mesh.nowMs += tickMs;
    if (!isCalm && chance.happens(0.02)) this.#lead();
    for (const machine of this.#machines) {
      this.#comeOrGo(machine, isCalm);
      if (machine.isUp && chance.happens(0.4)) this.#work(machine);
    }
    if (isCalm || chance.happens(0.8)) this.#order();
    expect(brokenRuns(mesh.runs)).toBeNull();
    const { window } = mesh.run;
    // Alone, a node is judged by nobody, which stands there.
    const draw = window?.draws.find(({ worker }) => worker === liar);
    if (window?.accepted.includes(liar) === true) expect(draw!.validators).toEqual([]);
  }

  /** Another leads, and has heard nobody yet. */
  #lead(): void {
    this.#ledSinceMs = this.mesh.nowMs;
    this.#heardMs.clear();
  }

  #comeOrGo(machine: Machine, isCalm: boolean): void {
    const { chance, mesh } = this;
    const goes = machine.isUp ? !isCalm && chance.happens(0.02) : isCalm || chance.happens(0.05);
    if (goes) {
      machine.isUp = !machine.isUp;
      machine.sinceTick = this.#tick;
      machine.held = null;
      machine.merged.clear();
    }
    if (machine.isUp) this.#heardMs.set(machine.node, mesh.nowMs);
    const isReady = machine.isUp || this.#tick < machine.sinceTick + leaseTicks;
    mesh.change(machine.node, { isReady });
  }

  #order(): void {
    const { mesh } = this;
    const hearing = { nowMs: mesh.nowMs, ledSinceMs: this.#ledSinceMs, heardMs: this.#heardMs };
    const draw = () => digestOf(`draw ${this.#drawCount++}`);
    for (const order of ordersOfRuns(mesh.runs, mesh.around, hearing, draw))
      expect([order.kind, mesh.order(order)]).toEqual([order.kind, "done"]);
  }

  #work(machine: Machine): void {
    const { mesh } = this;
    const { number } = mesh.run.revision;
    if (machine.merged.has(number)) machine.held = number;
    const [job] = dutiesOf(mesh.runs, machine.node, () => machine.held, mesh.around);
    if (job !== undefined)
      expect([job.kind, this.#carryOut(machine, job)]).toEqual([job.kind, "done"]);
  }

  #carryOut(machine: Machine, job: Job): string {
    const { mesh } = this;
    const { node } = machine;
    switch (job.kind) {
      case "prepare":
        machine.held = job.run.revision.number;
        return workerOf(job.run, node)?.revision === machine.held ? "done" : mesh.ready(node);
      case "train":
        return mesh.contribute(node, { trainMs: 2_000 });
      case "validate":
        return mesh.judge(
          node,
          job.draw.worker,
          job.draw.worker === liar ? "rejected" : "accepted",
        );
      case "merge":
        machine.merged.add(job.window.revision + 1);
        return mesh.state(node);
      case "evaluate":
        return mesh.evaluate(node, job.run.revision.number, job.isFull);
    }
  }
}

describe("W-7 whoever comes and goes", () => {
  test("W-7 a run comes to its end: every slot counts once, no lie does, and no honest node is blamed", () => {
    let missedCount = 0;
    let strikeCount = 0;
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1_000_000 }), (seed) => {
        const chance = new Chance(seed, 1);
        const spec: RunSpec = {
          ...plainSpec,
          slots: chance.between(60, 200),
          windowSteps: chance.between(3, 8),
          pace: chance.pick(["even", "measured"] as const),
          participants: chance.between(2, 4),
          validators: chance.between(1, 3),
          quorum: chance.between(1, 3),
        };
        const fleet = new Fleet(chance, spec);
        for (let tick = 0; tick < 300; tick++) fleet.tick(false);
        for (let tick = 0; tick < 3_000 && fleet.mesh.run.phase !== "completed"; tick++)
          fleet.tick(true);
        const { run } = fleet.mesh;
        expect(run).toMatchObject({ phase: "completed", acceptedSlots: spec.slots, pool: [] });
        for (const worker of run.workers) {
          missedCount += worker.missedCount;
          strikeCount += worker.strikes;
          if (worker.node !== liar) expect(worker.strikes).toBe(0);
          else expect(worker.isQuarantined).toBe(worker.strikes === spec.strikes);
        }
        for (let tick = 0; tick < 40; tick++) fleet.tick(true);
        expect(fleet.mesh.run.evaluated).toEqual({ revision: run.revision.number, isFull: true });
      }),
      { numRuns: 15, seed: 5 },
    );
    expect(missedCount).toBeGreaterThan(10);
    expect(strikeCount).toBeGreaterThan(10);
  }, 60_000);
});
