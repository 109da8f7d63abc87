import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { assign } from "./assignment.ts";
import { areApart, putBack, slotsIn, takeSlots } from "./intervals.ts";
import { memberNamed, plainSpec, TestRuns } from "./run.fixture.ts";
import type { Interval } from "./run.ts";
import { scheduleStep } from "./schedule.ts";

const names = (count: number) => Array.from({ length: count }, (_, place) => `n${10 + place}`);

function readied(rates: readonly number[], spec = plainSpec): TestRuns {
  const nodes = names(rates.length);
  const mesh = new TestRuns(["a", ...nodes], spec);
  for (const [place, node] of nodes.entries()) mesh.ready(node, { rate: rates[place]! });
  return mesh;
}

const stepsOf = (mesh: TestRuns) => assign(mesh.run, 1, mesh.around).map(({ steps }) => steps);
const measured = { ...plainSpec, pace: "measured", windowSteps: 8, slots: 1_000 } as const;

describe("W-2 assignment", () => {
  test("W-2 is a function of the state: the same for everybody, another in each window", () => {
    const mesh = readied([0, 0, 0, 0, 0, 0], { ...plainSpec, participants: 2 });
    const chosen = (number: number) =>
      assign(mesh.run, number, mesh.around).map(({ worker }) => worker);
    expect(chosen(1)).toEqual(chosen(1));
    const all = Array.from({ length: 40 }, (_, place) => chosen(place + 1));
    expect(new Set(all.flat()).size).toBe(6);
    expect(all.every((pair) => pair.length === 2 && pair[0]! < pair[1]!)).toBe(true);
  });

  test("W-2 leaves out who is not ready, no trainer, behind or out of the run", () => {
    const mesh = readied([0, 0, 0, 0]);
    mesh.change("n10", { isReady: false });
    mesh.change("n11", { isTrainer: false });
    mesh.say("n12", { saying: "gone", reason: "x" });
    expect(assign(mesh.run, 1, mesh.around).map(({ worker }) => worker)).toEqual(["n13"]);
    mesh.members = mesh.members.filter(({ node }) => node !== "n13");
    expect(assign(mesh.run, 1, mesh.around)).toEqual([]);
    mesh.members = [...mesh.members, memberNamed("n13")];
    const workers = mesh.run.workers.map((worker) => ({ ...worker, isQuarantined: true }));
    expect(assign({ ...mesh.run, workers }, 1, mesh.around)).toEqual([]);
  });

  test("W-2 gives work first to who was not caught at a lie", () => {
    const mesh = readied([0, 0, 0], { ...plainSpec, participants: 2 });
    const workers = mesh.run.workers.map((worker) =>
      worker.node === "n11" ? { ...worker, strikes: 1 } : worker,
    );
    for (let number = 1; number < 20; number++)
      expect(
        assign({ ...mesh.run, workers }, number, mesh.around).map(({ worker }) => worker),
      ).toEqual(["n10", "n12"]);
  });

  test("W-3 gives slow nodes less by rule: quarters of H by rate, and all of it to the unknown", () => {
    expect(stepsOf(readied([1_000, 990, 620, 500, 240, 90, 0], measured))).toEqual([
      8, 8, 4, 4, 2, 2, 8,
    ]);
    const even = { ...measured, pace: "even" } as const;
    expect(stepsOf(readied([1_000, 20, 0], even))).toEqual([8, 8, 8]);
    // Three quarters of a minute are enough for two steps of 64 tokens at that rate.
    expect(stepsOf(readied([1_000, 4, 1], even))).toEqual([8, 2, 1]);
    const short = { ...measured, windowSteps: 2, segmentSteps: 1 };
    expect(stepsOf(readied([1_000, 10], short))).toEqual([2, 1]);
  });

  test("W-2 shares what is left, at least a step each, and has no more workers than slots", () => {
    expect(
      stepsOf(readied([0, 0, 0], { ...plainSpec, slots: 7 })).toSorted((a, b) => a - b),
    ).toEqual([2, 2, 3]);
    const [most, least] = stepsOf(readied([1_000, 10], { ...measured, slots: 5 }));
    expect([most! + least!, most! >= 3]).toEqual([5, true]);
    expect(stepsOf(readied([0, 0, 0], { ...plainSpec, slots: 2 }))).toEqual([1, 1]);
  });

  test("W-2 stays within the stretches a pool may have, whatever is given back", () => {
    const mesh = readied(Array.from({ length: 8 }, () => 0));
    const pool = Array.from({ length: 255 }, (_, place) => ({ first: 4 * place, count: 2 }));
    expect(assign({ ...mesh.run, pool }, 1, mesh.around).length).toBe(2);
    const full = [...pool, { first: 2_000, count: 1 }];
    expect(assign({ ...mesh.run, pool: full }, 1, mesh.around).length).toBe(1);
  });

  test("W-2 any rates, slots and pools: the first slots of the pool, each once, by rule", () => {
    const rates = fc.array(fc.integer({ min: 0, max: 2_000 }), { minLength: 1, maxLength: 8 });
    const gaps = fc.array(
      fc.tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 9 })),
      {
        minLength: 1,
        maxLength: 40,
      },
    );
    fc.assert(
      fc.property(rates, gaps, fc.integer({ min: 1, max: 9 }), (given, stretches, participants) => {
        let first = 0;
        const pool: Interval[] = stretches.map(([gap, count]) => {
          const interval = { first: first + gap, count };
          first += gap + count;
          return interval;
        });
        const mesh = readied(given, { ...measured, participants });
        const tasks = assign({ ...mesh.run, pool }, 3, mesh.around);
        const total = tasks.reduce((sum, { steps }) => sum + steps, 0);
        const { taken } = takeSlots(pool, total);
        expect(tasks.length).toBe(Math.min(participants, given.length, slotsIn(pool)));
        expect(
          putBack(
            [],
            tasks.flatMap(({ slices }) => slices),
          ),
        ).toEqual(taken);
        for (const { steps, slices } of tasks) {
          expect(steps).toBe(slotsIn(slices));
          expect(steps).toBeGreaterThanOrEqual(1);
          expect(steps).toBeLessThanOrEqual(8);
        }
      }),
      { numRuns: 60, seed: 3 },
    );
  });
});

describe("W-2 stretches of slots", () => {
  test("W-2 what is taken and put back is what was there", () => {
    const lists = fc.array(
      fc.tuple(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 5 })),
    );
    fc.assert(
      fc.property(lists, fc.nat(), (parts, draw) => {
        let first = 0;
        const list = parts.map(([gap, count]) => {
          const interval = { first: first + gap, count };
          first += gap + count;
          return interval;
        });
        expect(areApart(list)).toBe(true);
        const count = draw % (slotsIn(list) + 1);
        const { taken, rest } = takeSlots(list, count);
        expect(slotsIn(taken)).toBe(count);
        expect(putBack(rest, taken)).toEqual(list);
        expect(putBack(taken, rest)).toEqual(list);
      }),
    );
  });
});

describe("W-3 the schedule", () => {
  const spec = { slots: 100, scheduleSteps: 50 };
  test("W-3 follows the run's progress, not who takes part", () => {
    expect(scheduleStep(spec, 0, 0, 4)).toBe(0);
    expect(scheduleStep(spec, 0, 3, 4)).toBe(6);
    expect(scheduleStep(spec, 12, 0, 4)).toBe(6);
    expect(scheduleStep(spec, 12, 0, 1)).toBe(6);
    expect(scheduleStep(spec, 13, 0, 1)).toBe(6);
    expect(scheduleStep(spec, 96, 8, 4)).toBe(49);
    const large = { slots: 2 ** 40, scheduleSteps: 2 ** 40 };
    expect(scheduleStep(large, 2 ** 40 - 5, 1, 3)).toBe(2 ** 40 - 2);
  });
});
