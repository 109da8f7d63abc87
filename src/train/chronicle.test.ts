import { expect, test } from "bun:test";
import { Chronicle } from "./chronicle.ts";

function chronicle() {
  const told: string[] = [];
  const attested: unknown[] = [];
  return {
    told,
    attested,
    chronicle: new Chronicle(
      {
        append: (type, subject, body) =>
          told.push(`${type} ${subject} ${Object.values(body).join("..")}`),
      },
      { append: (kind, subject, body) => attested.push([kind, subject, body]) as never },
    ),
  };
}

test("A-10 steps are journalled four times a second at most, and each exactly once", () => {
  const { told, chronicle: book } = chronicle();
  for (let step = 1; step <= 100; step++) book.steps("r", step, step, 1_000 + step * 10);
  expect(told.length).toBeLessThanOrEqual(5);
  book.flush();
  const stretches = told.map((line) => line.split(" ")[2]!.split("..").map(Number));
  expect(stretches[0]![0]).toBe(1);
  expect(stretches.at(-1)![1]).toBe(100);
  for (const [index, [from]] of stretches.entries())
    if (index > 0) expect(from).toBe(stretches[index - 1]![1]! + 1);
});

test("A-10 steps taken again after a crash are a stretch of their own", () => {
  const { told, chronicle: book } = chronicle();
  book.steps("r", 1, 5, 1_000);
  book.steps("r", 6, 9, 1_010);
  book.steps("r", 5, 7, 1_020);
  book.flush();
  expect(told).toEqual(["run.steps r 1..5", "run.steps r 6..9", "run.steps r 5..7"]);
});

test("A-10 an end comes after the steps before it, another run's steps too", () => {
  const { told, chronicle: book } = chronicle();
  book.steps("a", 1, 1, 1_000);
  book.steps("a", 2, 3, 1_010);
  book.tell("run.state", "a", { state: "completed" });
  book.steps("b", 1, 1, 1_020);
  book.tell("run.checkpoint", "b", { step: 1 });
  book.flush();
  expect(told).toEqual([
    ...["run.steps a 1..1", "run.steps a 2..3", "run.state a completed"],
    ...["run.checkpoint b 1", "run.steps b 1..1"],
  ]);
});

test("A-10 a clock that was set back does not silence the journal", () => {
  const { told, chronicle: book } = chronicle();
  book.steps("r", 1, 1, 1e12);
  book.steps("r", 2, 2, 1);
  expect(told).toEqual(["run.steps r 1..1", "run.steps r 2..2"]);
});

test("A-9 a receipt holds no essay", () => {
  const { attested, chronicle: book } = chronicle();
  book.attest("run.failed", "r", { step: 1, message: "x".repeat(5_000) });
  expect(attested).toEqual([["run.failed", "r", { step: 1, message: "x".repeat(1_000) }]]);
});
