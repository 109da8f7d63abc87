import { expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { jsonLines, runBinary, TemporaryFolder } from "./binary.ts";

/**
 * A stranger's check of a checkpoint: docs/FORMATS.md followed with nothing but SHA-256 and JSON.
 * No code of psionic is used, so the page and the program cannot both be wrong in the same way.
 */
const sha256 = (...parts: (Uint8Array | string)[]): Buffer => {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest();
};

/** RFC 8785 for the values these files hold: sorted keys, integers, strings, plain numbers. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const fields = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${fields.map(([name, each]) => `${JSON.stringify(name)}:${canonical(each)}`).join(",")}}`;
}

interface StoredTensor {
  readonly name: string;
  readonly shape: number[];
  readonly bytes: Uint8Array;
}

function readSafetensors(path: string): StoredTensor[] {
  const file = readFileSync(path);
  const headerBytes = Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.toString("utf8", 8, 8 + headerBytes)) as Record<
    string,
    { dtype: string; shape: number[]; data_offsets: [number, number] }
  >;
  return Object.entries(header)
    .filter(([name]) => name !== "__metadata__")
    .map(
      ([
        name,
        {
          dtype,
          shape,
          data_offsets: [from, to],
        },
      ]) => {
        expect(dtype).toBe("F32");
        return { name, shape, bytes: file.subarray(8 + headerBytes + from, 8 + headerBytes + to) };
      },
    );
}

function leavesOf(bytes: Uint8Array): Buffer[] {
  const leaves: Buffer[] = [];
  for (let start = 0; start < bytes.length; start += 65_536)
    leaves.push(sha256(Uint8Array.of(0), bytes.subarray(start, start + 65_536)));
  return leaves;
}

function rootOf(leaves: readonly Buffer[]): string {
  if (leaves.length === 0) return sha256("").toString("hex");
  let level = [...leaves];
  while (level.length > 1)
    level = Array.from({ length: Math.ceil(level.length / 2) }, (_, index) => {
      const left = level[2 * index]!;
      const right = level[2 * index + 1];
      return right ? sha256(Uint8Array.of(1), left, right) : left;
    });
  return level[0]!.toString("hex");
}

interface Manifest {
  readonly digest: string;
  readonly step: number;
  readonly stateDigest: string;
  readonly tensors: { name: string; shape: number[]; root: string }[];
  readonly files: { name: string; sizeBytes: number; sha256: string }[];
}

test("T-7 T-10 docs/FORMATS.md suffices to recompute every digest of a checkpoint", async () => {
  using folder = new TemporaryFolder();
  const home = folder.file("home");
  const text = Array.from({ length: 900 }, (_, index) => `Line ${index % 37} of the log.`);
  writeFileSync(folder.file("log.txt"), text.join("\n"));
  const { status, stdout, stderr } = await runBinary(
    [..."train log.txt --size nano --steps 3 --batch 2 --json".split(" ")],
    { home, cwd: folder.path },
  );
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  const done = jsonLines(stdout).at(-1) as { run: string; digest: string };
  const directory = join(home, "runs", done.run, "checkpoints/step-000003");
  const manifest = JSON.parse(readFileSync(join(directory, "manifest.json"), "utf8")) as Manifest;

  const { digest, ...rest } = manifest;
  expect(sha256(canonical(rest)).toString("hex")).toBe(digest);
  const pointer = JSON.parse(readFileSync(join(directory, "../latest.json"), "utf8")) as object;
  expect(pointer).toEqual({ directory: "step-000003", manifestDigest: digest });
  expect(manifest.files.map(({ name }) => name).sort()).toEqual([
    "blocks.bin",
    "model.safetensors",
    "optimizer.safetensors",
  ]);
  for (const file of manifest.files) {
    const bytes = readFileSync(join(directory, file.name));
    expect(bytes.length).toBe(file.sizeBytes);
    expect(sha256(bytes).toString("hex")).toBe(file.sha256);
  }

  const state = ["model.safetensors", "optimizer.safetensors"].flatMap((name) =>
    readSafetensors(join(directory, name)),
  );
  const leaves = state.map(({ bytes }) => leavesOf(bytes));
  const tensors = state.map(({ name, shape }, index) => ({
    name,
    shape,
    root: rootOf(leaves[index]!),
  }));
  expect(tensors).toEqual(manifest.tensors);
  expect(Math.max(...leaves.map((each) => each.length))).toBeGreaterThan(1);
  const blocks = readFileSync(join(directory, "blocks.bin"));
  expect(Buffer.concat(leaves.flat()).equals(blocks)).toBe(true);
  const stated = {
    version: "psionic-state/1",
    step: manifest.step,
    tensors: tensors.map(({ name, shape, root }) => [name, shape, root]),
  };
  const stateDigest = sha256(canonical(stated)).toString("hex");
  expect(stateDigest).toBe(manifest.stateDigest);
  expect(stateDigest).toBe(done.digest);
}, 60_000);
