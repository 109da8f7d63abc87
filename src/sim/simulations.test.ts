import { expect, test } from "bun:test";
import { simulate } from "./simulation.ts";
import { failedMaximum, Simulations } from "./simulations.ts";

test("C-10 many simulations add up, list what failed with its line, and have one hash", () => {
  const play = (flaw: "ballot-not-persisted" | null) => {
    const all = new Simulations((seed) => `psionic sim --seed ${seed} --ticks 300`);
    const failures = [5, 6, 7].map((seed) =>
      all.add(simulate({ seed, ticks: 300, nodeCount: 5, flaw })),
    );
    return { failures, result: all.result() };
  };
  const { failures, result } = play(null);
  expect(failures).toEqual([null, null, null]);
  expect(result).toMatchObject({ type: "result", seeds: 3, passed: 3, failed: [] });
  expect(play(null).result).toEqual(result);
  const flawed = play("ballot-not-persisted");
  expect(flawed.result.hash).not.toBe(result.hash);
  expect(flawed.result.passed).toBe(0);
  expect(flawed.result.failed).toHaveLength(3);
  expect(flawed.failures.filter((each) => each !== null)).toEqual(flawed.result.failed);
  for (const { seed, rerun } of flawed.result.failed)
    expect(rerun).toBe(`psionic sim --seed ${seed} --ticks 300`);
});

test("C-10 the list of failed seeds has a bound, the count has none", () => {
  const all = new Simulations((seed) => `again ${seed}`);
  const passed = simulate({ seed: 1, ticks: 20, nodeCount: 3, flaw: null });
  for (let seed = 0; seed < failedMaximum + 50; seed++)
    all.add({ ...passed, seed, reason: "liveness: nothing came" });
  const { seeds, failed, passed: passedCount } = all.result();
  expect([seeds, failed.length, passedCount]).toEqual([failedMaximum + 50, failedMaximum, 0]);
});
