import { expect, test } from "bun:test";
import { exponential, logarithm, ropeTable, turn } from "./rope-table.ts";

/** Distance in float64 units of the larger of expected and `scale`. */
const relative = (found: number, expected: number, scale = 0): number =>
  Math.abs(found - expected) / Math.max(Math.abs(expected), scale);

test("T-3 our logarithm, exponential and turn agree with the platform's to a few units", () => {
  for (const x of [0.001, 0.7, 1, 1.0001, 2, 10_000, 500_000, 1e9]) {
    expect(relative(logarithm(x), Math.log(x), 1e-3)).toBeLessThan(1e-15);
  }
  for (const x of [-20, -9.21, -1, -0.01, 0, 0.3, 5]) {
    expect(relative(exponential(x), Math.exp(x))).toBeLessThan(1e-15);
  }
  for (let angle = 0; angle < 1_000_000; angle += 997.13) {
    const { cosine, sine } = turn(angle);
    expect(relative(cosine, Math.cos(angle), 1)).toBeLessThan(3e-16);
    expect(relative(sine, Math.sin(angle), 1)).toBeLessThan(3e-16);
  }
});

test("T-3 a rotary table holds cosines, then sines, of position times frequency", () => {
  const table = ropeTable(300, 8, 10_000);
  for (const position of [0, 1, 17, 299]) {
    for (let index = 0; index < 4; index++) {
      const angle = position * 10_000 ** ((-2 * index) / 8);
      expect(table[position * 8 + index]).toBeCloseTo(Math.cos(angle), 6);
      expect(table[position * 8 + 4 + index]).toBeCloseTo(Math.sin(angle), 6);
    }
  }
});
