/** The parent's side with trainers that misbehave on purpose, in this process. */
import { afterAll, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { machineClock } from "#src/node/clock.ts";
import { homePaths } from "#src/node/home.ts";
import { openStore } from "#src/node/store.ts";
import type { Clock } from "#src/port/clock.ts";
import type { Processes } from "#src/port/process.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { Chronicle } from "./chronicle.ts";
import { readFromParent, type ToChild, type ToParent } from "./messages.ts";
import { RunStore, type Run, type TimedStep } from "./run-store.ts";
import { superviseTraining } from "./supervise.ts";
import { trainTables } from "./tables.ts";
import { tinyManifest } from "./train.fixture.ts";

const root = mkdtempSync(join(tmpdir(), "psionic-supervise-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let count = 0;
let runs: RunStore;
let run: Run;
beforeEach(() => {
  runs = new RunStore(openStore(homePaths(join(root, String(count++)), {}), [trainTables]));
  run = runs.add({ id: "r", name: "run", createdMs: 0, manifest: tinyManifest() });
});

/** What a pretended trainer may do. */
interface Life {
  say(message: unknown): void;
  die(signal?: string): void;
  readonly attempt: number;
}

/** Trainers that live by a script; each gets the parent's messages. */
function trainers(live: (life: Life, message: ToChild) => void): Processes & { started: number } {
  const processes = {
    started: 0,
    spawnSelf(_role: string, onMessage: (message: unknown) => void) {
      const attempt = ++processes.started;
      const exit = Promise.withResolvers<{ status: number | null; signal: string | null }>();
      const die = (signal?: string) =>
        exit.resolve({ status: signal ? null : 1, signal: signal ?? null });
      return {
        pid: attempt,
        exited: exit.promise,
        kill: (signal: string) => die(signal),
        send(message: unknown) {
          const read = readFromParent(message);
          if (read.type === "end") return exit.resolve({ status: 0, signal: null });
          queueMicrotask(() => live({ say: onMessage, die, attempt }, read));
        },
      };
    },
  };
  return processes;
}

const started: ToParent = {
  type: "started",
  backend: "test",
  threads: 1,
  plannedBytes: 0,
  peakFlops: null,
  step: 0,
  fallBacks: [],
};
const finished: ToParent = {
  type: "finished",
  reason: "completed",
  step: 20,
  stateDigest: "d",
  evaluation: null,
  trainingSeconds: 1,
  trainingTokens: 800,
  residentBytes: null,
};
const checkpoint = (step: number): ToParent => ({
  type: "checkpoint",
  step,
  stateDigest: "s",
  manifestDigest: "m",
  removed: [],
  seconds: 0,
});
const record = (step: number, lossBits = "40000000"): TimedStep => ({
  step,
  loss: 2,
  gradientNorm: 1,
  parameterNorm: 1,
  updateNorm: 1,
  learningRate: 1,
  tokens: 40,
  lossBits,
  gradientNormBits: "3f800000",
  tokensPerSecond: 1,
});

function supervise(
  processes: Processes,
  signal = new AbortController().signal,
  restarts: string[] = [],
  clock: Clock = machineClock,
) {
  return superviseTraining({
    clock,
    processes,
    runs,
    run,
    directory: "/run",
    threads: 1,
    isa: "reference",
    budgetMs: null,
    peakFlops: null,
    signal,
    onSpawn() {},
    onMessage() {},
    onRestart: (reason) => restarts.push(reason),
  });
}

async function codeOf(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (error !== null && !(error instanceof Refusal)) throw error;
  return error?.code ?? "accepted";
}

test("T-6 everything a trainer says is recorded, and the run is completed", async () => {
  const processes = trainers(({ say }, message) => {
    if (message.type !== "start") return;
    say(started);
    say({ type: "steps", records: [record(1), record(2)] });
    say(checkpoint(2));
    say(finished);
  });
  expect((await supervise(processes)).finished).toEqual(finished as never);
  expect(runs.steps("r").map(({ step }) => step)).toEqual([1, 2]);
  expect(runs.checkpoints("r")).toHaveLength(1);
  expect(runs.byId("r").state).toBe("completed");
});

test("T-7 a checkpoint whose writer was killed before it could tell of it is recorded by the next", async () => {
  const processes = trainers(({ say, die }, message) => {
    if (message.type !== "start") return;
    say({ ...started, step: 4, restored: { stateDigest: "s4", manifestDigest: "m4" } });
    die("SIGKILL");
  });
  expect(await codeOf(supervise(processes))).toBe("trainer_crashed");
  // Recorded once, and no progress of a trainer that dies without any of its own.
  expect(runs.checkpoints("r")).toEqual([
    { step: 4, stateDigest: "s4", manifestDigest: "m4", isKept: true },
  ]);
});

test("T-6 a trainer that dies without progress is started three times and then given up", async () => {
  const processes = trainers(({ die }, message) => message.type === "start" && die("SIGSEGV"));
  const restarts: string[] = [];
  expect(await codeOf(supervise(processes, undefined, restarts))).toBe("trainer_crashed");
  expect(processes.started).toBe(3);
  expect(restarts[0]).toContain("SIGSEGV");
  expect(runs.byId("r").state).toBe("failed");
});

test("T-6 deaths with checkpoints between them are no reason to give up", async () => {
  const processes = trainers(({ say, die, attempt }, message) => {
    if (message.type !== "start") return;
    say(checkpoint(attempt));
    if (attempt < 8) die("SIGKILL");
    else say(finished);
  });
  expect((await supervise(processes)).crashes).toBe(7);
});

test("T-7 the best loss so far is told to the next trainer, also by another parent", async () => {
  const seen: unknown[] = [];
  const evaluation = (step: number, loss: number, full = false) => ({
    ...{ step, loss, full, bitsPerByte: null, exactMatch: 0, targets: 1, rows: 1 },
  });
  const processes = trainers(({ say, die, attempt }, message) => {
    if (message.type !== "start") return;
    seen.push(message.best);
    say({ type: "evaluation", evaluation: evaluation(attempt, 3 - attempt, true) });
    if (attempt % 2 === 1) die("SIGKILL");
    else say(finished);
  });
  await supervise(processes);
  await supervise(processes);
  expect(seen).toEqual([
    ...[null, { step: 1, loss: 2 }, { step: 2, loss: 1 }, { step: 3, loss: 0 }],
  ]);
});

test("T-6 a message that is not understood is refused, not believed", async () => {
  for (const nonsense of [
    { type: "steps", records: "all" },
    { type: "sing" },
    null,
    { ...finished, step: -1 },
  ]) {
    const processes = trainers(({ say }, message) => message.type === "start" && say(nonsense));
    expect(await codeOf(supervise(processes))).toBe("trainer_protocol");
  }
});

test("T-10 a step that comes out differently after a restart stops the run by its number", async () => {
  const processes = trainers(({ say, die, attempt }, message) => {
    if (message.type !== "start") return;
    say({
      type: "steps",
      records: [record(1), record(2, attempt === 1 ? "40000000" : "40000001")],
    });
    if (attempt > 1) say(checkpoint(2));
    die("SIGKILL");
  });
  expect(await codeOf(supervise(processes))).toBe("replay_differs");
  expect(runs.events("r").some(({ type }) => type === "replay-differs")).toBe(true);
  expect(runs.step("r", 2)!.lossBits).toBe("40000000");
  expect(runs.checkpoints("r")).toEqual([]);
});

test("T-6 a refusal of the trainer arrives as it was thrown", async () => {
  const refusal = { code: "disk_full", message: "no space", hint: "free some", details: { a: 1 } };
  const processes = trainers(
    ({ say }, message) => message.type === "start" && say({ type: "refused", refusal }),
  );
  const error = await supervise(processes).then(
    () => null,
    (thrown: Refusal) => thrown,
  );
  expect(error).toMatchObject({ ...refusal, exitStatus: 14 });
});

test("T-6 the wish to stop reaches the trainer, and the run is interrupted", async () => {
  const stopping = new AbortController();
  const processes = trainers(({ say }, message) => {
    if (message.type === "start") say(started);
    if (message.type === "start") stopping.abort(new Error("Ctrl-C"));
    if (message.type === "stop") say({ ...finished, reason: "stopped", step: 5 });
  });
  expect((await supervise(processes, stopping.signal)).finished.reason).toBe("stopped");
  expect(runs.byId("r").state).toBe("interrupted");
});

test("T-6 a trainer that dies while stopping leaves the run interrupted, with the way to go on", async () => {
  const stopping = new AbortController();
  const processes = trainers(({ die }, message) => {
    if (message.type === "start") stopping.abort(new Error("Ctrl-C"));
    if (message.type === "stop") die("SIGKILL");
  });
  const error = await supervise(processes, stopping.signal).then(
    () => null,
    (thrown: Refusal) => thrown,
  );
  expect(error).toMatchObject({
    code: "interrupted",
    hint: expect.stringContaining("train --resume run"),
  });
  expect(runs.byId("r").state).toBe("interrupted");
});

test("A-10 a run that takes no step is journalled once, and again when it stalls again", async () => {
  const told: string[] = [];
  const journal = { append: (type: string) => told.push(type) };
  runs = new RunStore(runs.store, new Chronicle(journal, { append: () => null as never }));
  let wallMs = 1_000_000;
  let sleptMs = 0;
  const beats: (() => void)[] = [];
  const clock = {
    ...machineClock,
    wallMs: () => wallMs,
    monotonicMs: () => wallMs - sleptMs,
    sleep: (_: number, signal?: AbortSignal) =>
      new Promise<void>((resolve, reject) => {
        beats.push(resolve);
        signal?.addEventListener("abort", () => reject(new Error("aborted")));
      }),
  };
  const pass = async (ms: number) => {
    wallMs += ms;
    beats.splice(0).forEach((beat) => beat());
    while (beats.length === 0) await Promise.resolve();
  };
  let life: Life | null = null;
  const processes = trainers((own, message) => {
    if (message.type !== "start") return;
    life = own;
    own.say(started);
    own.say({ type: "steps", records: [record(1)] });
  });
  const supervised = supervise(processes, undefined, [], clock);
  await pass(0);
  await pass(5_000);
  const alerts = () => told.filter((type) => type === "run.alert").length;
  expect(alerts()).toBe(0);
  // One step of forty tokens at one token a second takes forty seconds: ten of them are patience.
  await pass(390_000);
  expect(alerts()).toBe(0);
  await pass(20_000);
  await pass(20_000);
  expect(alerts()).toBe(1);
  life!.say({ type: "steps", records: [record(2)] });
  await pass(1_000);
  // The machine sleeps for a day, wakes, and somebody sets its clock back by two: nothing stalled.
  for (const jumpMs of [86_400_000, -172_800_000]) {
    sleptMs += jumpMs;
    await pass(jumpMs);
    expect(runs.byId("r").progressMs).toBe(wallMs);
    await pass(5_000);
  }
  expect(alerts()).toBe(1);
  await pass(500_000);
  expect(alerts()).toBe(2);
  life!.say(finished);
  await supervised;
});

test("T-4 a fixed number of steps is kept for the next trainer", async () => {
  const open = tinyManifest({ stepsOpen: true });
  run = runs.add({ id: "o", name: "open", createdMs: 0, manifest: open });
  const seen: boolean[] = [];
  const processes = trainers(({ say, die, attempt }, message) => {
    if (message.type !== "start") return;
    seen.push(message.manifest.stepsOpen);
    if (attempt === 2) return say(finished);
    say({ type: "planned", manifest: { ...open, stepsOpen: false }, tokensPerSecond: 1 });
    die("SIGKILL");
  });
  await supervise(processes);
  expect(seen).toEqual([true, false]);
  expect(runs.byId("o").manifest.stepsOpen).toBe(false);
});
