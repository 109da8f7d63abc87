/** The worker process as it is, killed, stopped and told to give up. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { machineClock } from "#src/node/clock.ts";
import { machineDisk } from "#src/node/disk.ts";
import type { Processes } from "#src/port/process.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { makeRunDocument, type WindowSettings, writeRunDocument } from "../run-document.ts";
import { tinyManifest } from "../train.fixture.ts";
import type { Progress } from "./messages.ts";
import type { ResultOf, TaskOf } from "./tasks.ts";
import { WorkerChild, type WorkerOptions } from "./worker-child.ts";
import { codecs, outer, seed, tinyWork } from "./worker.fixture.ts";

const root = mkdtempSync(join(tmpdir(), "psionic-worker-"));
const main = new URL("../../node/main.ts", import.meta.url).pathname;
const document = join(root, "document");
const children = new Set<WorkerChild>();
afterAll(async () => {
  for (const child of children) child.kill();
  await Promise.all([...children].map(({ exited }) => exited));
  rmSync(root, { recursive: true, force: true });
});

const processes: Processes = {
  spawnSelf(role, onMessage) {
    const child = Bun.spawn({
      cmd: [process.execPath, main, `__${role}`],
      env: { ...process.env, PSIONIC_HOME: join(root, "home") },
      stdio: ["ignore", "inherit", "inherit"],
      serialization: "advanced",
      ipc: (message) => onMessage(message),
    });
    return {
      pid: child.pid,
      send: (message) => child.send(message),
      kill: (signal) => child.kill(signal),
      exited: child.exited.then(() => ({
        status: child.exitCode,
        signal: child.signalCode?.toString() ?? null,
      })),
    };
  },
};

function start(directory: string, options: Partial<WorkerOptions> = {}): WorkerChild {
  const child = new WorkerChild({
    ...{ processes, clock: machineClock },
    open: {
      ...{ run: "r1", directory: join(root, directory), document },
      ...{ threads: 1, isa: "reference", keepBytes: 2 ** 30 },
    },
    ...options,
  });
  children.add(child);
  return child;
}

const code = (promise: Promise<unknown>) =>
  promise.then(
    () => "done",
    (error: unknown) => (error instanceof Refusal ? error.code : String(error)),
  );

const work = tinyWork({
  slices: [
    { first: 2, count: 11 },
    { first: 30, count: 9 },
  ],
  segmentSteps: 4,
});
const task: TaskOf<"train"> = { kind: "train", revision: seed, work, private: null };
let whole: ResultOf<"train">;
const bits = new Map<number, string>();

function note(progress: Progress): void {
  if (progress.type !== "steps") return;
  for (const { step, lossBits, gradientNormBits } of progress.records)
    bits.set(step, `${lossBits} ${gradientNormBits}`);
}

beforeAll(async () => {
  const windows: WindowSettings = {
    ...{ slots: 100, windowSteps: 20, segmentSteps: 4, pace: "measured", participants: 3 },
    ...{ validators: 1, replayPerMillion: 1_000_000, quorum: 2, strikes: 3 },
    ...{ trainMs: 60_000, judgeMs: 60_000, mergeMs: 60_000, silenceMs: 5_000 },
  };
  mkdirSync(document);
  const parts = { codec: codecs["top-k"], outer, windows };
  await writeRunDocument(machineDisk, document, makeRunDocument(tinyManifest(), parts));
  const child = start("whole");
  const opened = await child.opened;
  expect(opened).toMatchObject({ lane: "reference", threads: 1 });
  whole = await child.perform(task, { onProgress: note });
  expect(bits.size).toBe(20);
  await child.stop();
  expect(child.isUsable).toBe(false);
}, 60_000);

const contents = ({ directory }: ResultOf<"train">) =>
  ["delta.bin", "commitments.json"].map((name) => readFileSync(join(directory, name), "hex"));

test("W-7 kill -9 at random instants, again and again: the window gives the same bits, and every step too", async () => {
  let kills = 0;
  let result: ResultOf<"train"> | null = null;
  for (let round = 0; result === null; round++) {
    expect(round).toBeLessThan(30);
    const child = start("killed");
    await child.opened;
    // The longer it lives the more it does; some die before their first step, some while they write.
    const waiting = new AbortController();
    const delayMs = 20 + Math.random() * (80 + 60 * round * round);
    const killing = machineClock.sleep(delayMs, waiting.signal).then(
      () => process.kill(child.pid, "SIGKILL"),
      () => {},
    );
    const told: Progress[] = [];
    result = await child
      .perform(task, { onProgress: (progress) => told.push(progress) })
      .catch((error: unknown) => {
        expect(error).toMatchObject({ code: "worker_died" });
        expect(String(error)).toContain("SIGKILL");
        kills++;
        return null;
      });
    for (const progress of told) {
      if (progress.type !== "steps") continue;
      for (const { step, lossBits, gradientNormBits } of progress.records)
        expect(`${lossBits} ${gradientNormBits}`).toBe(bits.get(step)!);
    }
    waiting.abort(new Error("the task is over"));
    await killing;
    child.kill();
    await child.exited;
  }
  expect(kills).toBeGreaterThan(0);
  expect(result.private).toBe(whole.private);
  expect(contents(result)).toEqual(contents(whole));
}, 180_000);

test("W-7 a task that is given up is refused, and the process does the next one", async () => {
  const child = start("given-up");
  const given = new AbortController();
  const onProgress = () => given.abort(new Error("no more due"));
  expect(await code(child.perform(task, { signal: given.signal, onProgress }))).toBe("interrupted");
  expect(child.isUsable).toBe(true);
  const again = await child.perform(task);
  expect(contents(again)).toEqual(contents(whole));
  expect(await code(child.perform(task, { signal: given.signal }))).toBe("interrupted");
  await child.stop();
  expect(await code(child.perform(task))).toBe("worker_died");
}, 60_000);

test("W-7 a process that says nothing any more is ended, and its task refused", async () => {
  const child = start("hung", { quietMs: 3_000 });
  await child.opened;
  const onProgress = () => process.kill(child.pid, "SIGSTOP");
  expect(await code(child.perform(task, { onProgress }))).toBe("worker_hung");
  expect(await child.exited).toContain("SIGKILL");
  expect(child.isUsable).toBe(false);
  const next = start("hung");
  expect(contents(await next.perform(task))).toEqual(contents(whole));
  await next.stop();
}, 60_000);

test("a run whose document is missing, or whose plan is another, is refused at the opening and for every task", async () => {
  const options = (place: string) => ({
    open: {
      ...{ run: "r1", directory: join(root, "refused"), document: place },
      ...{ threads: 1, isa: "reference" as const, keepBytes: 0 },
    },
  });
  const missing = start("refused", options(join(root, "nowhere")));
  expect(await code(missing.opened)).toBe("not_found");
  expect(await code(missing.perform(task))).toBe("not_found");
  const changed = join(root, "changed");
  mkdirSync(changed);
  const text = readFileSync(join(document, "run.json"), "utf8");
  const { planDigest } = tinyManifest();
  await Bun.write(join(changed, "run.json"), text.replace(planDigest, "0".repeat(64)));
  expect(await code(start("refused", options(changed)).opened)).toBe("run_changed");
}, 60_000);

/** A process that is none: it says what it is told to, and ends when it is killed. */
function strange(says: unknown, send: () => void): Processes {
  return {
    spawnSelf(_, onMessage) {
      const ended = Promise.withResolvers<{ status: null; signal: string }>();
      queueMicrotask(() => onMessage(says));
      const kill = (signal: string) => ended.resolve({ status: null, signal });
      return { pid: 1, send, kill, exited: ended.promise };
    },
  };
}

test("a process whose messages are not understood is ended: nothing is taken on trust", async () => {
  const child = start("strange", {
    processes: strange({ type: "opened", backend: 7 }, () => {}),
  });
  expect(await code(child.opened)).toBe("trainer_protocol");
  expect(await code(child.perform(task))).toBe("trainer_protocol");
  expect(await child.exited).toContain("SIGKILL");
});

test("a process that can be told nothing any more refuses its tasks instead of throwing", async () => {
  const broken = () => {
    throw new Error("EPIPE");
  };
  const child = start("broken", { processes: strange({ type: "alive", id: null }, broken) });
  expect(await code(child.perform(task))).toBe("worker_died");
  await child.stop();
});
