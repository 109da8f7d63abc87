/**
 * Deltas as bytes. A codec is named and versioned, and gives the same bytes on every machine: plain
 * IEEE 754 operations in one written order, docs/NUMERICS.md §12. What a codec loses is kept by its worker
 * as the residual and added to its next delta (error feedback: Seide et al. 2014; Stich et al. 2018).
 */
import * as v from "valibot";
import { assert, Refusal } from "#src/refusal/refusal.ts";
import { dense } from "./dense.ts";
import { type DeltaBody, headBytes, makeFrame, openFrame } from "./frame.ts";
import { int8 } from "./int8.ts";
import { type DeltaLayout, placeOf } from "./layout.ts";
import { topK } from "./top-k.ts";

const bodies = { dense, int8, "top-k": topK } as const satisfies Record<string, DeltaBody>;

export const deltaCodecNames = ["dense", "int8", "top-k"] as const;

export const codecSettingsSchema = v.pipe(
  v.strictObject({
    name: v.picklist(deltaCodecNames),
    /** How much of the residual is carried into the next delta, in thousandths; with 0 none is kept. */
    decayPerMille: v.pipe(v.number(), v.safeInteger(), v.minValue(0), v.maxValue(1000)),
  }),
  v.check(
    ({ name, decayPerMille }) => name !== "dense" || decayPerMille === 0,
    "dense loses nothing that could be carried: decayPerMille is 0",
  ),
);
export type CodecSettings = v.InferOutput<typeof codecSettingsSchema>;

export interface EncodedDelta {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** What was not sent, for the worker's next delta; null where the settings keep none. */
  readonly residual: Float32Array | null;
}

/** Beyond this an honest delta never comes, and sums of it could overflow. */
const magnitudeMaximum = 2 ** 126;

export class DeltaCodec {
  readonly #body: DeltaBody;
  readonly #decay: number;

  constructor(readonly settings: CodecSettings) {
    this.#body = bodies[settings.name];
    this.#decay = Math.fround(settings.decayPerMille / 1000);
  }

  get version(): number {
    return this.#body.version;
  }

  /** Bytes of every encoded delta of a layout, head included. */
  sizeBytes(layout: DeltaLayout): number {
    return headBytes + this.#body.sizeBytes(layout);
  }

  /**
   * Encodes a delta with what was left of earlier ones. Neither input is changed. Refuses with
   * `not_finite` where a value is NaN, infinite or beyond 2¹²⁶.
   */
  encode(layout: DeltaLayout, delta: Float32Array, residual: Float32Array | null): EncodedDelta {
    assert(delta.length === layout.count, "a delta of this layout");
    assert(residual === null || residual.length === layout.count, "a residual of this layout");
    const body = this.#body;
    const carried = carry(delta, residual, this.#decay);
    checkMagnitudes(carried, layout);
    const bytes = makeFrame(body, layout, body.sizeBytes(layout)) as Uint8Array<ArrayBuffer>;
    const written = bytes.subarray(headBytes);
    body.write(carried, layout, written);
    if (this.#decay === 0) return { bytes, residual: null };
    const decoded = new Float32Array(layout.count);
    body.read(written, layout, decoded);
    // carried is nobody else's any more.
    for (let index = 0; index < carried.length; index++)
      carried[index] = carried[index]! - decoded[index]!;
    return { bytes, residual: carried };
  }

  /** The values a delta stands for. Refuses with `delta_malformed`. */
  decode(layout: DeltaLayout, bytes: Uint8Array): Float32Array {
    const body = openFrame(bytes, this.#body, layout, this.#body.sizeBytes(layout));
    const values = new Float32Array(layout.count);
    this.#body.read(body, layout, values);
    return values;
  }
}

/** decay·residual + delta, each operation rounded to float32: storing in a Float32Array is what rounds. */
function carry(delta: Float32Array, residual: Float32Array | null, decay: number): Float32Array {
  const carried = delta.slice();
  if (residual === null || decay === 0) return carried;
  for (let index = 0; index < carried.length; index++)
    carried[index] = Math.fround(decay * residual[index]!) + carried[index]!;
  return carried;
}

function checkMagnitudes(values: Float32Array, layout: DeltaLayout): void {
  for (let index = 0; index < values.length; index++) {
    // Written so that NaN is caught too.
    if (Math.abs(values[index]!) <= magnitudeMaximum) continue;
    const place = placeOf(layout, index);
    throw new Refusal(
      "not_finite",
      `The delta is not a finite number in ${place.tensor}, element ${place.element}.`,
      "Training went out of bounds in this window; a lower --learning-rate usually helps.",
      place,
    );
  }
}
