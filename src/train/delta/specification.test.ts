/**
 * Codecs written a second time, slowly and from docs/NUMERICS.md §12 and docs/FORMATS.md alone: sorts in place
 * of counting, text of binary digits in place of shifts. Both must give the same bytes.
 */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { digestJson } from "#src/codec/digest.ts";
import { DeltaCodec, type CodecSettings } from "./codec.ts";
import { drawnValues, layoutOfLengths } from "./delta.fixture.ts";

const r = Math.fround;

function numberBytes(write: (view: DataView) => void, count: number): number[] {
  const bytes = new Uint8Array(count);
  write(new DataView(bytes.buffer));
  return [...bytes];
}
const float = (value: number) => numberBytes((view) => view.setFloat32(0, value, true), 4);
const short = (value: number) => numberBytes((view) => view.setUint16(0, value, true), 2);
const long = (value: number) => numberBytes((view) => view.setBigUint64(0, BigInt(value), true), 8);

/** Numbers of `width` bits each, packed from the lowest bit of every byte up. */
function packed(values: readonly number[], width: number): number[] {
  const bits = values.flatMap((value) =>
    [...value.toString(2).padStart(width, "0")].toReversed().map(Number),
  );
  const bytes: number[] = [];
  for (let start = 0; start < bits.length; start += 8)
    bytes.push(bits.slice(start, start + 8).reduce((sum, bit, at) => sum + bit * 2 ** at, 0));
  return bytes;
}

function blocksOf(values: readonly number[], lengths: readonly number[], size: number) {
  const blocks: number[][] = [];
  let start = 0;
  for (const length of lengths) {
    for (let done = 0; done < length; done += size)
      blocks.push(values.slice(start + done, start + Math.min(length, done + size)));
    start += length;
  }
  return blocks;
}

interface Coded {
  readonly bytes: readonly number[];
  readonly decoded: readonly number[];
}

const codeDense = (block: readonly number[]): Coded => ({
  bytes: block.flatMap(float),
  decoded: block,
});

function codeInt8(block: readonly number[]): Coded {
  const scale = r(Math.max(...block.map(Math.abs)) / 127);
  const wholes = block.map((x) => {
    if (scale === 0) return 0;
    const y = r(x / scale);
    const below = Math.floor(y);
    const even = below % 2 === 0 ? below : below + 1;
    const q = y - below === 0.5 ? even : Math.round(y);
    return Math.max(-127, Math.min(127, q));
  });
  return {
    bytes: [...float(scale), ...wholes.map((q) => q & 0xff)],
    decoded: wholes.map((q) => r(q * scale)),
  };
}

function codeTopK(block: readonly number[]): Coded {
  const k = Math.ceil(block.length / 64);
  const kept = [...block.keys()]
    .toSorted((a, b) => Math.abs(block[b]!) - Math.abs(block[a]!) || a - b)
    .slice(0, k)
    .toSorted((a, b) => a - b);
  const a = kept.map((index) => Math.abs(block[index]!)).toSorted((x, y) => y - x);
  const S = [0];
  for (const [index, value] of a.entries()) S.push(S[index]! + value);
  const scores = a.map((_, index) => {
    const s = index + 1;
    const rest = S[k]! - S[s]!;
    return (S[s]! * S[s]!) / s + (s === k ? 0 : (rest * rest) / (k - s));
  });
  const s = scores.indexOf(Math.max(...scores)) + 1;
  const high = r(S[s]! / s);
  const low = s === k ? 0 : Math.min(high, r((S[k]! - S[s]!) / (k - s)));
  const isHigh = (index: number) => Math.abs(block[index]!) >= a[s - 1]!;
  const codes = kept.map((index) => (block[index]! < 0 ? 1 : 0) + (isHigh(index) ? 2 : 0));
  const decoded = block.map(() => 0);
  for (const index of kept)
    decoded[index] = (isHigh(index) ? high : low) * (block[index]! < 0 ? -1 : 1);
  return {
    bytes: [...float(high), ...float(low), ...packed(kept, 12), ...packed(codes, 2)],
    decoded,
  };
}

const written = {
  dense: { number: 1, size: 1, code: codeDense },
  int8: { number: 2, size: 256, code: codeInt8 },
  "top-k": { number: 3, size: 4096, code: codeTopK },
} as const;

function encode(
  { name, decayPerMille }: CodecSettings,
  lengths: readonly number[],
  delta: Float32Array,
  residual: Float32Array | null,
) {
  const decay = r(decayPerMille / 1000);
  const x = [...delta].map((value, index) =>
    residual === null || decay === 0 ? value : r(r(decay * residual[index]!) + value),
  );
  const { number, size, code } = written[name];
  const coded = blocksOf(x, lengths, size).map(code);
  const body = coded.flatMap(({ bytes }) => bytes);
  const decoded = coded.flatMap((each) => each.decoded);
  const layout = digestJson({
    tensors: lengths.map((length, index) => [`tensor.${index}`, [length]]),
    type: "psionic-delta-layout",
    version: 1,
  });
  const bytes = [
    ...new TextEncoder().encode("PSNDELTA"),
    ...[...short(1), ...short(number), ...short(1), ...short(0)],
    ...[...long(delta.length), ...long(body.length)],
    ...Uint8Array.fromHex(layout),
    ...body,
  ];
  return {
    bytes: Uint8Array.from(bytes),
    decoded: Float32Array.from(decoded),
    residual: decay === 0 ? null : Float32Array.from(x, (value, at) => value - decoded[at]!),
  };
}

const settings = fc.oneof(
  fc.constant({ name: "dense", decayPerMille: 0 } as const),
  fc.record({
    name: fc.constantFrom("int8" as const, "top-k" as const),
    decayPerMille: fc.constantFrom(0, 1, 500, 950, 1000),
  }),
);

test("T-1 every codec writes and reads what the specification says, windows in a row", () => {
  const lengths = fc.array(fc.oneof(fc.nat(5_000), fc.nat(70)), { minLength: 1, maxLength: 3 });
  // Round values bring ties and zeros; the smallest ones bring subnormal scales and magnitudes.
  const shape = fc.constantFrom("smooth", "round", "tiny", "huge");
  fc.assert(
    fc.property(settings, lengths, shape, fc.integer(), (setting, lengths, shape, seed) => {
      const layout = layoutOfLengths(lengths);
      const codec = new DeltaCodec(setting);
      let residual: Float32Array | null = null;
      for (let window = 0; window < 3; window++) {
        const drawn = drawnValues(layout.count, seed + window, 1);
        const delta = drawn.map((value) => {
          if (shape === "round") return Math.round(value * 4) / 8;
          return value * (shape === "tiny" ? 1e-43 : shape === "huge" ? 2 ** 123 : 1e-3);
        });
        const expected = encode(setting, lengths, delta, residual);
        const found = codec.encode(layout, delta, residual);
        expect(Buffer.compare(found.bytes, expected.bytes)).toBe(0);
        expect(bitsOf(codec.decode(layout, found.bytes))).toEqual(bitsOf(expected.decoded));
        expect(found.residual && bitsOf(found.residual)).toEqual(
          expected.residual && bitsOf(expected.residual),
        );
        residual = found.residual;
      }
    }),
    { numRuns: 60 },
  );
});

/** −0 and +0 are different bits of the same number; nothing depends on which. */
function bitsOf(values: Float32Array): Uint32Array {
  return new Uint32Array(values.map((value) => value + 0).buffer);
}
