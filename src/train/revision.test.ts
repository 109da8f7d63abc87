import { beforeAll, beforeEach, expect, test } from "bun:test";
import { compileDecoding } from "#src/model/compile.ts";
import { openReferenceBackend } from "#src/kernel/reference/reference-backend.ts";
import { machineClock } from "#src/node/clock.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { restoreCheckpoint, sweepTemporaries } from "./checkpoint-restore.ts";
import { listCheckpoints } from "./checkpoint-list.ts";
import { drawnValues } from "./delta/delta.fixture.ts";
import { layoutOf, makeLayout, readParameters, writeParameters } from "./delta/layout.ts";
import { outerStep } from "./delta/outer.ts";
import { Executor } from "./executor.ts";
import {
  digestRevision,
  firstRevision,
  readRevision,
  type Revision,
  revisionDigest,
  writeRevision,
} from "./revision.ts";
import { digestState } from "./state-digest.ts";
import { MemoryDisk, tinyManifest, tinyTrainer } from "./train.fixture.ts";

const manifest = tinyManifest();
const trainer = tinyTrainer(manifest);
const layout = layoutOf(trainer.executor.plan);
const nesterov = { kind: "nesterov", rate: 0.7, momentum: 0.9 } as const;
const sgd = { kind: "sgd", rate: 0.7 } as const;
const run = "abcdefgh";
const planDigest = manifest.planDigest;
let first: Revision;
let second: Revision;
let disk: MemoryDisk;
const directory = "runs/abcdefgh/checkpoints";
const path = `${directory}/step-000001`;

beforeAll(async () => {
  first = await firstRevision(trainer, layout, nesterov);
  second = {
    number: 1,
    ...outerStep(layout, first, drawnValues(layout.count, 1, 1e-2), nesterov),
  };
});
beforeEach(() => {
  disk = new MemoryDisk();
});

const facts = () => ({ run, planDigest, parent: digestRevision(layout, first).digest });
const expected = () => ({
  ...{ run, planDigest, number: 1, optimizer: nesterov },
  digest: digestRevision(layout, second).digest,
});
const write = (place = path) => writeRevision(disk, place, layout, second, facts());
const read = (changes: object = {}) =>
  readRevision(disk, path, layout, { ...expected(), ...changes });

async function refusalOf(work: Promise<unknown>): Promise<Refusal> {
  const error = await work.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(Refusal);
  return error as Refusal;
}

test("W-6 revision 0 is what the seed gives, with a momentum of zeros", async () => {
  const other = tinyTrainer(manifest);
  await other.initialise();
  expect(first.parameters).toEqual(readParameters(other.executor, layout));
  expect(first.momentum).toEqual(new Float32Array(layout.count));
  expect((await firstRevision(other, layout, sgd)).momentum).toBeNull();
  const seeded = tinyTrainer(tinyManifest({ seed: 8 }));
  const another = await firstRevision(seeded, layout, nesterov);
  expect(digestRevision(layout, another).digest).not.toBe(digestRevision(layout, first).digest);
});

test("W-6 parameters go into an executor and come back with every bit; moments stay", async () => {
  const { executor } = tinyTrainer(manifest);
  writeParameters(executor, layout, second.parameters);
  expect(readParameters(executor, layout)).toEqual(second.parameters);
  const state = digestState(executor, 1);
  const revision = digestRevision(layout, second);
  const roots = (tensors: typeof state.tensors) => tensors.slice(0, layout.tensors.length);
  expect(roots(state.tensors)).toEqual(roots(revision.tensors));
});

test("W-6 what is written is read again: number, parameters, momentum and digest", async () => {
  const written = await write();
  const { manifest: found, revision } = await read();
  expect(found).toEqual(written);
  expect(revision).toEqual(second);
  expect(written.stateDigest).toBe(digestRevision(layout, second).digest);
  expect(await revisionDigest(disk, path)).toBe(written.stateDigest);
  expect((await read({ digest: null, optimizer: null })).revision).toEqual(second);
});

test("W-6 an optimizer without momentum has none on the disk", async () => {
  const bare = { ...second, momentum: null };
  await writeRevision(disk, path, layout, bare, facts());
  expect([...disk.files.keys()].some((name) => name.includes("momentum"))).toBe(false);
  const { revision } = await read({ optimizer: sgd, digest: null });
  expect(revision).toEqual(bare);
  expect((await refusalOf(read({ digest: null }))).code).toBe("checkpoint_corrupt");
});

test("W-6 whoever makes a revision writes the same bytes", async () => {
  await write();
  const bytes = (place: string) => {
    const files = [...disk.files].filter(([name]) => name.startsWith(`${place}/`));
    return new Map(files.map(([name, content]) => [name.slice(place.length), content.toHex()]));
  };
  const elsewhere = "elsewhere/of/another/step-000001";
  await write(elsewhere);
  expect(bytes(elsewhere)).toEqual(bytes(path));
  expect([...bytes(path).keys()].toSorted((a, b) => (a < b ? -1 : 1))).toEqual([
    "/blocks.bin",
    "/manifest.json",
    "/model.safetensors",
    "/momentum.safetensors",
  ]);
});

test("W-6 the digest moves with the number, any parameter and any momentum", () => {
  const digests = new Set([digestRevision(layout, second).digest]);
  digests.add(digestRevision(layout, { ...second, number: 2 }).digest);
  for (const name of ["parameters", "momentum"] as const)
    for (const element of [0, layout.count - 1]) {
      const values = second[name]!.slice();
      values[element]! += 1e-3;
      digests.add(digestRevision(layout, { ...second, [name]: values }).digest);
    }
  digests.add(digestRevision(layout, { ...second, momentum: null }).digest);
  expect(digests.size).toBe(7);
});

test("W-6 another revision than expected is refused, and so is a checkpoint of one machine", async () => {
  await write();
  for (const [changes, what] of [
    [{ run: "other" }, "belongs to run abcdefgh"],
    [{ number: 2 }, "is revision 1"],
    [{ planDigest: "0".repeat(64) }, "another plan"],
    [{ digest: "0".repeat(64) }, "state digest"],
  ] as const) {
    const refusal = await refusalOf(read(changes));
    expect(refusal.code).toBe("checkpoint_stale");
    expect(refusal.message).toContain(what);
  }
});

test("W-6 a changed or cut file of a revision is refused, whichever it is", async () => {
  await write();
  for (const name of [...disk.files.keys()]) {
    const honest = disk.files.get(name)!;
    const changed = honest.slice();
    // Of the block digests none is needed where every tensor holds; then they name the block.
    if (!name.endsWith("blocks.bin")) {
      changed[changed.byteLength - 9]! ^= 4;
      disk.files.set(name, changed);
      expect((await refusalOf(read())).code).toBe("checkpoint_corrupt");
    }
    disk.files.set(name, honest.slice(0, -2));
    const { code } = await refusalOf(read());
    expect(["checkpoint_truncated", "checkpoint_corrupt"]).toContain(code);
    disk.files.delete(name);
    expect((await refusalOf(read())).code).toBe("checkpoint_truncated");
    disk.files.set(name, honest);
  }
  expect((await read()).revision).toEqual(second);
});

test("W-6 a revision of another model, sound in itself, is refused", async () => {
  const other = makeLayout([{ name: "other", shape: [4] }]);
  const values = drawnValues(4, 1, 1);
  const revision = { number: 1, parameters: values, momentum: values };
  await writeRevision(disk, path, other, revision, facts());
  expect((await refusalOf(read({ digest: null }))).code).toBe("checkpoint_corrupt");
});

test("W-6 a crash at any change leaves no revision, or the whole one, and what is left is swept", async () => {
  for (let changes = 0; ; changes++) {
    disk = new MemoryDisk();
    let left = changes;
    disk.beforeChange = () => {
      if (left-- === 0) throw new Refusal("disk_failed", "the machine lost power", "");
      if (left < -1) throw new Refusal("disk_failed", "the machine is off", "");
    };
    const isWritten = await write().then(
      () => true,
      () => false,
    );
    disk.beforeChange = () => {};
    await sweepTemporaries(disk, directory);
    expect([...disk.files.keys()].every((name) => name.startsWith(`${path}/`))).toBe(true);
    if (disk.files.size > 0) expect((await read()).revision).toEqual(second);
    await write();
    expect((await read()).revision).toEqual(second);
    if (isWritten) break;
    expect(changes).toBeLessThan(200);
  }
});

test("T-8 the parameters of a revision are found where those of a checkpoint are", async () => {
  const written = await write();
  const plan = compileDecoding({ model: manifest.model, capacity: 4 });
  const decoding = new Executor(openReferenceBackend(), plan, machineClock);
  const restored = await restoreCheckpoint(disk, directory, decoding, { run, planDigest: null });
  expect(restored!.manifest).toEqual(written);
  expect(readParameters(decoding, layoutOf(plan))).toEqual(second.parameters);
  const record = {
    ...{ step: 1, stateDigest: written.stateDigest, manifestDigest: written.digest },
    ...{ writtenMs: 0, isKept: true },
  };
  const [listed] = await listCheckpoints(disk, "runs/abcdefgh", [record], null);
  expect(listed!.sizeBytes).toBeGreaterThan(layout.count * 8);
  expect(listed!.parent).toBe(written.parent);
});

test("T-7 training on one machine does not go on from a revision: it has no moments", async () => {
  await write();
  const refusal = await refusalOf(
    restoreCheckpoint(disk, directory, tinyTrainer(manifest).executor, { run, planDigest }),
  );
  expect(refusal.code).toBe("checkpoint_missing");
  expect(refusal.message).toContain("a revision of several machines");
});
