import { expect, test } from "bun:test";
import { cosineOfTurns, learningRate, type Schedule } from "./schedule.ts";

const base: Schedule = {
  kind: "cosine",
  peakRate: 0.002,
  warmupSteps: 10,
  steps: 110,
  finalFraction: 0.1,
  decayFraction: 0.2,
};

test("T-4 the library's own cosine agrees with the engine's to a few units in the last place", () => {
  for (let index = 0; index <= 10_000; index++) {
    const x = index / 10_000;
    expect(Math.abs(cosineOfTurns(x) - Math.cos(Math.PI * x))).toBeLessThan(4e-16);
  }
});

test("T-4 warm-up climbs linearly to the peak", () => {
  const rates = [0, 4, 9, 10].map((step) => learningRate(base, step));
  expect(rates[0]).toBeCloseTo(0.0002, 15);
  expect(rates[1]).toBeCloseTo(0.001, 15);
  expect(rates[2]).toBe(0.002);
  expect(rates[3]).toBe(0.002);
});

test("T-4 schedules at golden steps, to the bit", () => {
  const golden: Record<Schedule["kind"], readonly number[]> = {
    constant: [0.002, 0.002, 0.002],
    linear: [0.002, 0.0011, 0.0002],
    cosine: [0.002, 0.0011, 0.0002],
    "inverse-sqrt": [
      0.002 * Math.sqrt(10 / 11),
      0.002 * Math.sqrt(10 / 61),
      0.002 * Math.sqrt(10 / 111),
    ],
    wsd: [0.002, 0.002, 0.0002],
  };
  for (const [kind, expected] of Object.entries(golden)) {
    const schedule = { ...base, kind: kind as Schedule["kind"] };
    [10, 60, 110].forEach((step, index) =>
      expect(learningRate(schedule, step)).toBeCloseTo(expected[index]!, 17),
    );
  }
  expect(learningRate({ ...base, kind: "cosine" }, 37)).toBe(0.0016951806787912868);
  expect(learningRate({ ...base, kind: "wsd" }, 99)).toBeCloseTo(0.002 * (1 - 0.9 * (12 / 22)), 17);
});

test("T-4 rates past the last step stay at the final rate", () => {
  for (const kind of ["linear", "cosine", "wsd"] as const)
    expect(learningRate({ ...base, kind }, 5000)).toBeCloseTo(0.0002, 17);
});

test("T-4 a run shorter than its warm-up and a run without one are both defined", () => {
  expect(learningRate({ ...base, warmupSteps: 0 }, 0)).toBe(0.002);
  expect(learningRate({ ...base, warmupSteps: 500, steps: 20 }, 19)).toBeCloseTo(0.00008, 15);
});
