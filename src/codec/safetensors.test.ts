import { expect, test } from "bun:test";
import fc from "fast-check";
import {
  parseSafetensorsHeader,
  safetensorsHead,
  safetensorsHeaderLength,
  type SafetensorsTensor,
  tensorSizeBytes,
} from "./safetensors.ts";

function read(file: Uint8Array) {
  const length = safetensorsHeaderLength(file.subarray(0, 8), file.byteLength);
  return parseSafetensorsHeader(file.subarray(8, 8 + length), file.byteLength);
}

function fileOf(tensors: readonly SafetensorsTensor[]): Uint8Array {
  const head = safetensorsHead(tensors);
  const size = tensors.reduce((sum, tensor) => sum + tensorSizeBytes(tensor), 0);
  const file = new Uint8Array(head.byteLength + size);
  file.set(head);
  return file;
}

/** A file with any header text. */
function fileWith(header: string, dataBytes: number): Uint8Array {
  const text = new TextEncoder().encode(header);
  const file = new Uint8Array(8 + text.byteLength + dataBytes);
  new DataView(file.buffer).setBigUint64(0, BigInt(text.byteLength), true);
  file.set(text, 8);
  return file;
}

test("T-7 what is written is read back, names, shapes and places", () => {
  const tensorsArbitrary = fc.uniqueArray(
    fc.record({
      name: fc
        .oneof(fc.string({ minLength: 1 }), fc.constantFrom("__proto__", "constructor", "7"))
        .filter((name) => name !== "__metadata__"),
      type: fc.constantFrom("F32" as const),
      shape: fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 3 }),
    }),
    { selector: (tensor) => tensor.name, maxLength: 8 },
  );
  fc.assert(
    fc.property(tensorsArbitrary, (tensors) => {
      const { entries, metadata } = read(fileOf(tensors));
      expect(metadata).toEqual({ format: "pt" });
      const key = (t: SafetensorsTensor) => JSON.stringify([t.name, t.type, t.shape]);
      expect(entries.map(key).sort()).toEqual(tensors.map(key).sort());
    }),
    { numRuns: 200 },
  );
});

const one = `"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}`;
const hostile: readonly [string, Uint8Array][] = [
  ["shorter than eight bytes", new Uint8Array(3)],
  ["claims", new Uint8Array(16).fill(0xff)],
  ["reaches past the end", fileOf([{ name: "a", type: "F32", shape: [4] }]).subarray(0, 30)],
  ["does not begin with {", fileWith(` {${one}}`, 8)],
  ["not JSON", fileWith(`{"a":`, 8)],
  [
    "not UTF-8",
    (() => {
      const file = fileWith(`{"a___":1}`, 0);
      file[10] = 0xff;
      return file;
    })(),
  ],
  ["twice", fileWith(`{${one},${one}}`, 8)],
  ["twice", fileWith(`{"a":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, 8)],
  ["tensor a", fileWith(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"x":1}}`, 8)],
  ["its shape needs", fileWith(`{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}`, 8)],
  ["misaligned", fileWith(`{${one}} `, 8)],
  ["describes", (() => fileOf([{ name: "a", type: "F32", shape: [4] }]).subarray(0, -1))()],
];

for (const [reason, file] of hostile)
  test(`T-7 a safetensors file is refused: ${reason}`, () => {
    expect(() => read(file)).toThrow(reason);
  });

test("T-7 holes and overlaps between tensors are refused", () => {
  const pad = (header: string) => header.padEnd(Math.ceil(header.length / 8) * 8);
  const two = (begin: number) =>
    pad(`{${one},"b":{"dtype":"F32","shape":[1],"data_offsets":[${begin},${begin + 4}]}}`);
  expect(() => read(fileWith(two(12), 16))).toThrow("hole before tensor b");
  expect(() => read(fileWith(two(4), 8))).toThrow("overlaps");
  expect(read(fileWith(two(8), 12)).entries).toHaveLength(2);
});
