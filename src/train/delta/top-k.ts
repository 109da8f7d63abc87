/**
 * Of every block of 4,096 values the 64 largest, each as a place of twelve bits and a value of two: its sign
 * and which of the block's two magnitudes it has. 120 bytes instead of 16,384.
 * Chunked top-k with error feedback: Lin et al. 2018 (deep gradient compression); Wang et al. 2023 (CocktailSGD).
 */
import { type DeltaBody, refuseDelta } from "./frame.ts";
import { forEachBlock, placeOf } from "./layout.ts";
import { pickLargest, splitMagnitudes } from "./selection.ts";

export const topKBlockLength = 4_096;
/** One of so many values is kept, rounded up. */
export const topKShare = 64;
/** Two magnitudes, float32: the higher one first. */
const magnitudesBytes = 8;

const keptOf = (length: number) => Math.ceil(length / topKShare);
const placesBytes = (kept: number) => Math.ceil((kept * 12) / 8);
const signsBytes = (kept: number) => Math.ceil((kept * 2) / 8);
const blockBytes = (length: number) => {
  const kept = keptOf(length);
  return magnitudesBytes + placesBytes(kept) + signsBytes(kept);
};

export const topK: DeltaBody = {
  name: "top-k",
  number: 3,
  version: 1,

  sizeBytes(layout) {
    let sum = 0;
    forEachBlock(layout, topKBlockLength, (_, length) => (sum += blockBytes(length)));
    return sum;
  },

  write(values, layout, body) {
    const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
    const picked = new Uint16Array(topKBlockLength / topKShare);
    let place = 0;
    forEachBlock(layout, topKBlockLength, (start, length) => {
      const block = values.subarray(start, start + length);
      const kept = keptOf(length);
      pickLargest(block, kept, picked);
      const { high, low, least } = splitMagnitudes(block, picked.subarray(0, kept));
      view.setFloat32(place, high, true);
      view.setFloat32(place + 4, low, true);
      const places = place + magnitudesBytes;
      const signs = places + placesBytes(kept);
      for (let nth = 0; nth < kept; nth++) {
        const index = picked[nth]!;
        const value = block[index]!;
        const code = (value < 0 ? 1 : 0) | (Math.abs(value) >= least ? 2 : 0);
        writePlace(body, places, nth, index);
        body[signs + (nth >>> 2)]! |= code << ((nth & 3) * 2);
      }
      place += blockBytes(length);
    });
  },

  read(body, layout, values) {
    const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
    let place = 0;
    forEachBlock(layout, topKBlockLength, (start, length) => {
      const kept = keptOf(length);
      const refuse = (what: string) => refuseDelta(what, placeOf(layout, start));
      const high = view.getFloat32(place, true);
      const low = view.getFloat32(place + 4, true);
      const isSigned = view.getInt8(place + 3) < 0 || view.getInt8(place + 7) < 0;
      if (isSigned || !(low <= high) || !Number.isFinite(high))
        refuse("the magnitudes of a block are no two finite numbers in order");
      const places = place + magnitudesBytes;
      const signs = places + placesBytes(kept);
      let previous = -1;
      for (let nth = 0; nth < kept; nth++) {
        const index = readPlace(body, places, nth);
        if (index <= previous || index >= length)
          refuse("the places of a block do not ascend within it");
        previous = index;
        const code = (body[signs + (nth >>> 2)]! >>> ((nth & 3) * 2)) & 3;
        const magnitude = (code & 2) === 0 ? low : high;
        values[start + index] = (code & 1) === 0 ? magnitude : -magnitude;
      }
      place += blockBytes(length);
      // Bits nobody reads would let one delta have many digests.
      const loosePlace = kept % 2 === 1 && body[signs - 1]! > 15;
      const looseSign = kept % 4 > 0 && body[place - 1]! >>> ((kept % 4) * 2) > 0;
      if (loosePlace || looseSign) refuse("a block has bits set behind its last value");
    });
  },
};

/** Places are twelve bits each, lowest bit first, one after another. */
function writePlace(body: Uint8Array, offset: number, nth: number, index: number): void {
  const byte = offset + ((nth * 3) >>> 1);
  if ((nth & 1) === 0) {
    body[byte] = index & 0xff;
    body[byte + 1] = index >>> 8;
  } else {
    body[byte]! |= (index & 0xf) << 4;
    body[byte + 1] = index >>> 4;
  }
}

function readPlace(body: Uint8Array, offset: number, nth: number): number {
  const byte = offset + ((nth * 3) >>> 1);
  return (nth & 1) === 0
    ? body[byte]! | ((body[byte + 1]! & 0xf) << 8)
    : (body[byte]! >>> 4) | (body[byte + 1]! << 4);
}
