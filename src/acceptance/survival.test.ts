import { Database } from "bun:sqlite";
import { afterAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { startBinary, TemporaryFolder } from "./binary.ts";
import {
  childrenOf,
  type Done,
  doneOf,
  liveLines,
  slowModel,
  trainersOf,
  trainToEnd,
  writeBook,
} from "./training.fixture.ts";

const steps = 160;
const folder = new TemporaryFolder();
afterAll(() => folder[Symbol.dispose]());
const words = [
  ...[writeBook(folder), ...slowModel, "--dropout", "0.1", "--steps", String(steps)],
  ...["--checkpoint-every", "8"],
];
const undisturbed = trainToEnd(folder.file("undisturbed"), words);

/** Chance of a test, named in its failures so that it can be repeated. */
const seed = Number(process.env["PSIONIC_TEST_SEED"] ?? Math.floor(Math.random() * 1e6));
let state = seed;
const below = (limit: number) => (state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0) % limit;

/** Every recorded step of a home's only run, read by another program's eyes. */
function recordedSteps(home: string): { steps: number[]; states: Record<string, string> } {
  using database = new Database(join(home, "node.db"), { readonly: true });
  const rows = database.query("SELECT step FROM run_step ORDER BY step").all();
  const checkpoints = database.query("SELECT step, state_digest FROM run_checkpoint").all();
  return {
    steps: (rows as { step: number }[]).map(({ step }) => step),
    states: Object.fromEntries(
      (checkpoints as { step: number; state_digest: string }[]).map((row) => [
        row.step,
        row.state_digest,
      ]),
    ),
  };
}

function expectWhole(home: string, done: Done, expected: Done): void {
  expect({ seed, steps: done.steps, digest: done.digest }).toEqual({
    seed,
    steps,
    digest: expected.digest,
  });
  const record = recordedSteps(home);
  expect(record.steps).toEqual(Array.from({ length: steps }, (_, index) => index + 1));
  expect(record.states[steps]).toBe(expected.digest);
}

/** Waits until no trainer of a home is alive; fails after the patience a person would have. */
async function expectNoTrainer(home: string): Promise<void> {
  const deadlineMs = performance.now() + 5_000;
  while (trainersOf(home).length > 0 && performance.now() < deadlineMs) await Bun.sleep(10);
  expect(trainersOf(home)).toEqual([]);
}

describe("T-6 kill -9 costs nothing", () => {
  test("T-6 a trainer killed at random points goes on by itself to the same state", async () => {
    const expected = await undisturbed;
    const home = folder.file("child-killed");
    const parent = await startBinary(["train", ...words, "--json", "--no-input"], home);
    const lines: Record<string, unknown>[] = [];
    const kills: number[] = [];
    let nextKill = 1 + below(30);
    for await (const line of liveLines(parent.stdout)) {
      lines.push(line);
      if (line["type"] !== "step" || Number(line["step"]) < nextKill || kills.length === 4)
        continue;
      const [trainer] = childrenOf(parent.pid);
      if (trainer === undefined) continue;
      process.kill(trainer, "SIGKILL");
      kills.push(Number(line["step"]));
      nextKill = Number(line["step"]) + 17 + below(20);
    }
    const stderr = await parent.stderr.text();
    await parent.exited;
    const stdout = lines.map((line) => JSON.stringify(line)).join("\n");
    const done = doneOf({ stdout, stderr, status: parent.exitCode, signal: null, durationMs: 0 });
    expect(kills.length).toBeGreaterThanOrEqual(3);
    expect(lines.filter(({ type }) => type === "restart").length).toBe(kills.length);
    expectWhole(home, done, expected);
    await expectNoTrainer(home);
  });

  test("T-6 a parent killed at random points leaves no trainer, and --resume ends the same", async () => {
    const expected = await undisturbed;
    const home = folder.file("parent-killed");
    let sitting = ["train", ...words];
    for (let kill = 0; kill < 3; kill++) {
      const parent = await startBinary([...sitting, "--json", "--no-input"], home);
      let isFirst = true;
      let killAt = 0;
      for await (const line of liveLines(parent.stdout)) {
        if (line["type"] !== "step") continue;
        const step = Number(line["step"]);
        // A search that finds nothing would prove nothing later.
        if (isFirst) expect(trainersOf(home).length).toBe(1);
        if (isFirst) killAt = Math.min(steps - 20, step + 10 + below(25));
        isFirst = false;
        if (step >= killAt) parent.kill("SIGKILL");
      }
      await parent.exited;
      expect({ seed, signal: parent.signalCode }).toEqual({ seed, signal: "SIGKILL" });
      await expectNoTrainer(home);
      sitting = ["train", "--resume", "latest"];
    }
    const done = await trainToEnd(home, ["--resume", "latest"]);
    expectWhole(home, done, expected);
  });

  test("T-6 Ctrl-C writes a checkpoint and says how to go on; going on ends the same", async () => {
    const expected = await undisturbed;
    const home = folder.file("interrupted");
    const parent = await startBinary(["train", ...words, "--json", "--no-input"], home);
    const lines: Record<string, unknown>[] = [];
    for await (const line of liveLines(parent.stdout)) {
      lines.push(line);
      if (line["type"] === "step" && Number(line["step"]) === 30) parent.kill("SIGINT");
    }
    await parent.exited;
    expect(parent.exitCode).toBe(130);
    const last = lines.at(-1)!;
    expect(last).toMatchObject({ type: "interrupted", resume: "psionic train --resume book" });
    const kept = lines.filter(({ type }) => type === "checkpoint").at(-1);
    expect(kept).toMatchObject({ step: last["steps"], stateDigest: last["digest"] });
    await expectNoTrainer(home);
    expectWhole(home, await trainToEnd(home, ["--resume", "latest"]), expected);
  });

  test("T-6 the very same words after a crash are a new run, not a mixture", async () => {
    const { digest } = await undisturbed;
    const home = folder.file("interrupted");
    const again = await trainToEnd(home, words);
    expect({ name: again.name, digest: again.digest }).toEqual({ name: "book-2", digest });
  });
});
