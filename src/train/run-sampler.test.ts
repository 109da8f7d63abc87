/** When a run is sampled, with children that misbehave on purpose. */
import { afterAll, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Services } from "#src/command/define.ts";
import { Journal, journalTables } from "#src/command/journal.ts";
import { machineClock } from "#src/node/clock.ts";
import { homePaths } from "#src/node/home.ts";
import { openStore, type OpenStore } from "#src/node/store.ts";
import { RunSampler } from "./run-sampler.ts";
import { RunStore, type Run } from "./run-store.ts";
import { sampleMaximum, SampleStore } from "./sample-store.ts";
import { trainTables } from "./tables.ts";
import { tinyManifest } from "./train.fixture.ts";

const root = mkdtempSync(join(tmpdir(), "train-sampler-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let count = 0;
let store: OpenStore;
let run: Run;
beforeEach(() => {
  const home = homePaths(join(root, String(count++)), {});
  store = openStore(home, [journalTables, trainTables]);
  run = new RunStore(store).add({ id: "r", name: "r", createdMs: 0, manifest: tinyManifest() });
});

/** A sampler whose children answer what `live` says; how many were at work at once is counted. */
function sampler(live: (attempt: number) => unknown, options: { freeMemoryBytes?: number } = {}) {
  const seen = { started: 0, working: 0, most: 0, sleptMs: [] as number[] };
  const services = {
    store,
    journal: new Journal(store, machineClock),
    clock: {
      ...machineClock,
      sleep(delayMs: number, signal?: AbortSignal) {
        seen.sleptMs.push(delayMs);
        return machineClock.sleep(Math.min(delayMs, 50), signal);
      },
    },
    machine: { facts: async () => ({ freeMemoryBytes: options.freeMemoryBytes ?? 1e12 }) },
    processes: {
      spawnSelf(_role: string, onMessage: (message: unknown) => void) {
        const attempt = ++seen.started;
        seen.most = Math.max(seen.most, ++seen.working);
        const ended = Promise.withResolvers<object>();
        return {
          pid: attempt,
          exited: ended.promise.then(() => void seen.working--),
          kill: () => ended.resolve({}),
          send: () =>
            queueMicrotask(() => {
              const answer = live(attempt);
              if (answer === "dies") ended.resolve({});
              else if (answer !== "hangs") onMessage(answer);
            }),
        };
      },
    },
  };
  return { seen, sampler: new RunSampler(services as unknown as Services, run, null) };
}

const sampled = (step: number) => ({ type: "sampled", step, prompt: "the ", text: "sea" });
const steps = () => new SampleStore(store).last("r").map(({ step }) => step);

test("A-10 a checkpoint is sampled at once, later ones 20 s apart, the newest only, one at a time", async () => {
  let newest = 0;
  const { sampler: made, seen } = sampler(() => sampled(newest));
  for (const step of [10, 20, 30, 40]) made.offer((newest = step));
  await made.idle();
  made.offer((newest = 50));
  await made.idle();
  expect(steps()).toEqual([40, 50]);
  expect(seen.most).toBe(1);
  expect(seen.sleptMs.some((ms) => ms > 19_000 && ms <= 20_000)).toBe(true);
  const told = new Journal(store, machineClock).after(0, 10).filter((e) => e.type === "run.sample");
  expect(told.map(({ body }) => body["step"])).toEqual([40, 50]);
});

test.each([
  ["dies", "dies"],
  ["hangs", "hangs"],
  ["says nonsense", { type: "sampled", step: -1 }],
  ["refuses", null],
])(
  "A-10 a child that %s leaves no sample, and the next checkpoint is sampled",
  async (_, answer) => {
    const { sampler: made, seen } = sampler((attempt) => (attempt === 1 ? answer : sampled(20)));
    made.offer(10);
    await made.idle();
    expect(steps()).toEqual([]);
    made.offer(20);
    await made.idle();
    expect(steps()).toEqual([20]);
    expect(seen.working).toBe(0);
  },
);

test("A-10 a model that the free memory would not hold twice is not sampled", async () => {
  const { sampler: made, seen } = sampler(() => sampled(1), { freeMemoryBytes: 1_000 });
  made.offer(1);
  await made.idle();
  expect(seen.started).toBe(0);
  expect(steps()).toEqual([]);
});

test("A-10 stopped, a sampler ends its child and starts no other", async () => {
  const { sampler: made, seen } = sampler(() => "hangs");
  made.offer(1);
  made.stop();
  await made.idle();
  made.offer(2);
  await made.idle();
  expect(seen.working).toBe(0);
  expect(steps()).toEqual([]);
});

test("A-10 the newest 200 samples of a run are kept", () => {
  const samples = new SampleStore(store);
  for (let step = 1; step <= sampleMaximum + 7; step++)
    samples.put("r", { step, atMs: step, prompt: "", text: String(step) });
  expect(steps()).toHaveLength(sampleMaximum);
  expect(steps()[0]).toBe(8);
  expect(samples.last("r", 2).map(({ text }) => text)).toEqual(["206", "207"]);
});
