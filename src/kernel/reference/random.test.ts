import { expect, test } from "bun:test";
import type { Call } from "#src/kernel/contract.ts";
import { binary32 } from "./arithmetic.ts";
import { evaluate } from "./evaluate.ts";
import { philox } from "./random.ts";

const hexadecimal = (words: readonly number[]): string =>
  words.map((word) => word.toString(16).padStart(8, "0")).join(" ");

test("T-1 Philox4x32-10 gives the published known answers", () => {
  const ones = 0xffffffff;
  expect(hexadecimal(philox([0, 0, 0, 0], 0, 0))).toBe("6627e8d5 e169c58d bc57ac4c 9b00dbd8");
  expect(hexadecimal(philox([ones, ones, ones, ones], ones, ones))).toBe(
    "408f276d 41c83b0e a20bc7c6 6d5451fd",
  );
  expect(
    hexadecimal(philox([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], 0xa4093822, 0x299f31d0)),
  ).toBe("d16cfe09 94fdcceb 5001e420 24126ea1");
});

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
