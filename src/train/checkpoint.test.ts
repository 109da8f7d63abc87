import { beforeAll, expect, test } from "bun:test";
import { Refusal } from "#src/refusal/refusal.ts";
import { restoreCheckpoint, sweepTemporaries } from "./checkpoint-restore.ts";
import { checkRoom, CheckpointWriter, type CheckpointFacts } from "./checkpoint-writer.ts";
import { expiredSteps } from "./retention.ts";
import { digestState } from "./state-digest.ts";
import { MemoryDisk, tinyManifest, tinyTrainer } from "./train.fixture.ts";
import type { Trainer } from "./trainer.ts";

const directory = "/run/checkpoints";
const manifest = tinyManifest();
const keepAll = { keepLast: 100, keepEverySteps: 0 };

function facts(step: number): CheckpointFacts {
  return {
    run: "r",
    step,
    data: { digest: manifest.data.digest, nextStep: step, tokensRead: step * 40 },
    random: { seed: 7, nextCounter: step * 2 },
    optimizer: manifest.optimizer,
  };
}

/** A run with checkpoints after steps 2 and 4, and the digests of both states. */
const original = new MemoryDisk();
const digests = new Map<number, string>();
let trainer: Trainer;

beforeAll(async () => {
  trainer = tinyTrainer(manifest);
  await trainer.initialise();
  const writer = new CheckpointWriter(original, directory, trainer.executor, keepAll, null);
  for (const step of [2, 4]) {
    await trainer.trainStep();
    await trainer.trainStep();
    const written = await writer.write(facts(step), null)!;
    digests.set(step, written.manifest.stateDigest);
    expect(written.manifest.stateDigest).toBe(digestState(trainer.executor, step).digest);
  }
});

function copyOfDisk(): MemoryDisk {
  const disk = new MemoryDisk();
  for (const [path, bytes] of original.files) disk.files.set(path, bytes.slice());
  return disk;
}

const expectation = () => ({ run: "r", planDigest: manifest.planDigest });

async function restore(disk: MemoryDisk) {
  const target = tinyTrainer(manifest);
  const restored = await restoreCheckpoint(disk, directory, target.executor, expectation());
  const digest = restored && digestState(target.executor, restored.manifest.step).digest;
  return { restored, digest };
}

test("T-7 the newest checkpoint comes back to the bit", async () => {
  const { restored, digest } = await restore(copyOfDisk());
  expect(restored!.manifest.step).toBe(4);
  expect(restored!.fallBacks).toEqual([]);
  expect(digest).toBe(digests.get(4)!);
});

test("T-7 an empty directory restores nothing, and says so without a refusal", async () => {
  expect((await restore(new MemoryDisk())).restored).toBeNull();
});

test("T-7 a manifest names its parent, so that a run's checkpoints are a chain", async () => {
  const read = (step: string) =>
    JSON.parse(new TextDecoder().decode(original.files.get(`${directory}/${step}/manifest.json`)));
  expect(read("step-000002").parent).toBeNull();
  expect(read("step-000004").parent).toBe(read("step-000002").digest);
});

type Damage = readonly [name: string, code: string, says: RegExp, harm: (disk: MemoryDisk) => void];
const newest = `${directory}/step-000004`;
const change = (path: string, edit: (bytes: Uint8Array) => Uint8Array) => (disk: MemoryDisk) =>
  disk.files.set(path, edit(disk.files.get(path)!));
const flip = (place: (length: number) => number) => (bytes: Uint8Array) => {
  bytes[place(bytes.length)]! ^= 1;
  return bytes;
};
const replaceText = (from: string, to: string) => (bytes: Uint8Array) => {
  const text = new TextDecoder().decode(bytes);
  if (!text.includes(from)) throw new Error(`nothing to replace: ${from}`);
  return new TextEncoder().encode(text.replace(from, to));
};

const damages: readonly Damage[] = [
  [
    "an empty model file",
    "checkpoint_truncated",
    /model\.safetensors is empty/,
    change(`${newest}/model.safetensors`, () => new Uint8Array(0)),
  ],
  [
    "a cut-off model file",
    "checkpoint_truncated",
    /has \d+ of \d+ bytes/,
    change(`${newest}/model.safetensors`, (bytes) => bytes.slice(0, -5)),
  ],
  [
    "a model file grown",
    "checkpoint_corrupt",
    /1 bytes too many/,
    change(`${newest}/model.safetensors`, (bytes) => new Uint8Array([...bytes, 0])),
  ],
  [
    "a missing optimizer file",
    "checkpoint_truncated",
    /optimizer\.safetensors is missing/,
    (disk) => void disk.files.delete(`${newest}/optimizer.safetensors`),
  ],
  [
    "one bit of a parameter flipped",
    "checkpoint_corrupt",
    /changed in tensor .*, block 0/,
    change(
      `${newest}/model.safetensors`,
      flip((length) => length - 1),
    ),
  ],
  [
    "one bit of a moment flipped",
    "checkpoint_corrupt",
    /changed in tensor second\./,
    change(
      `${newest}/optimizer.safetensors`,
      flip((length) => length - 100),
    ),
  ],
  [
    "one bit of a header flipped",
    "checkpoint_corrupt",
    /header that does not fit/,
    change(
      `${newest}/model.safetensors`,
      flip(() => 40),
    ),
  ],
  [
    "an empty manifest",
    "checkpoint_truncated",
    /manifest\.json is empty/,
    change(`${newest}/manifest.json`, () => new Uint8Array(0)),
  ],
  [
    "a missing manifest",
    "checkpoint_truncated",
    /has no manifest/,
    (disk) => void disk.files.delete(`${newest}/manifest.json`),
  ],
  [
    "a manifest that is no JSON",
    "checkpoint_corrupt",
    /not a checkpoint manifest/,
    change(`${newest}/manifest.json`, (bytes) => bytes.slice(0, 50)),
  ],
  [
    "a manifest with another number",
    "checkpoint_corrupt",
    /digest it states/,
    change(`${newest}/manifest.json`, replaceText(`"tokensRead":160`, `"tokensRead":161`)),
  ],
];

for (const [name, code, says, harm] of damages)
  test(`T-7 ${name} is recognised, and the older checkpoint is used`, async () => {
    const disk = copyOfDisk();
    harm(disk);
    const { restored, digest } = await restore(disk);
    expect(restored!.manifest.step).toBe(2);
    expect(digest).toBe(digests.get(2)!);
    expect(restored!.fallBacks).toHaveLength(1);
    expect(restored!.fallBacks[0]).toMatchObject({ rung: "step-000004", code });
    expect(restored!.fallBacks[0]!.reason).toMatch(says);
  });

const pointers: readonly Damage[] = [
  [
    "an empty pointer",
    "checkpoint_truncated",
    /empty/,
    change(`${directory}/latest.json`, () => new Uint8Array(0)),
  ],
  [
    "a pointer of nonsense",
    "checkpoint_corrupt",
    /not a pointer/,
    change(`${directory}/latest.json`, () => Uint8Array.of(1, 2, 3)),
  ],
  [
    "a pointer to nowhere",
    "checkpoint_missing",
    /which is not there/,
    change(`${directory}/latest.json`, replaceText("step-000004", "step-000009")),
  ],
  [
    "a pointer that leaves the directory",
    "checkpoint_corrupt",
    /not a pointer/,
    change(`${directory}/latest.json`, replaceText("step-000004", "../elsewhere")),
  ],
  [
    "a missing pointer",
    "checkpoint_missing",
    /missing/,
    (disk) => void disk.files.delete(`${directory}/latest.json`),
  ],
];

for (const [name, code, says, harm] of pointers)
  test(`T-7 with ${name} the listing finds the newest checkpoint`, async () => {
    const disk = copyOfDisk();
    harm(disk);
    const { restored } = await restore(disk);
    expect(restored!.manifest.step).toBe(4);
    expect(restored!.fallBacks[0]).toMatchObject({ rung: "latest.json", code });
    expect(restored!.fallBacks[0]!.reason).toMatch(says);
  });

async function refusalOf(work: Promise<unknown>): Promise<Refusal> {
  const error = await work.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(Refusal);
  return error as Refusal;
}

test("T-7 when nothing holds the refusal lists every reason", async () => {
  const disk = copyOfDisk();
  for (const path of disk.files.keys())
    if (path.endsWith("manifest.json")) disk.files.set(path, new Uint8Array(0));
  const refusal = await refusalOf(restore(disk));
  expect(refusal.code).toBe("checkpoint_missing");
  expect(refusal.details["fallBacks"]).toHaveLength(2);
});

test("T-7 checkpoints of another run or plan are stale", async () => {
  const target = tinyTrainer(manifest).executor;
  for (const wrong of [
    { ...expectation(), run: "other" },
    { ...expectation(), planDigest: "0".repeat(64) },
  ]) {
    const refusal = await refusalOf(restoreCheckpoint(copyOfDisk(), directory, target, wrong));
    expect(refusal.details["fallBacks"]).toContainEqual(
      expect.objectContaining({ rung: "step-000004", code: "checkpoint_stale" }),
    );
  }
});

test("T-7 a crash at any change leaves a checkpoint that restores: the old one or the new one", async () => {
  let changes = 0;
  const counting = copyOfDisk();
  counting.beforeChange = () => void changes++;
  const write = (disk: MemoryDisk) =>
    new CheckpointWriter(disk, directory, trainer.executor, keepAll, null).write(facts(6), null)!;
  await write(counting);
  expect(changes).toBeGreaterThan(10);
  for (let crashAt = 1; crashAt <= changes; crashAt++) {
    const disk = copyOfDisk();
    let seen = 0;
    // After a crash nothing more happens: not even the clean-up.
    disk.beforeChange = () => {
      if (++seen >= crashAt) throw new Error("crash");
    };
    await write(disk).catch(() => {});
    disk.beforeChange = () => {};
    const { restored, digest } = await restore(disk);
    expect([4, 6]).toContain(restored!.manifest.step);
    expect(digest).toBe(restored!.manifest.stateDigest);
    await sweepTemporaries(disk, directory);
    expect([...disk.files.keys()].filter((path) => path.includes(".tmp-"))).toEqual([]);
  }
});

test("T-7 a crash while the only checkpoint is written again leaves one to go on from", async () => {
  const only = copyOfDisk();
  await only.remove(`${directory}/step-000002`);
  const write = (disk: MemoryDisk) =>
    new CheckpointWriter(disk, directory, trainer.executor, keepAll, null).write(facts(4), null)!;
  const copy = () => {
    const disk = new MemoryDisk();
    for (const [path, bytes] of only.files) disk.files.set(path, bytes.slice());
    return disk;
  };
  let changes = 0;
  const counting = copy();
  counting.beforeChange = () => void changes++;
  await write(counting);
  for (let crashAt = 1; crashAt <= changes; crashAt++) {
    const disk = copy();
    let seen = 0;
    disk.beforeChange = () => {
      if (++seen >= crashAt) throw new Error("crash");
    };
    await write(disk).catch(() => {});
    disk.beforeChange = () => {};
    await sweepTemporaries(disk, directory);
    const { restored, digest } = await restore(disk);
    expect(restored!.manifest.step).toBe(4);
    expect(digest).toBe(restored!.manifest.stateDigest);
    expect([...disk.files.keys()].filter((path) => path.includes(".tmp-"))).toEqual([]);
  }
});

test("T-7 a checkpoint that cannot take an older one's place gives the place back", async () => {
  const disk = copyOfDisk();
  let renames = 0;
  disk.beforeChange = (kind) => {
    if (kind === "rename" && ++renames === 2) throw new Refusal("disk_failed", "EIO", "");
  };
  const writer = new CheckpointWriter(disk, directory, trainer.executor, keepAll, null);
  expect((await refusalOf(writer.write(facts(4), null)!)).code).toBe("disk_failed");
  const { restored } = await restore(disk);
  expect(restored!.manifest.step).toBe(4);
  expect(restored!.fallBacks).toEqual([]);
});

test("T-7 a full disk refuses, removes what it began, and the previous checkpoint stays usable", async () => {
  const disk = copyOfDisk();
  disk.roomBytes = 20_000;
  const writer = new CheckpointWriter(disk, directory, trainer.executor, keepAll, null);
  const refusal = await refusalOf(writer.write(facts(6), null)!);
  expect(refusal.code).toBe("disk_full");
  expect([...disk.files.keys()].some((path) => path.includes("step-000006"))).toBe(false);
  expect((await restore(disk)).restored!.manifest.step).toBe(4);
  expect(writer.busy).toBe(false);
  const early = await refusalOf(checkRoom(disk, directory, trainer.executor.plan));
  expect(early.code).toBe("disk_full");
});

test("T-7 a checkpoint takes its place only when what led to it is recorded, else not at all", async () => {
  const disk = copyOfDisk();
  let answer = Promise.withResolvers<void>();
  const asked: number[] = [];
  const writer = new CheckpointWriter(disk, directory, trainer.executor, keepAll, null, (step) => {
    asked.push(step);
    return answer.promise;
  });
  const lost = writer.write(facts(6), null)!;
  while (asked.length === 0) await Bun.sleep(1);
  expect((await restore(disk)).restored!.manifest.step).toBe(4);
  answer.reject(new Refusal("interrupted", "the parent has gone", ""));
  expect((await refusalOf(lost)).code).toBe("interrupted");
  expect((await restore(disk)).restored!.manifest.step).toBe(4);
  expect([...disk.files.keys()].some((path) => path.includes(".tmp-"))).toBe(false);
  answer = Promise.withResolvers<void>();
  answer.resolve();
  await writer.write(facts(8), null);
  expect((await restore(disk)).restored!.manifest.step).toBe(8);
  expect(asked).toEqual([6, 8]);
});

test("T-7 what a kill left of a pointer half published is removed", async () => {
  const disk = copyOfDisk();
  disk.files.set(`${directory}/.latest.json.0f.tmp`, new Uint8Array(3));
  await sweepTemporaries(disk, directory);
  expect([...disk.files.keys()].filter((path) => path.endsWith(".tmp"))).toEqual([]);
  expect((await restore(disk)).restored!.fallBacks).toEqual([]);
});

test("T-7 one checkpoint at a time: a further request is turned down, not queued", async () => {
  const disk = new MemoryDisk();
  const opening = Promise.withResolvers<void>();
  disk.gate = opening.promise;
  const writer = new CheckpointWriter(disk, directory, trainer.executor, keepAll, null);
  const first = writer.write(facts(1), null);
  expect(writer.write(facts(2), null)).toBeNull();
  expect(writer.busy).toBe(true);
  opening.resolve();
  await first;
  await writer.idle();
  expect((await writer.write(facts(3), null))!.manifest.step).toBe(3);
  expect((await disk.list(directory)).map(({ name }) => name)).toEqual([
    "latest.json",
    "step-000001",
    "step-000003",
  ]);
});

test("T-7 the snapshot is of the moment: training on does not reach into it", async () => {
  const disk = new MemoryDisk();
  const live = tinyTrainer(manifest);
  await live.initialise();
  await live.trainStep();
  const opening = Promise.withResolvers<void>();
  disk.gate = opening.promise;
  const before = digestState(live.executor, 1).digest;
  const writing = new CheckpointWriter(disk, directory, live.executor, keepAll, null).write(
    facts(1),
    null,
  )!;
  await live.trainStep();
  opening.resolve();
  expect((await writing).manifest.stateDigest).toBe(before);
  expect((await restore(disk)).digest).toBe(before);
});

test("T-7 retention keeps the last, the best and every Nth, whatever the order", () => {
  const steps = [10, 20, 30, 40, 50, 60, 70];
  const rule = { keepLast: 2, keepEverySteps: 40 };
  expect(expiredSteps(steps, rule, { last: 70, best: 20 })).toEqual([10, 30, 50]);
  expect(expiredSteps(steps, { keepLast: 1, keepEverySteps: 0 }, { last: 30, best: null })).toEqual(
    [10, 20, 40, 50, 60],
  );
  expect(expiredSteps([], rule, { last: 0, best: null })).toEqual([]);
});

test("T-7 the writer applies retention and reports what it removed", async () => {
  const disk = new MemoryDisk();
  const retention = { keepLast: 1, keepEverySteps: 4 };
  const writer = new CheckpointWriter(disk, directory, trainer.executor, retention, null);
  const removed = [];
  for (const step of [2, 4, 6, 8, 10])
    removed.push(...(await writer.write(facts(step), 2)!).removed);
  expect(removed).toEqual([6]);
  expect((await disk.list(directory)).map(({ name }) => name)).toEqual([
    "latest.json",
    "step-000002",
    "step-000004",
    "step-000008",
    "step-000010",
  ]);
});

test("T-7 a checkpoint directory that is there already gives way to the new one", async () => {
  const disk = copyOfDisk();
  change(
    `${newest}/model.safetensors`,
    flip((length) => length - 1),
  )(disk);
  const writer = new CheckpointWriter(disk, directory, trainer.executor, keepAll, null);
  const { manifest: written } = await writer.write(facts(4), null)!;
  const { restored } = await restore(disk);
  expect(restored!.manifest.digest).toBe(written.digest);
  expect(restored!.fallBacks).toEqual([]);
});
