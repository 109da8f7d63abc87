import { afterAll, describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { jsonLines, runBinary, TemporaryFolder } from "./binary.ts";
import { lastLine, trainersOf } from "./training.fixture.ts";

const folder = new TemporaryFolder();
afterAll(() => folder[Symbol.dispose]());

describe("the demonstration", () => {
  test("demo learns to add, is killed, goes on by itself and answers, all of it checked", async () => {
    const home = folder.file("home");
    const outcome = await runBinary(["demo", "--json", "--no-input"], {
      ...{ home, timeoutMs: 540_000 },
    });
    const lines = jsonLines(outcome.stdout);
    const done = lines.at(-1)!;
    expect({ status: outcome.status, stderr: outcome.stderr, ...done }).toMatchObject({
      ...{ status: 0, stderr: "", type: "done", killed: true, verified: false },
    });
    expect(Number(done["exactMatch"])).toBeGreaterThanOrEqual(0.99);

    const of = (type: string) => lines.filter((line) => line["type"] === type);
    const [killed] = of("killed");
    expect(of("restart")).toMatchObject([{ reason: expect.stringContaining("SIGKILL") }]);
    expect(of("started").map(({ step }) => step)).toEqual([0, Number(done["resumedFromStep"])]);
    expect(Number(done["resumedFromStep"])).toBeLessThan(Number(killed!["step"]));
    expect(Number(done["resumedFromStep"])).toBeGreaterThan(0);
    expect(Number(done["recomputedSteps"])).toBeGreaterThan(0);

    const questions = done["questions"] as Record<string, unknown>[];
    expect(questions[0]).toMatchObject({ question: "1234+5678", answer: "6912", right: true });
    expect(questions.length).toBeGreaterThan(2);
    for (const { question, answer, heldOut } of questions.slice(1)) {
      const [a, b] = String(question).split("+").map(Number);
      expect({ answer: Number(answer), heldOut }).toEqual({ answer: a! + b!, heldOut: true });
    }

    // What it left is a run like any other, and another program computes the same bits.
    expect(existsSync(String(done["directory"]))).toBe(true);
    expect(trainersOf(home)).toEqual([]);
    const digest = await runBinary(["digest", String(done["name"]), "--json"], { home });
    expect(lastLine(digest.stdout)).toMatchObject({
      ...{ step: done["steps"], digest: done["digest"] },
    });
    const from = Number(done["resumedFromStep"]) + 1;
    const stretch = `${from}..${from + 9}`;
    const replay = await runBinary(["replay", String(done["name"]), "--steps", stretch], { home });
    expect({ status: replay.status, stderr: replay.stderr }).toMatchObject({ status: 0 });
  }, 600_000);
});
