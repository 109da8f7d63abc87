import { expect, test } from "bun:test";
import { nodeIdOf, signingKeyFromSeed } from "#src/receipt/signature.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { MemoryDisk } from "#src/train/train.fixture.ts";
import { openBundle, readPart } from "./bundle-reader.ts";
import { BundleWriter, contentOf, writeWhole } from "./bundle-writer.ts";
import { bundleMagic, type Exporter, type PartKind } from "./parts.ts";

const path = "/bundle";
const key = signingKeyFromSeed(new Uint8Array(32).fill(3));
const exporter: Exporter = { nodeId: nodeIdOf(key.publicKey), key, rotations: [] };
const signal = new AbortController().signal;

const contents: readonly (readonly [PartKind, string, string | Uint8Array])[] = [
  ["header", "", "{}"],
  ["record", "1", '{"first":"event"}'],
  ["manifest", "a".repeat(64), "{}"],
  ["file", "delta.bin", new Uint8Array([0, 10, 255, 13, 10])],
  ["file", "empty", ""],
];

async function bundleOf(parts = contents, by = exporter): Promise<Uint8Array> {
  const disk = new MemoryDisk();
  await writeWhole(disk, path, async (file) => {
    const writer = new BundleWriter(file);
    await writer.begin();
    for (const [kind, name, content] of parts) await writer.add(kind, name, contentOf(content));
    await writer.end({ mesh: "mesh", run: "run1" }, by);
  });
  return disk.files.get(path)!;
}

async function refusalOf(bytes: Uint8Array): Promise<Refusal | null> {
  const disk = new MemoryDisk();
  disk.files.set(path, bytes);
  try {
    await openBundle(disk, path, signal);
    return null;
  } catch (error) {
    expect(error).toBeInstanceOf(Refusal);
    return error as Refusal;
  }
}

test("W-11 a bundle gives back its parts, the same bytes each time", async () => {
  const bytes = await bundleOf();
  expect(await bundleOf()).toEqual(bytes);
  const disk = new MemoryDisk();
  disk.files.set(path, bytes);
  const bundle = await openBundle(disk, path, signal);
  expect(bundle.parts.map(({ kind, name }) => [kind, name])).toEqual(
    contents.map(([kind, name]) => [kind, name]),
  );
  expect(await readPart(bundle, bundle.parts[3]!)).toEqual(contents[3]![2] as Uint8Array);
  expect(bundle.footer).toMatchObject({ mesh: "mesh", run: "run1", author: exporter.nodeId });
});

test("W-11 every byte of a bundle is under a digest: each flip is caught, and its part is named", async () => {
  const bytes = await bundleOf();
  const lines = partEnds(bytes);
  for (let offset = 0; offset < bytes.length; offset++)
    for (const mask of [1, 32, 128, 255]) {
      const flipped = Uint8Array.from(bytes);
      flipped[offset]! ^= mask;
      const refusal = await refusalOf(flipped);
      expect([offset, refusal?.code]).toEqual([offset, "evidence_damaged"]);
      const where = String(refusal!.details["where"]);
      expect([offset, mask, nameAt(lines, offset).some((name) => where.startsWith(name))]).toEqual([
        ...[offset, mask],
        true,
      ]);
    }
});

/** Where each part ends: its line, its bytes and the line feed. */
function partEnds(bytes: Uint8Array): number[] {
  const ends = [bundleMagic.length];
  for (const [, , content] of contents) {
    const start = ends.at(-1)!;
    const head = bytes.indexOf(10, start) + 1;
    ends.push(head + Buffer.from(content as string).length + 1);
  }
  return ends;
}

function nameAt(ends: readonly number[], offset: number): string[] {
  const index = ends.findIndex((end) => offset < end);
  if (index === -1) return ["its last line", "its end", `part ${ends.length}`];
  return index === 0 ? ["its first line"] : [`part ${index}`];
}

test("W-11 a bundle cut off anywhere is refused", async () => {
  const bytes = await bundleOf();
  for (let length = 0; length < bytes.length; length++) {
    const refusal = await refusalOf(bytes.slice(0, length));
    expect([length, refusal?.code]).toEqual([length, "evidence_damaged"]);
  }
  expect((await refusalOf(bytes.slice(0, -300)))!.message).toContain("cut off after part 5");
});

test("W-11 bytes after the end, parts left out, doubled or in another order are refused", async () => {
  const bytes = await bundleOf();
  expect((await refusalOf(Buffer.concat([bytes, Buffer.from("\n")])))!.message).toContain(
    "bytes follow",
  );
  const ends = partEnds(bytes);
  const piece = (index: number) => bytes.slice(index === 0 ? 0 : ends[index - 1]!, ends[index]);
  const all = [...ends.keys()].map(piece);
  const rest = bytes.slice(ends.at(-1));
  const from = (order: readonly number[]) =>
    refusalOf(Buffer.concat([...order.map((index) => all[index]!), rest]));
  expect(await from([0, 1, 2, 3, 4, 5])).toBeNull();
  expect((await from([0, 1, 3, 2, 4, 5]))!.message).toContain("part 2: part 3 stands in its place");
  expect((await from([0, 1, 2, 2, 3, 4, 5]))!.message).toContain(
    "part 3: part 2 stands in its place",
  );
  expect((await from([0, 1, 2, 3, 4]))!.message).toContain("was written after 5 other parts");
});

test("W-11 the last line is by the key of the node it names", async () => {
  const other = { ...exporter, nodeId: nodeIdOf("0".repeat(64)) };
  expect((await refusalOf(await bundleOf(contents, other)))!.message).toContain(
    "its key is not one of",
  );
});
