/** Every value as it is: float32, little-endian, in order. */
import { type DeltaBody, refuseDelta } from "./frame.ts";
import { placeOf } from "./layout.ts";

export const dense: DeltaBody = {
  name: "dense",
  number: 1,
  version: 1,

  sizeBytes: ({ count }) => count * 4,

  write(values, _layout, body) {
    body.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  },

  read(body, layout, values) {
    new Uint8Array(values.buffer, values.byteOffset, values.byteLength).set(body);
    const bad = values.findIndex((value) => !Number.isFinite(value));
    if (bad >= 0) refuseDelta("a value is not a finite number", placeOf(layout, bad));
  },
};
