/**
 * Blocks of 256 values as signed bytes under one float32 scale: 4 + 256 bytes instead of 1,024.
 * Blockwise absmax scaling: Dettmers et al. 2022, "8-bit optimizers via block-wise quantization".
 */
import { type DeltaBody, refuseDelta } from "./frame.ts";
import { forEachBlock, placeOf } from "./layout.ts";

export const int8BlockLength = 256;
const scaleBytes = 4;
/** −128 is not used: the range is symmetric. */
const most = 127;
/** 1.5·2²³: adding and taking it away again rounds a small float32 to a whole number, ties to even. */
const rounder = 12_582_912;

export const int8: DeltaBody = {
  name: "int8",
  number: 2,
  version: 1,

  sizeBytes: ({ tensors, count }) =>
    count +
    scaleBytes * tensors.reduce((sum, { length }) => sum + Math.ceil(length / int8BlockLength), 0),

  write(values, layout, body) {
    const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
    let place = 0;
    forEachBlock(layout, int8BlockLength, (start, length) => {
      let largest = 0;
      for (let index = start; index < start + length; index++) {
        const magnitude = Math.abs(values[index]!);
        if (magnitude > largest) largest = magnitude;
      }
      const scale = Math.fround(largest / most);
      view.setFloat32(place, scale, true);
      place += scaleBytes;
      if (scale > 0)
        for (let index = 0; index < length; index++)
          view.setInt8(place + index, quantize(values[start + index]!, scale));
      place += length;
    });
  },

  read(body, layout, values) {
    const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
    let place = 0;
    forEachBlock(layout, int8BlockLength, (start, length) => {
      const scale = view.getFloat32(place, true);
      if (view.getInt8(place + 3) < 0 || !Number.isFinite(Math.fround(scale * most)))
        refuseDelta("a scale is negative or not a finite number", placeOf(layout, start));
      place += scaleBytes;
      for (let index = 0; index < length; index++) {
        const whole = view.getInt8(place + index);
        if (whole < -most) refuseDelta("a value is −128", placeOf(layout, start + index));
        values[start + index] = whole * scale;
      }
      place += length;
    });
  },
};

/** round-half-even(value / scale), held within ±127 for scales so small that their rounding shows. */
function quantize(value: number, scale: number): number {
  const rounded = Math.fround(Math.fround(Math.fround(value / scale) + rounder) - rounder);
  return Math.max(-most, Math.min(most, rounded));
}
