import { expect, test } from "bun:test";
import { machineClock } from "#src/node/clock.ts";
import type { Clock } from "#src/port/clock.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import type { Start, ToParent } from "./messages.ts";
import type { RunManifest } from "./run-manifest.ts";
import { runSession } from "./session.ts";
import { digestState } from "./state-digest.ts";
import { dataset, MemoryDisk, tinyManifest, tinyTrainer } from "./train.fixture.ts";
import { assignTrainingData } from "./training-data.ts";

interface Sitting {
  readonly manifest: RunManifest;
  readonly disk: MemoryDisk;
  readonly budgetMs?: number;
  readonly clock?: Clock;
  /** Called with each message; returning true asks the session to stop. */
  readonly watch?: (message: ToParent) => boolean | void;
}

async function sit({
  manifest,
  disk,
  budgetMs,
  watch,
  clock = machineClock,
}: Sitting): Promise<ToParent[]> {
  const messages: ToParent[] = [];
  let isStopped = false;
  const start: Start = {
    type: "start",
    run: "r",
    directory: "/run",
    manifest,
    budgetMs: budgetMs ?? null,
    threads: 1,
    isa: "reference",
    peakFlops: null,
    best: null,
  };
  const send = (message: ToParent) => {
    messages.push(structuredClone(message));
    if (watch?.(message)) isStopped = true;
  };
  const { executor } = tinyTrainer(manifest);
  await runSession(
    start,
    executor,
    assignTrainingData(dataset, manifest),
    { clock, disk, send, isStopped: () => isStopped },
    { backend: "reference", threads: 1, peakFlops: null, startedMs: clock.monotonicMs() },
  );
  return messages;
}

/** Ten seconds pass in one, so that a measurement of seconds takes a fraction of one. */
const fastClock: Clock = { ...machineClock, monotonicMs: () => machineClock.monotonicMs() * 10 };

const of = <Type extends ToParent["type"]>(messages: readonly ToParent[], type: Type) =>
  messages.filter((message): message is Extract<ToParent, { type: Type }> => message.type === type);
const bitsOf = (messages: readonly ToParent[]) =>
  of(messages, "steps").flatMap(({ records }) =>
    records.map(
      ({ step, lossBits, gradientNormBits }) => `${step} ${lossBits} ${gradientNormBits}`,
    ),
  );

async function neverStopped(manifest: RunManifest): Promise<string> {
  const trainer = tinyTrainer(manifest);
  await trainer.initialise();
  while (trainer.step < manifest.schedule.steps) await trainer.trainStep();
  return digestState(trainer.executor, trainer.step).digest;
}

test("T-6 a run reports every step, evaluates, writes checkpoints and closes with a full evaluation", async () => {
  const manifest = tinyManifest();
  const messages = await sit({ manifest, disk: new MemoryDisk() });
  expect(messages[0]).toMatchObject({ type: "started", step: 0, fallBacks: [] });
  expect(bitsOf(messages).map((line) => Number(line.split(" ")[0]))).toEqual(
    Array.from({ length: 20 }, (_, index) => index + 1),
  );
  expect(
    of(messages, "evaluation").map(({ evaluation }) => [evaluation.step, evaluation.full]),
  ).toEqual([
    [5, false],
    [10, false],
    [15, false],
    [20, true],
  ]);
  const [finished] = of(messages, "finished");
  expect(finished).toMatchObject({ reason: "completed", step: 20, trainingTokens: 800 });
  expect(finished!.stateDigest).toBe(await neverStopped(manifest));
  expect(of(messages, "checkpoint").at(-1)).toMatchObject({
    step: 20,
    stateDigest: finished!.stateDigest,
  });
});

test("T-6 stopped at any step and resumed, a run equals one that never stopped, bit for bit", async () => {
  const manifest = tinyManifest();
  const whole = await sit({ manifest, disk: new MemoryDisk() });
  for (const stopAt of [1, 6, 13]) {
    const disk = new MemoryDisk();
    // A step is reported as it is taken only when the session breathes, so every evaluation and
    // checkpoint gives it the chance; it stops at the first report of the step or a later one.
    const first = await sit({
      manifest: { ...manifest, evaluation: { everySteps: 1, batches: 1 } },
      disk,
      watch: (message) =>
        message.type === "steps" && message.records.some(({ step }) => step >= stopAt),
    });
    const stopped = of(first, "finished")[0]!;
    expect(stopped).toMatchObject({ reason: "stopped", evaluation: null });
    expect(stopped.step).toBeLessThan(20);
    const second = await sit({ manifest, disk });
    expect(second[0]).toMatchObject({ type: "started", step: stopped.step });
    expect([...bitsOf(first), ...bitsOf(second)]).toEqual(bitsOf(whole));
    expect(of(second, "finished")[0]!.stateDigest).toBe(of(whole, "finished")[0]!.stateDigest);
  }
});

test("T-6 a crash loses the steps since the last checkpoint and nothing else", async () => {
  const manifest = tinyManifest();
  const whole = await sit({ manifest, disk: new MemoryDisk() });
  const disk = new MemoryDisk();
  const crash = sit({
    manifest,
    disk,
    watch: (message) => {
      if (message.type === "evaluation" && message.evaluation.step === 10)
        throw new Error("power failure");
    },
  });
  expect(
    await crash.then(
      () => "finished",
      (error: Error) => error.message,
    ),
  ).toBe("power failure");
  const resumed = await sit({ manifest, disk });
  expect((resumed[0] as { step: number }).step).toBeGreaterThanOrEqual(4);
  expect(bitsOf(whole).slice(-bitsOf(resumed).length)).toEqual(bitsOf(resumed));
  expect(of(resumed, "finished")[0]!.stateDigest).toBe(of(whole, "finished")[0]!.stateDigest);
});

test("T-7 a checkpoint that cannot be written is reported, and training goes on", async () => {
  const disk = new MemoryDisk();
  let failed = 0;
  disk.beforeChange = (change) => {
    if (change === "sync" && failed++ === 0) throw new Refusal("disk_full", "no space is left", "");
  };
  const messages = await sit({ manifest: tinyManifest(), disk });
  expect(of(messages, "checkpoint-failed")[0]).toMatchObject({
    step: 4,
    refusal: { code: "disk_full" },
  });
  expect(of(messages, "finished")[0]).toMatchObject({ reason: "completed" });
});

test("T-7 a disk too small for one checkpoint is refused before the first step", async () => {
  const disk = new MemoryDisk();
  disk.roomBytes = 1000;
  const messages: ToParent[] = [];
  const work = sit({
    manifest: tinyManifest(),
    disk,
    watch: (message) => void messages.push(message),
  });
  expect(
    await work.then(
      () => null,
      (error: Refusal) => error.code,
    ),
  ).toBe("disk_full");
  expect(messages).toEqual([]);
});

test("T-4 a time budget fixes the steps once; the run then equals one planned with that number", async () => {
  const manifest = tinyManifest({
    stepsOpen: true,
    checkpoints: { everySteps: 0, keepLast: 2, keepEverySteps: 0 },
  });
  const messages = await sit({
    manifest,
    disk: new MemoryDisk(),
    budgetMs: 12_000,
    clock: fastClock,
  });
  const [planned] = of(messages, "planned");
  expect(planned!.manifest.stepsOpen).toBe(false);
  const { steps } = planned!.manifest.schedule;
  expect(steps).toBeGreaterThan(1);
  const taken = bitsOf(messages);
  const again = await sit({ manifest: planned!.manifest, disk: new MemoryDisk() });
  expect(taken).toEqual(bitsOf(again).slice(0, taken.length));
  expect(of(again, "finished")[0]!.step).toBe(steps);
});

test("T-4 a budget already spent stops before the next step and leaves a checkpoint", async () => {
  const disk = new MemoryDisk();
  const messages = await sit({ manifest: tinyManifest(), disk, budgetMs: 0 });
  expect(of(messages, "finished")[0]).toMatchObject({ reason: "budget" });
  expect([...disk.files.keys()].some((path) => path.endsWith("/manifest.json"))).toBe(true);
});

test("T-7 no checkpoint is written over the one it comes from, so every parent can be found", async () => {
  const manifest = tinyManifest();
  const disk = new MemoryDisk();
  const { everySteps } = manifest.checkpoints;
  // Stopped exactly where a checkpoint was due, and again before a step was taken.
  const first = await sit({
    ...{ manifest, disk },
    watch: (message) => message.type === "before-checkpoint" || message.type === "checkpoint",
  });
  const again = await sit({ manifest, disk, watch: ({ type }) => type === "started" });
  const written = [...of(first, "checkpoint"), ...of(again, "checkpoint")];
  expect(everySteps).toBeGreaterThan(0);
  expect(written.map(({ step }) => step)).toEqual([...new Set(written.map(({ step }) => step))]);
  const { manifestDigest, stateDigest } = written.at(-1)!;
  expect(of(again, "started")[0]!.restored).toEqual({ stateDigest, manifestDigest });
});
