import { expect, test } from "bun:test";
import fc from "fast-check";
import * as v from "valibot";
import { digestBytes } from "#src/codec/digest.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { codecSettingsSchema, type CodecSettings, DeltaCodec } from "./codec.ts";
import { drawnValues, layoutOfLengths } from "./delta.fixture.ts";
import { headBytes } from "./frame.ts";
import { makeLayout } from "./layout.ts";

const settings: readonly CodecSettings[] = [
  { name: "dense", decayPerMille: 0 },
  { name: "int8", decayPerMille: 1000 },
  { name: "top-k", decayPerMille: 950 },
];
const codecs = settings.map((each) => new DeltaCodec(each));
const [dense, int8, topK] = codecs as [DeltaCodec, DeltaCodec, DeltaCodec];

const lengths = fc.array(fc.integer({ min: 1, max: 9_000 }), { minLength: 1, maxLength: 4 });
const drawn = fc.record({ lengths, seed: fc.integer(), scale: fc.constantFrom(1e-40, 1e-3, 1e30) });

function refusalOf(work: () => unknown): Refusal {
  try {
    work();
  } catch (error) {
    if (error instanceof Refusal) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}

test("W-4 dense gives back every bit", () => {
  fc.assert(
    fc.property(drawn, ({ lengths, seed, scale }) => {
      const layout = layoutOfLengths(lengths);
      const delta = drawnValues(layout.count, seed, scale);
      const { bytes, residual } = dense.encode(layout, delta, null);
      expect(residual).toBeNull();
      expect(bytes.byteLength).toBe(dense.sizeBytes(layout));
      expect(dense.decode(layout, bytes)).toEqual(delta);
    }),
  );
});

test("W-4 int8 is within half a scale of every value, and the residual is what is missing", () => {
  fc.assert(
    fc.property(drawn, ({ lengths, seed, scale }) => {
      const layout = layoutOfLengths(lengths);
      const delta = drawnValues(layout.count, seed, scale);
      const { bytes, residual } = int8.encode(layout, delta, null);
      const decoded = int8.decode(layout, bytes);
      let start = 0;
      for (const length of lengths)
        for (const end = start + length; start < end;) {
          const block = delta.subarray(start, Math.min(end, start + 256));
          const bound = Math.max(...block.map(Math.abs)) / 127;
          for (const [index, value] of block.entries()) {
            const loss = Math.fround(value - decoded[start + index]!);
            expect(Math.abs(loss)).toBeLessThanOrEqual(bound * 0.50001 + 2 ** -149 * 64);
            expect(residual![start + index]).toBe(loss);
          }
          start += block.length;
        }
    }),
    { numRuns: 30 },
  );
});

/** Places of the largest values of a block as a sort finds them: larger first, then lower place. */
function largestPlaces(block: Float32Array): number[] {
  const places = [...block.keys()].toSorted(
    (a, b) => Math.abs(block[b]!) - Math.abs(block[a]!) || a - b,
  );
  return places.slice(0, Math.ceil(block.length / 64)).toSorted((a, b) => a - b);
}

test("W-4 top-k keeps the largest of each block, ties by the lower place, in two magnitudes", () => {
  const coarse = fc.constantFrom(1e-40, 1e-3, 1e30, "coarse" as const);
  fc.assert(
    fc.property(drawn, coarse, ({ lengths, seed }, scale) => {
      const layout = layoutOfLengths(lengths);
      const delta =
        scale === "coarse"
          ? drawnValues(layout.count, seed, 3).map((value) => Math.round(value) || 0)
          : drawnValues(layout.count, seed, scale);
      const { bytes, residual } = topK.encode(layout, delta, null);
      const decoded = topK.decode(layout, bytes);
      let start = 0;
      for (const length of lengths)
        for (const end = start + length; start < end;) {
          const block = delta.subarray(start, Math.min(end, start + 4096));
          const kept = largestPlaces(block);
          const found = [...block.keys()].filter((index) => decoded[start + index] !== 0);
          expect(kept).toEqual(expect.arrayContaining(found));
          for (const index of kept)
            if (block[index] !== 0 && found.includes(index))
              expect(Math.sign(decoded[start + index]!)).toBe(Math.sign(block[index]!));
          const magnitudes = new Set(found.map((index) => Math.abs(decoded[start + index]!)));
          expect(magnitudes.size).toBeLessThanOrEqual(2);
          start += block.length;
        }
      for (let index = 0; index < layout.count; index++)
        expect(residual![index]).toBe(Math.fround(delta[index]! - decoded[index]!));
    }),
    { numRuns: 30 },
  );
});

test("W-4 what was not sent comes with the next delta: residual' = decay·residual + delta − decoded", () => {
  const layout = layoutOfLengths([5_000, 64, 1]);
  const first = topK.encode(layout, drawnValues(layout.count, 1, 1e-3), null);
  const delta = drawnValues(layout.count, 2, 1e-3);
  const second = topK.encode(layout, delta, first.residual);
  const decoded = topK.decode(layout, second.bytes);
  const decay = Math.fround(0.95);
  for (let index = 0; index < layout.count; index++) {
    const carried = Math.fround(Math.fround(decay * first.residual![index]!) + delta[index]!);
    expect(second.residual![index]).toBe(Math.fround(carried - decoded[index]!));
  }
  expect(second.bytes).not.toEqual(topK.encode(layout, delta, null).bytes);
});

test("W-4 sent again and again, a constant delta arrives in full on average", () => {
  const codec = new DeltaCodec({ name: "top-k", decayPerMille: 1000 });
  const layout = layoutOfLengths([4096]);
  const delta = drawnValues(4096, 3, 1);
  const sum = new Float64Array(4096);
  let residual: Float32Array | null = null;
  const rounds = 600;
  for (let round = 0; round < rounds; round++) {
    const encoded = codec.encode(layout, delta, residual);
    residual = encoded.residual;
    codec.decode(layout, encoded.bytes).forEach((value, index) => (sum[index]! += value / rounds));
  }
  let error = 0;
  let norm = 0;
  for (const [index, value] of delta.entries()) {
    error += (sum[index]! - value) ** 2;
    norm += value ** 2;
  }
  expect(Math.sqrt(error / norm)).toBeLessThan(0.15);
});

test("W-4 with a decay of nought nothing is carried and nothing is kept", () => {
  const codec = new DeltaCodec({ name: "top-k", decayPerMille: 0 });
  const layout = layoutOfLengths([300]);
  const delta = drawnValues(300, 4, 1);
  const plain = codec.encode(layout, delta, null);
  expect(plain.residual).toBeNull();
  expect(codec.encode(layout, delta, drawnValues(300, 5, 1)).bytes).toEqual(plain.bytes);
});

test("W-4 encoding changes neither the delta nor the residual it is given", () => {
  const layout = layoutOfLengths([700]);
  for (const codec of codecs) {
    const delta = drawnValues(700, 6, 1);
    const residual = drawnValues(700, 7, 1);
    codec.encode(layout, delta, residual);
    expect(delta).toEqual(drawnValues(700, 6, 1));
    expect(residual).toEqual(drawnValues(700, 7, 1));
  }
});

test("W-4 top-k is at least a hundred times smaller than dense, int8 almost four times", () => {
  const layout = layoutOfLengths([4096 * 64]);
  expect(dense.sizeBytes(layout) / topK.sizeBytes(layout)).toBeGreaterThan(135);
  expect(dense.sizeBytes(layout) / int8.sizeBytes(layout)).toBeGreaterThan(3.9);
  expect(topK.sizeBytes(layout)).toBe(headBytes + 64 * 120);
});

test("W-4 a delta of zeros, the smallest and the largest values survive every codec", () => {
  for (const codec of codecs)
    for (const value of [0, -0, 2 ** -149, -(2 ** -149), 150 * 2 ** -149, 2 ** 126, -(2 ** 126)]) {
      const layout = layoutOfLengths([130]);
      const delta = new Float32Array(130).fill(value);
      const { bytes, residual } = codec.encode(layout, delta, null);
      const decoded = codec.decode(layout, bytes);
      expect(decoded.every(Number.isFinite)).toBe(true);
      expect(residual === null || residual.every(Number.isFinite)).toBe(true);
    }
});

test("W-4 no codec encodes what is not a finite number: the tensor is named", () => {
  const layout = layoutOfLengths([100, 200]);
  for (const codec of codecs)
    for (const value of [NaN, Infinity, -Infinity, 2 ** 127]) {
      const delta = new Float32Array(300);
      delta[123] = value;
      const refusal = refusalOf(() => codec.encode(layout, delta, null));
      expect(refusal.code).toBe("not_finite");
      expect(refusal.details).toEqual({ tensor: "tensor.1", element: 23 });
    }
});

/** Encoded deltas are the same bytes for ever; a change of any is a new version of its codec. */
test("T-1 the bytes of every codec are those of the record", () => {
  const layout = layoutOfLengths([4096, 5_000, 64, 37, 1]);
  const digests = codecs.map((codec) => {
    const first = codec.encode(layout, drawnValues(layout.count, 11, 1e-3), null);
    const second = codec.encode(layout, drawnValues(layout.count, 12, 1e-3), first.residual);
    return [codec.settings.name, digestBytes(first.bytes), digestBytes(second.bytes)].join(" ");
  });
  expect(digests).toEqual(golden);
});

const golden = [
  "dense 110023ecff59847e0580b53a286ba76c0da67d75601e52d022beb3d254eb7864 7bf2f54c0af9d65ed0faf9c4c910ef9f825bd65d7506ac5806f13162534cb588",
  "int8 767413eade838a9d94352d6d2302fb22fe733568ac7b41f51f1eb715b7df7267 5ee1b94e65cc1bec40dc31b921b97e570ae967e849bcb0ec2dd0fd0937f20557",
  "top-k 59ab5429d1c982ca92df908354ae8837337eb60e90458db6f4d63bbd5c8962ac 8cf34dc2ce55f06ae856ed11ebee85d067482a3caa61339388968557f0518b91",
];

test("T-1 a delta small enough to be worked out by hand has the bytes of the specification", () => {
  const layout = layoutOfLengths([129, 2]);
  const delta = new Float32Array(131);
  delta.set([1, -8], 0);
  delta.set([6, 3], 127);
  delta.set([-0.5, 0.25], 129);
  const body = (codec: DeltaCodec) =>
    codec.encode(layout, delta, null).bytes.subarray(headBytes).toHex();
  // Of 129 values three are kept: places 1, 127, 128; 8 and 6 are near each other, 3 is not. Of two, one.
  const first = ["0000e040", "00004040", "01f007", "8000", "0b"];
  const second = ["0000003f", "00000000", "0000", "03"];
  expect(body(topK)).toBe([...first, ...second].join(""));
  // Scales 8/127 and 0.5/127; 6·127/8 = 95.25, 3·127/8 = 47.6…, 127/8 = 15.9, 0.25·127/0.5 = 63.5 to even.
  const wholes = ["10", "81", "00".repeat(125), "5f", "30"];
  expect(body(int8)).toBe(["0402813d", ...wholes, "0402813b", "8140"].join(""));
});

type Damage = readonly [
  codec: DeltaCodec,
  what: RegExp,
  change: (bytes: Uint8Array, view: DataView) => Uint8Array | void,
];
const damages: readonly Damage[] = [
  [dense, /no head/, (bytes) => bytes.subarray(0, 63)],
  [dense, /no head/, (bytes) => bytes.subarray(0, 0)],
  [dense, /another kind/, (bytes) => void (bytes[0]! ^= 1)],
  [dense, /format is 2/, (bytes) => void (bytes[8] = 2)],
  [dense, /codec is 2/, (bytes) => void (bytes[10] = 2)],
  [dense, /version is 9/, (bytes) => void (bytes[12] = 9)],
  [dense, /reserved/, (bytes) => void (bytes[14] = 1)],
  [dense, /parameters/, (bytes) => void (bytes[16]! ^= 1)],
  [dense, /body/, (bytes) => void (bytes[31]! ^= 1)],
  [dense, /other tensors/, (bytes) => void (bytes[40]! ^= 1)],
  ...[dense, int8, topK].flatMap((codec): Damage[] => [
    [codec, /cut off 1 bytes/, (bytes) => bytes.subarray(0, -1)],
    [codec, /3 bytes too many/, (bytes) => Uint8Array.of(...bytes, 0, 0, 0)],
  ]),
  [dense, /finite/, (_, view) => view.setFloat32(headBytes + 8, NaN, true)],
  [dense, /finite/, (_, view) => view.setFloat32(headBytes + 8, -Infinity, true)],
  [int8, /scale/, (_, view) => view.setFloat32(headBytes, NaN, true)],
  [int8, /scale/, (_, view) => view.setFloat32(headBytes, Infinity, true)],
  [int8, /scale/, (_, view) => view.setFloat32(headBytes, 3.4e38, true)],
  [int8, /scale/, (_, view) => view.setFloat32(headBytes, -1, true)],
  [int8, /−128/, (_, view) => view.setInt8(headBytes + 4, -128)],
  [topK, /magnitudes/, (_, view) => view.setFloat32(headBytes, NaN, true)],
  [topK, /magnitudes/, (_, view) => view.setFloat32(headBytes, Infinity, true)],
  [topK, /magnitudes/, (_, view) => view.setFloat32(headBytes + 4, NaN, true)],
  [topK, /magnitudes/, (_, view) => view.setFloat32(headBytes + 4, -1, true)],
  [topK, /magnitudes/, (_, view) => view.setFloat32(headBytes + 4, 1e30, true)],
  // Places of the block of 129: three of twelve bits from byte 8 on, the last four bits of byte 12 unused.
  [topK, /ascend/, (bytes) => bytes.set([1, 0x10, 0], headBytes + 8)],
  [topK, /ascend/, (bytes) => bytes.set([2, 0x10, 0], headBytes + 8)],
  [topK, /ascend/, (bytes) => bytes.set([129, 0], headBytes + 11)],
  [topK, /behind/, (bytes) => void (bytes[headBytes + 12]! |= 0x10)],
  [topK, /behind/, (bytes) => void (bytes[headBytes + 13]! |= 0x40)],
];

test("W-4 a delta that is cut off, too long, of another model or codec, or not by the rules is refused", () => {
  const layout = layoutOfLengths([129, 2]);
  const delta = drawnValues(131, 8, 1);
  for (const [codec, what, change] of damages) {
    const { bytes } = codec.encode(layout, delta, null);
    expect(codec.decode(layout, bytes)).toHaveLength(131);
    const changed = change(bytes, new DataView(bytes.buffer)) ?? bytes;
    const refusal = refusalOf(() => codec.decode(layout, changed));
    expect(refusal.code).toBe("delta_malformed");
    expect(refusal.message).toMatch(what);
  }
});

test("W-4 a delta of the same lengths under other names or shapes is refused", () => {
  const delta = drawnValues(6, 9, 1);
  const one = makeLayout([{ name: "a", shape: [6] }]);
  for (const other of [
    makeLayout([{ name: "b", shape: [6] }]),
    makeLayout([{ name: "a", shape: [2, 3] }]),
    makeLayout([
      { name: "a", shape: [2] },
      { name: "b", shape: [4] },
    ]),
  ])
    for (const codec of codecs) {
      const { bytes } = codec.encode(one, delta, null);
      expect(refusalOf(() => codec.decode(other, bytes)).code).toBe("delta_malformed");
    }
});

test("W-4 whatever bytes come, decoding gives finite values or refuses", () => {
  const layout = layoutOfLengths([300, 3]);
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 }), fc.infiniteStream(fc.nat(255)), (which, noise) => {
      const codec = codecs[which]!;
      const { bytes } = codec.encode(layout, drawnValues(303, 10, 1), null);
      for (let index = headBytes; index < bytes.byteLength; index++)
        bytes[index] = noise.next().value!;
      try {
        expect(codec.decode(layout, bytes).every(Number.isFinite)).toBe(true);
      } catch (error) {
        expect(error).toMatchObject({ code: "delta_malformed" });
      }
    }),
  );
});

test("W-4 no other split of the kept values into two magnitudes comes nearer to them", () => {
  const layout = layoutOfLengths([4096]);
  fc.assert(
    fc.property(fc.integer(), (seed) => {
      const delta = drawnValues(4096, seed, 1);
      const decoded = topK.decode(layout, topK.encode(layout, delta, null).bytes);
      const kept = largestPlaces(delta);
      const values = kept.map((index) => Math.abs(delta[index]!)).toSorted((a, b) => b - a);
      const error = (part: readonly number[]) => {
        const mean = part.reduce((sum, value) => sum + value, 0) / Math.max(1, part.length);
        return part.reduce((sum, value) => sum + (value - mean) ** 2, 0);
      };
      const least = Math.min(
        ...values.map((_, split) => error(values.slice(0, split)) + error(values.slice(split))),
      );
      const found = kept.reduce((sum, index) => sum + (delta[index]! - decoded[index]!) ** 2, 0);
      expect(found).toBeLessThanOrEqual(least * (1 + 1e-5) + 1e-12);
    }),
    { numRuns: 30 },
  );
});

test("W-4 settings that mean nothing are refused", () => {
  for (const each of settings) expect(v.is(codecSettingsSchema, each)).toBe(true);
  for (const bad of [
    { name: "dense", decayPerMille: 950 },
    { name: "top-k", decayPerMille: 1001 },
    { name: "top-k", decayPerMille: 0.5 },
    { name: "top-k" },
    { name: "zip", decayPerMille: 0 },
  ])
    expect(v.is(codecSettingsSchema, bad)).toBe(false);
});
