import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { Refusal } from "#src/refusal/refusal.ts";
import { frameOf, readFrames } from "./framing.ts";
import { documentMaximumBytes } from "./signed-document.ts";

async function* pieces(...parts: readonly Uint8Array[]) {
  yield* parts;
}

async function framesOf(...parts: readonly Uint8Array[]): Promise<Uint8Array[]> {
  const frames: Uint8Array[] = [];
  for await (const frame of readFrames(pieces(...parts))) frames.push(frame);
  return frames;
}

/** Bytes cut at some places. */
function cut(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const ends = [...new Set(places.map((place) => place % (bytes.length + 1)))].sort(
    (a, b) => a - b,
  );
  return [0, ...ends].map((start, index) => bytes.slice(start, ends[index] ?? bytes.length));
}

async function refusalOf(work: Promise<unknown>): Promise<Refusal> {
  const error: unknown = await work.catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(Refusal);
  return error as Refusal;
}

describe("A-2 frames on a pipe", () => {
  test("A-2 a frame is its length in four bytes, little-endian, and its bytes", () => {
    expect([...frameOf(new Uint8Array([7, 8, 9]))]).toEqual([3, 0, 0, 0, 7, 8, 9]);
    expect(frameOf(new Uint8Array(0x1_02_03)).slice(0, 4)).toEqual(new Uint8Array([3, 2, 1, 0]));
  });

  test("A-2 documents survive whatever way the stream is cut", async () => {
    const documents = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 6 });
    const places = fc.array(fc.nat({ max: 300 }), { maxLength: 30 });
    await fc.assert(
      fc.asyncProperty(documents, places, async (sent, cuts) => {
        const stream = Buffer.concat(sent.map(frameOf));
        const got = await framesOf(...cut(stream, cuts));
        expect(got.map((each) => [...each])).toEqual(sent.map((each) => [...each]));
      }),
      { numRuns: 300 },
    );
  });

  test("A-2 the largest document passes, one byte more is refused before it is kept", async () => {
    const largest = new Uint8Array(documentMaximumBytes).fill(1);
    expect(await framesOf(frameOf(largest))).toEqual([largest]);
    const head = new Uint8Array(4);
    new DataView(head.buffer).setUint32(0, documentMaximumBytes + 1, true);
    const refusal = await refusalOf(framesOf(head));
    expect(refusal).toMatchObject({ code: "envelope_malformed" });
  });

  test("A-2 a line that ends inside a frame is refused, one that ends between two is not", async () => {
    const frame = frameOf(new Uint8Array([1, 2, 3]));
    expect(await framesOf()).toEqual([]);
    expect(await framesOf(frame, frame)).toHaveLength(2);
    for (let end = 1; end < frame.length; end++)
      expect((await refusalOf(framesOf(frame, frame.slice(0, end)))).code).toBe(
        "envelope_malformed",
      );
  });

  test("A-2 a greeting before the first frame is refused", async () => {
    const refusal = await refusalOf(framesOf(new TextEncoder().encode("Welcome to host!\n")));
    expect(refusal.hint).toContain("standard output");
  });
});
