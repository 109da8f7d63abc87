import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Services } from "#src/command/define.ts";
import { machineClock } from "#src/node/clock.ts";
import { homePaths } from "#src/node/home.ts";
import { openStore } from "#src/node/store.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { RunStore, type Run } from "#src/train/run-store.ts";
import { runSession } from "#src/train/session.ts";
import { layoutOf } from "#src/train/delta/layout.ts";
import { digestRevision, writeRevision } from "#src/train/revision.ts";
import { trainTables } from "#src/train/tables.ts";
import { dataset, MemoryDisk, tinyManifest, tinyTrainer } from "#src/train/train.fixture.ts";
import { assignTrainingData } from "#src/train/training-data.ts";
import { digestRun } from "./digest-run.ts";
import { replay, type ReplayOptions } from "./replay.ts";

const root = mkdtempSync(join(tmpdir(), "psionic-replay-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const home = homePaths(root, {});
const disk = new MemoryDisk();
const services = { disk, clock: machineClock, home } as unknown as Services;
const manifest = tinyManifest();
let runs: RunStore;
let run: Run;

beforeAll(async () => {
  runs = new RunStore(openStore(home, [trainTables]));
  run = runs.add({ id: "r", name: "run", createdMs: 0, manifest });
  await runSession(
    {
      type: "start",
      run: "r",
      directory: `${home.runs}/r`,
      manifest,
      budgetMs: null,
      threads: 1,
      isa: "reference",
      peakFlops: null,
      best: null,
    },
    tinyTrainer(manifest).executor,
    assignTrainingData(dataset, manifest),
    {
      clock: machineClock,
      disk,
      isStopped: () => false,
      send(message) {
        if (message.type === "steps") runs.recordSteps("r", message.records, 0);
        if (message.type === "checkpoint") runs.recordCheckpoint("r", message, message.removed, 0);
      },
    },
    { backend: "reference", threads: 1, peakFlops: null, startedMs: 0 },
  );
});

const again = (from: number, to: number) => {
  const options: ReplayOptions = { from, to, threads: 1, isa: "reference" };
  return replay(run, runs, services, options, () => {}, new AbortController().signal);
};

async function refusalOf(work: Promise<unknown>): Promise<Refusal> {
  const error = await work.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(Refusal);
  return error as Refusal;
}

test("T-10 any stretch agrees bit for bit, from the nearest checkpoint or from the seed", async () => {
  expect(await again(1, 3)).toMatchObject({ startedFrom: 0, comparedSteps: 3, comparedStates: 0 });
  const middle = await again(9, 12);
  expect(middle.startedFrom).toBe(8);
  expect(middle.comparedStates).toBeGreaterThanOrEqual(1);
  const whole = await again(1, 20);
  expect(whole.comparedStates).toBeGreaterThanOrEqual(5);
  expect(whole.digest).toBe(runs.checkpoints("r").at(-1)!.stateDigest);
});

test("T-10 a tampered record is found, and the first step that differs is named", async () => {
  const honest = runs.step("r", 11)!;
  const write = (bits: string) =>
    runs.store.run("UPDATE run_step SET loss_bits = ? WHERE run = 'r' AND step = 11", bits);
  write(honest.lossBits.replace(/.$/, (last) => (last === "0" ? "1" : "0")));
  const refusal = await refusalOf(again(9, 14));
  expect(refusal.code).toBe("replay_differs");
  expect(refusal.exitStatus).toBe(13);
  expect(refusal.details).toMatchObject({ step: 11, what: "loss", computed: honest.lossBits });
  expect((await again(12, 14)).comparedSteps).toBe(3);
  write(honest.lossBits);
});

test("T-10 a tampered state digest is found at its step", async () => {
  const honest = runs.checkpoints("r").find(({ step }) => step === 12)!;
  runs.recordCheckpoint("r", { ...honest, stateDigest: "0".repeat(64) }, [], 0);
  expect((await refusalOf(again(11, 13))).details).toMatchObject({ step: 12, what: "state" });
  runs.recordCheckpoint("r", honest, [], 0);
});

test("T-10 another seed in the manifest is found at the first step", async () => {
  const forged = { ...run, manifest: { ...manifest, seed: 8 } };
  const options: ReplayOptions = { from: 1, to: 3, threads: 1, isa: "reference" };
  const work = replay(forged, runs, services, options, () => {}, new AbortController().signal);
  expect((await refusalOf(work)).details).toMatchObject({ step: 1 });
});

test("T-10 a plan that is not the pinned one is refused before any computing", async () => {
  const forged = { ...run, manifest: { ...manifest, planDigest: "0".repeat(64) } };
  const options: ReplayOptions = { from: 1, to: 3, threads: 1, isa: "reference" };
  const work = replay(forged, runs, services, options, () => {}, new AbortController().signal);
  expect((await refusalOf(work)).code).toBe("run_changed");
});

test("T-10 steps without a record are refused, and the stretch there is is named", async () => {
  const refusal = await refusalOf(again(18, 25));
  expect(refusal.code).toBe("run_unfit");
  expect(refusal.hint).toContain("1..20");
});

test("T-10 with damaged checkpoints replay starts from an older state", async () => {
  const damaged = [...disk.files.keys()].filter(
    (path) => path.includes("step-000016") && path.endsWith("model.safetensors"),
  );
  expect(damaged).toHaveLength(1);
  const honest = disk.files.get(damaged[0]!)!;
  disk.files.set(damaged[0]!, honest.slice(0, 100));
  expect((await again(17, 18)).startedFrom).toBeLessThan(16);
  disk.files.set(damaged[0]!, honest);
});

test("T-10 digest recomputes the state from the files and names what changed", async () => {
  const state = await digestRun(run, runs, services, undefined);
  expect(state.digest).toBe(runs.checkpoints("r").at(-1)!.stateDigest);
  expect((await refusalOf(digestRun(run, runs, services, 3))).code).toBe("checkpoint_missing");
  const path = `${home.runs}/r/checkpoints/step-000020/optimizer.safetensors`;
  const bytes = disk.files.get(path)!;
  bytes[bytes.length - 1]! ^= 128;
  const refusal = await refusalOf(digestRun(run, runs, services, undefined));
  expect(refusal.code).toBe("checkpoint_corrupt");
  expect(String(refusal.details["tensor"])).toStartWith("second.");
  expect(refusal.details["block"]).toBe(0);
});

test("T-10 digest recomputes a revision of several machines from its files as well", async () => {
  const { executor } = tinyTrainer(manifest);
  const layout = layoutOf(executor.plan);
  const values = new Float32Array(layout.count).fill(0.5);
  const revision = { number: 3, parameters: values, momentum: values };
  const shared = runs.add({ id: "s", name: "shared", createdMs: 0, manifest });
  const path = `${home.runs}/s/checkpoints/step-000003`;
  const facts = { run: "s", planDigest: manifest.planDigest, parent: null };
  const written = await writeRevision(disk, path, layout, revision, facts);
  const state = await digestRun(shared, runs, services, undefined);
  expect(state).toEqual(digestRevision(layout, revision));
  expect(state.digest).toBe(written.stateDigest);
  const bytes = disk.files.get(`${path}/momentum.safetensors`)!;
  bytes[bytes.length - 1]! ^= 128;
  const refusal = await refusalOf(digestRun(shared, runs, services, 3));
  expect(refusal.code).toBe("checkpoint_corrupt");
  expect(String(refusal.details["tensor"])).toStartWith("momentum.");
});
