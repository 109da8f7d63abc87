import * as v from "valibot";

/** What a step and an evaluation look like, in messages between processes and in answers. */

const natural = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
/** Float32 bits as hexadecimal. */
const bits = v.pipe(v.string(), v.maxLength(8));
const seconds = v.pipe(v.number(), v.minValue(0));

/** One training step. */
export const stepRecordSchema = v.strictObject({
  step: natural,
  loss: v.number(),
  gradientNorm: v.number(),
  parameterNorm: v.number(),
  updateNorm: v.number(),
  learningRate: v.number(),
  tokens: natural,
  lossBits: bits,
  gradientNormBits: bits,
  tokensPerSecond: v.number(),
  split: v.optional(
    v.strictObject({
      data: seconds,
      gradient: seconds,
      norm: seconds,
      update: seconds,
      evaluate: seconds,
      checkpoint: seconds,
    }),
  ),
});

/** One look at the held-out data. */
export const evaluationSchema = v.strictObject({
  step: natural,
  loss: v.number(),
  bitsPerByte: v.nullable(v.number()),
  exactMatch: v.number(),
  targets: natural,
  rows: natural,
  full: v.boolean(),
});
