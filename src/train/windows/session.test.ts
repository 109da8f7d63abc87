import { expect, test } from "bun:test";
import { openCpuBackend } from "#src/kernel/cpu/cpu-backend.ts";
import { openReferenceBackend } from "#src/kernel/reference/reference-backend.ts";
import type { Disk } from "#src/port/disk.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { MemoryDisk, tinyManifest } from "../train.fixture.ts";
import { keepPrivate, stateDirectory } from "./window-store.ts";
import { codecs, seed, Site, tinyWork } from "./worker.fixture.ts";

const code = (promise: Promise<unknown>) =>
  promise.then(
    () => "done",
    (error: unknown) => (error instanceof Refusal ? error.code : String(error)),
  );

test("W-3 a window's steps are committed to every few of them, and its contribution names all of it", async () => {
  const site = new Site();
  const prepared = await site.do({ kind: "prepare", revision: seed });
  expect(prepared).toMatchObject({ kind: "prepare" });
  expect(prepared.rate).toBeGreaterThan(1);
  const work = tinyWork();
  const result = await site.train(work);
  expect(result).toMatchObject({ segments: 3, directory: "/run/windows/1/contribution" });
  expect(site.commitments).toHaveLength(4);
  expect(new Set(site.commitments).size).toBe(4);
  expect([...site.steps.values()].map((bits) => Number(bits.split(" ")[0]))).toEqual([
    ...[3, 4, 5, 6, 7, 20, 21, 22],
  ]);
  const files = await site.disk.list(result.directory);
  expect(files.map(({ name }) => name)).toEqual(["commitments.json", "delta.bin"]);
  expect(files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)).toBe(result.sizeBytes);
}, 60_000);

test("W-3 the same work gives the same bytes on every backend and with 1 and 2 threads", async () => {
  const sites = [
    new Site({ backend: openReferenceBackend() }),
    new Site({ backend: openCpuBackend({ threads: 1 }) }),
    new Site({ backend: openCpuBackend({ threads: 2 }) }),
    new Site({ backend: openCpuBackend({ lane: "baseline", threads: 1 }) }),
  ];
  const results = [];
  for (const site of sites) {
    const { commitments, private: own, segments } = await site.train(tinyWork());
    results.push(JSON.stringify({ commitments, own, segments, all: site.commitments }));
  }
  expect(new Set(results).size).toBe(1);
}, 60_000);

test("W-4 what a codec left is part of the private state, and the next window goes on from it", async () => {
  for (const codec of Object.values(codecs)) {
    const site = new Site({ codec });
    const first = await site.train(tinyWork());
    const next = tinyWork({ window: 2, slices: [{ first: 40, count: 6 }] });
    const second = await site.train(next, { own: first.private });
    const fresh = await new Site({ codec }).train(next, { own: first.private });
    // A machine that does not have the private state begins from zeros, which is other work.
    expect(fresh.commitments).not.toBe(second.commitments);
    const zeros = await new Site({ codec }).train(next);
    expect(zeros.commitments).toBe(fresh.commitments);
    expect((await site.disk.list("/run/private")).map(({ name }) => name).toSorted()).toEqual(
      [first.private, second.private].toSorted(),
    );
  }
}, 60_000);

test("W-7 who knows less of a run than before its death keeps the newest private states", async () => {
  const { disk } = new Site();
  const ages = new Map([5, 1, 4, 2, 3].map((age) => [`state-${age}`, age]));
  for (const name of ages.keys()) await disk.publish(`/run/private/${name}/part`, "x");
  const dated: Disk = Object.create(disk, {
    list: {
      value: async (path: string) =>
        (await disk.list(path)).map((entry) => ({ ...entry, modifiedMs: -ages.get(entry.name)! })),
    },
  });
  const left = async () => (await disk.list("/run/private")).map(({ name }) => name);
  await keepPrivate(dated, "/run", ["state-5", null]);
  expect(await left()).toEqual(["state-1", "state-2", "state-3", "state-5"]);
  await keepPrivate(dated, "/run", ["state-5"], 0);
  expect(await left()).toEqual(["state-5"]);
});

test("W-7 ended at any change of the disk and begun again, a window gives the same bits", async () => {
  const work = tinyWork();
  const whole = new Site();
  const expected = await whole.train(work);
  let changes = 0;
  const counting = new MemoryDisk();
  counting.beforeChange = () => void changes++;
  await new Site({ disk: counting }).train(work);
  // Every place where the disk is touched is an end for some process.
  for (let last = 1; last < changes; last += 13) {
    const disk = new MemoryDisk();
    let count = 0;
    disk.beforeChange = () => {
      if (++count > last) throw new Error("killed");
    };
    expect(await code(new Site({ disk }).train(work))).toContain("killed");
    disk.beforeChange = () => {};
    const again = new Site({ disk });
    const { trainMs: _, rate: __, ...result } = await again.train(work);
    expect(expected).toMatchObject(result);
    for (const [step, bits] of again.steps) expect(whole.steps.get(step)).toBe(bits);
  }
}, 60_000);

test("W-7 a finished window is answered again without a step; one of other work is begun anew", async () => {
  const disk = new MemoryDisk();
  const first = await new Site({ disk }).train(tinyWork());
  const again = new Site({ disk });
  expect(await again.train(tinyWork())).toEqual(first);
  expect(again.steps.size).toBe(0);
  const other = tinyWork({ slices: [{ first: 9, count: 4 }] });
  const changed = new Site({ disk });
  expect((await changed.train(other)).commitments).not.toBe(first.commitments);
  expect(changed.steps.size).toBe(4);
}, 60_000);

test("W-7 a damaged state is passed over: an earlier commitment, or the beginning, is gone on from", async () => {
  const whole = await new Site().train(tinyWork());
  for (const damaged of [[2], [2, 1], [2, 1, 0]]) {
    const site = new Site();
    site.watch = (told) => {
      if (told.type === "committed" && told.index === 2) throw new Error("killed");
    };
    expect(await code(site.train(tinyWork()))).toContain("killed");
    for (const index of damaged) {
      const file = `${stateDirectory("/run", 1, index)}/state.safetensors`;
      const bytes = site.disk.files.get(file)!;
      bytes[bytes.length - 9]! ^= 1;
    }
    const again = new Site({ disk: site.disk });
    expect((await again.train(tinyWork())).commitments).toBe(whole.commitments);
    expect(again.commitments).toHaveLength(damaged.length + 1);
  }
}, 60_000);

test("W-3 states that do not all fit are computed again when they are asked for", async () => {
  const all = new Site();
  await all.train(tinyWork({ segmentSteps: 1 }));
  const few = new Site({ keepBytes: 1 });
  await few.train(tinyWork({ segmentSteps: 1 }));
  expect((await few.disk.list("/run/windows/1/states")).map(({ name }) => name)).toEqual(["000"]);
  for (const index of [0, 3, 7]) {
    const kept = await all.do({ kind: "state", window: 1, index });
    const made = await few.do({ kind: "state", window: 1, index });
    expect(made).toEqual(kept);
    expect(made.digest).toBe(few.commitments[index]!);
    for (const { name } of await all.disk.list(kept.directory))
      expect(few.disk.files.get(`${made.directory}/${name}`)).toEqual(
        all.disk.files.get(`${kept.directory}/${name}`),
      );
  }
  expect(await code(few.do({ kind: "state", window: 1, index: 9 }))).toBe("checkpoint_missing");
  expect(await code(few.do({ kind: "state", window: 2, index: 0 }))).toBe("checkpoint_missing");
}, 60_000);

test("W-6 the next revision is the same whatever order the deltas are given in, and trains on", async () => {
  const deltas = [];
  const disk = new MemoryDisk();
  for (const [index, worker] of ["ada", "bob", "eve"].entries()) {
    const site = new Site({ disk, directory: `/${worker}` });
    const work = tinyWork({ slices: [{ first: 10 * index, count: 2 + index }], segmentSteps: 2 });
    const { directory } = await site.train(work);
    deltas.push({ worker, file: `${directory}/delta.bin`, weight: work.steps * 40 });
  }
  const [ada, bob, eve] = deltas as [(typeof deltas)[0], (typeof deltas)[0], (typeof deltas)[0]];
  const digests = new Set<string>();
  for (const [nth, order] of [
    [ada, bob, eve],
    [eve, bob, ada],
    [bob, eve, ada],
  ].entries()) {
    const site = new Site({ disk, directory: `/merger${nth}` });
    const directory = `/merger${nth}/revisions/1`;
    const merged = await site.do({ kind: "merge", revision: seed, deltas: order, directory });
    expect(merged).toMatchObject({ number: 1, directory });
    digests.add(merged.digest);
    const revision = { number: 1, directory, digest: merged.digest };
    const evaluated = await site.do({ kind: "evaluate", revision, full: true });
    expect(evaluated.evaluation).toMatchObject({ step: 1, full: true });
    expect(evaluated.lossBits).toMatch(/^[0-9a-f]{8}$/);
    const next = await site.train(tinyWork({ window: 2 }), { revision });
    digests.add(next.commitments);
  }
  expect(digests.size).toBe(2);
  const other = { kind: "merge", revision: seed, directory: "/x/1" } as const;
  expect(await code(new Site({ disk }).do({ ...other, deltas: [ada, ada] }))).toBe("work_invalid");
  const heavier = await new Site({ disk, directory: "/m" }).do({
    ...other,
    deltas: [{ ...ada, weight: 7 }, bob, eve],
  });
  expect(digests.has(heavier.digest)).toBe(false);
}, 60_000);

test("W-7 a revision that is not the one of the run is refused, and so is work that does not add up", async () => {
  const site = new Site();
  const wrong = { ...seed, digest: "0".repeat(64) };
  expect(await code(site.do({ kind: "prepare", revision: wrong }))).toBe("run_changed");
  expect(await code(site.do({ kind: "prepare", revision: { ...seed, number: 3 } }))).toBe(
    "work_invalid",
  );
  expect(await code(site.train({ ...tinyWork(), steps: 7 }))).toBe("work_invalid");
  expect(await code(site.train({ ...tinyWork(), scheduleSteps: [1] }))).toBe("work_invalid");
}, 60_000);

test("W-7 a task that is given up ends and goes on from its last commitment", async () => {
  const disk = new MemoryDisk();
  const site = new Site({ disk });
  site.watch = (told) => {
    if (told.type === "committed" && told.index === 1) site.cancel();
  };
  expect(await code(site.train(tinyWork()))).toBe("interrupted");
  const again = new Site({ disk });
  const whole = await new Site().train(tinyWork());
  expect((await again.train(tinyWork())).commitments).toBe(whole.commitments);
  // The next commitment may have been under way; nothing before the first of them is taken again.
  expect([4, 7]).toContain([...again.steps.keys()][0]!);
}, 60_000);

test("W-3 an optimizer without moments has none to keep", async () => {
  const manifest = tinyManifest({
    optimizer: { ...tinyManifest().optimizer, kind: "sgd", beta1: 0, beta2: 0, weightDecay: 0 },
  });
  const site = new Site({ manifest, codec: codecs.dense });
  const first = await site.train(tinyWork());
  const next = tinyWork({ window: 2 });
  expect((await site.train(next, { own: first.private })).segments).toBe(3);
}, 60_000);

test("W-3 what a process that was killed left half-written is no part of a contribution", async () => {
  const site = new Site();
  const left = "/run/windows/1/contribution/.delta.bin.0123456789abcdef";
  site.disk.files.set(left, new Uint8Array(10));
  const result = await site.train(tinyWork());
  const files = await site.disk.list(result.directory);
  expect(files.map(({ name }) => name)).toEqual(["commitments.json", "delta.bin"]);
}, 60_000);
