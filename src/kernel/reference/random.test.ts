import { expect, test } from "bun:test";
import type { Call } from "#src/kernel/contract.ts";
import { binary32 } from "./arithmetic.ts";
import { evaluate } from "./evaluate.ts";

const state = Int32Array.of(7, -3, 12, 2);

test("T-1 init_normal has the moments of a normal number and does not depend on step or rank", () => {
  const count = 100_003;
  const call: Call = {
    operation: "init_normal",
    arguments: [],
    integers: [count, 5],
    floats: [0.02],
  };
  const out = new Float32Array(count);
  evaluate(binary32, call, [state, out]);
  const again = new Float32Array(count);
  evaluate(binary32, call, [Int32Array.of(7, -3, 99, 0), again]);
  expect(again).toEqual(out);
  const moment = (power: number): number =>
    out.reduce((sum, x) => sum + (x / 0.02) ** power, 0) / count;
  expect(Math.abs(moment(1))).toBeLessThan(0.02);
  expect(Math.abs(moment(2) - 1)).toBeLessThan(0.02);
  expect(Math.abs(moment(3))).toBeLessThan(0.05);
  expect(Math.abs(moment(4) - 3)).toBeLessThan(0.1);
});

test("T-1 dropout keeps the stated share, scaled, and another step drops others", () => {
  const count = 100_003;
  const threshold = 0.25 * 2 ** 32;
  const call: Call = {
    operation: "dropout",
    arguments: [],
    integers: [count, 1, threshold],
    floats: [4 / 3],
  };
  const x = new Float32Array(count).fill(3);
  const y = new Float32Array(count);
  evaluate(binary32, call, [x, state, null, y]);
  const kept = y.filter((value) => value !== 0);
  expect(kept.every((value) => value === 4)).toBe(true);
  expect(Math.abs(kept.length / count - 0.75)).toBeLessThan(0.01);
  const next = new Float32Array(count);
  evaluate(binary32, call, [x, Int32Array.of(7, -3, 13, 2), null, next]);
  expect(next).not.toEqual(y);
});
