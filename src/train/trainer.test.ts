import { expect, test } from "bun:test";
import { Refusal } from "#src/refusal/refusal.ts";
import { digestState } from "./state-digest.ts";
import { tinyManifest, tinyTrainer } from "./train.fixture.ts";
import { placeOfStep, scoreRows, type StepPlace, type Trainer } from "./trainer.ts";

async function take(trainer: Trainer, steps: number) {
  const records = [];
  for (let count = 0; count < steps; count++) records.push(await trainer.trainStep());
  return records;
}

test("T-4 the loss falls and every step reports its telemetry", async () => {
  const trainer = tinyTrainer();
  await trainer.initialise();
  const records = await take(trainer, 20);
  const mean = (part: typeof records) =>
    part.reduce((sum, { loss }) => sum + loss, 0) / part.length;
  expect(mean(records.slice(-4))).toBeLessThan(mean(records.slice(0, 4)) - 0.3);
  for (const [index, record] of records.entries()) {
    expect(record.step).toBe(index + 1);
    expect(record.tokens).toBe(4 * 2 * 5);
    expect(record.gradientNorm).toBeGreaterThan(0);
    expect(record.updateNorm).toBeGreaterThan(0);
    expect(record.parameterNorm).toBeGreaterThan(1);
    expect(record.lossBits).toMatch(/^[0-9a-f]{8}$/);
  }
  expect(records[4]!.learningRate).toBe(0.01);
});

test("T-1 two trainers with one seed agree in every bit, and another seed does not", async () => {
  const digests = [];
  for (const seed of [7, 7, 8]) {
    const trainer = tinyTrainer(tinyManifest({ seed }));
    await trainer.initialise();
    await take(trainer, 4);
    digests.push(digestState(trainer.executor, trainer.step).digest);
  }
  expect(digests[0]).toBe(digests[1]);
  expect(digests[0]).not.toBe(digests[2]!);
});

test("T-4 a step over micro-batches has the loss of the same rows in one batch", async () => {
  const plain = tinyManifest().model;
  const model = { ...plain, dropout: 0 };
  const records = [];
  for (const [batchSize, microBatches] of [
    [8, 1],
    [4, 2],
    [2, 4],
  ] as const) {
    const trainer = tinyTrainer(tinyManifest({ model, batchSize, microBatches }));
    await trainer.initialise();
    records.push((await take(trainer, 1))[0]!);
  }
  for (const { loss, gradientNorm } of records) {
    expect(Math.abs(loss - records[0]!.loss)).toBeLessThan(1e-5);
    expect(Math.abs(gradientNorm - records[0]!.gradientNorm)).toBeLessThan(1e-4);
  }
});

async function stateAt(places: readonly (StepPlace | undefined)[], completed = 0) {
  const trainer = tinyTrainer();
  await trainer.initialise();
  trainer.restored(completed);
  for (const place of places) await trainer.trainStep(place);
  return digestState(trainer.executor, 0).digest;
}

test("W-3 a step at a place does not depend on how many its trainer has taken", async () => {
  const usual = await stateAt([undefined, undefined]);
  const places = [placeOfStep(0), placeOfStep(1)];
  expect(await stateAt(places)).toBe(usual);
  expect(await stateAt(places, 17)).toBe(usual);
  expect(await stateAt([undefined, undefined], 17)).not.toBe(usual);
});

test("W-3 rows, rate, bias correction and dropout each follow their own part of the place", async () => {
  const place = placeOfStep(3);
  const changed = (["slot", "schedule", "age", "counter"] as const).map((part) => ({
    ...place,
    [part]: 4,
  }));
  const digests = await Promise.all([place, ...changed].map((each) => stateAt([each])));
  expect(new Set(digests).size).toBe(5);
});

test("T-6 measuring, then initialising again, leaves no trace", async () => {
  const [fresh, used] = [tinyTrainer(), tinyTrainer()];
  await fresh.initialise();
  await used.initialise();
  await take(used, 3);
  await used.initialise();
  expect(digestState(used.executor, 0).digest).toBe(digestState(fresh.executor, 0).digest);
  expect((await take(used, 2)).at(-1)!.lossBits).toBe((await take(fresh, 2)).at(-1)!.lossBits);
});

async function refusalOf(work: Promise<unknown>): Promise<Refusal> {
  const error = await work.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(Refusal);
  return error as Refusal;
}

test("T-1 a NaN injected into weights is refused by the tensor's name, and nothing changes", async () => {
  const trainer = tinyTrainer();
  await trainer.initialise();
  await take(trainer, 2);
  const tensor = trainer.executor.plan.parameters[1]!;
  trainer.executor.floats(tensor)[3] = NaN;
  const before = digestState(trainer.executor, 2).digest;
  const refusal = await refusalOf(trainer.trainStep());
  expect(refusal.code).toBe("not_finite");
  expect(refusal.details).toMatchObject({ step: 3, what: "NaN", tensor: tensor.name, element: 3 });
  expect(refusal.message).toContain(tensor.name);
  expect(digestState(trainer.executor, 2).digest).toBe(before);
  expect(trainer.step).toBe(2);
});

test("T-1 weights too large to multiply are refused by the operation that overflowed", async () => {
  const trainer = tinyTrainer();
  await trainer.initialise();
  const tensor = trainer.executor.plan.parameters.find(({ name }) => name.includes("mlp"))!;
  trainer.executor.floats(tensor).fill(3e38);
  const refusal = await refusalOf(trainer.trainStep());
  expect(refusal.code).toBe("not_finite");
  expect(refusal.details["operation"]).toBe("matmul");
  expect(String(refusal.details["label"])).toContain("feedForward");
});

test("T-1 an update that overflows is refused by its operation", async () => {
  const { schedule } = tinyManifest();
  const trainer = tinyTrainer(
    tinyManifest({ schedule: { ...schedule, kind: "constant", warmupSteps: 0, peakRate: 3e38 } }),
  );
  await trainer.initialise();
  const refusal = await refusalOf(trainer.trainStep());
  expect(refusal.code).toBe("not_finite");
  expect(refusal.details).toMatchObject({ step: 1, operation: "adam" });
});

test("T-9 a row counts as right only when all its counted targets are predicted", () => {
  const targets = Int32Array.of(-1, 3, 4, -1, 5, 6, -1, -1, -1);
  const predictions = Int32Array.of(9, 3, 4, 9, 5, 7, 0, 0, 0);
  expect(scoreRows(targets, predictions, 3)).toEqual({ targets: 4, rows: 2, matches: 1 });
});

test("T-9 evaluation covers every held-out row once, whatever the batch", async () => {
  const evaluations = [];
  for (const evaluateBatchSize of [3, 5]) {
    const trainer = tinyTrainer(tinyManifest({ evaluateBatchSize }));
    await trainer.initialise();
    evaluations.push(await trainer.evaluate("full"));
  }
  const [first, second] = evaluations;
  expect(first!.rows).toBe(second!.rows);
  expect(first!.targets).toBe(first!.rows * 2);
  expect(Math.abs(first!.loss - second!.loss)).toBeLessThan(1e-5);
});
