import * as v from "valibot";

/** One figure of a benchmark; fields that mean nothing for a row are null. */
export const rowSchema = v.object({
  type: v.literal("row"),
  name: v.pipe(v.string(), v.description("what was measured, e.g. gemm-1024 or train-b")),
  threads: v.number(),
  gflops: v.pipe(
    v.nullable(v.number()),
    v.description("billions of floating-point operations a second"),
  ),
  percentOfPeak: v.pipe(
    v.nullable(v.number()),
    v.description("of the fused multiply-add peak measured just before and after"),
  ),
  tokensPerSecond: v.nullable(v.number()),
  gigabytesPerSecond: v.nullable(v.number()),
  milliseconds: v.pipe(v.nullable(v.number()), v.description("median time of one run")),
});
export type Row = v.InferOutput<typeof rowSchema>;

/** The middle of several measurements; figures of a shared machine are medians, never single times. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
