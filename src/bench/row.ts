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

/** A row with its figures; what it does not say means nothing for it. */
export function rowOf(name: string, threads: number, figures: Partial<Row>): Row {
  const nothing = {
    gflops: null,
    percentOfPeak: null,
    tokensPerSecond: null,
    gigabytesPerSecond: null,
    milliseconds: null,
  };
  return { type: "row", name, threads, ...nothing, ...figures };
}

/** Whether a row was asked for: its name begins with one of the words, or there are none. */
export function isWanted(words: readonly string[], name: string): boolean {
  return words.length === 0 || words.some((word) => name.startsWith(word));
}

/** The middle of several measurements; figures of a shared machine are medians, never single times. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
