import { expect, test } from "bun:test";
import { Refusal } from "#src/refusal/refusal.ts";
import { DigestDesk, foldMaximum } from "./digest-desk.ts";

test("C-5 a member that asks for digest after digest does not keep a node folding", () => {
  const folded: number[] = [];
  let nowMs = 0;
  const desk = new DigestDesk({
    fold: (index) => (folded.push(index), String(index)),
    monotonicMs: () => nowMs,
  });
  for (let count = 0; count < 1_000; count++) expect(desk.digestAt(7)).toBe("7");
  expect(folded).toEqual([7]);
  const codes: unknown[] = [];
  for (let index = 8; index < 200; index++)
    try {
      desk.digestAt(index);
    } catch (error) {
      codes.push(error instanceof Refusal && error.code);
    }
  expect(folded).toHaveLength(foldMaximum);
  expect(new Set(codes)).toEqual(new Set(["cluster_busy"]));
  nowMs += 10_000;
  expect(desk.digestAt(500)).toBe("500");
});
