import * as v from "valibot";

const count = v.number();
const segmentSchema = v.strictObject({ window: count, worker: v.string(), segment: count });

/** What a verified bundle proves, in figures and in words. */
export const verifiedBundleSchema = v.strictObject({
  of: v.literal("bundle"),
  isValid: v.literal(true),
  ...{ file: v.string(), sizeBytes: count, parts: count },
  /** Who exported it. */
  author: v.string(),
  ...{ mesh: v.string(), run: v.string(), name: v.string(), phase: v.string(), chain: v.string() },
  ...{ records: count, statements: count, nodes: count, windows: count },
  /** So many nodes vouched for the events up to that one. */
  ...{ vouchers: count, vouchedRecords: count },
  ...{ slots: count, acceptedSlots: count, tokens: count },
  ...{ verdicts: count, rejections: count, judgedSegments: count, missing: count },
  /** The last revision: number, digest, and whether its files are in the bundle. */
  ...{ revision: count, digest: v.string(), hasRevision: v.boolean() },
  /** What was computed again, of how many segments, how many of which were within the budget. */
  replayed: v.array(segmentSchema),
  ...{ segments: count, reachable: count, recomputedSteps: count },
  ...{ seed: v.string(), backend: v.string() },
  ...{ proven: v.array(v.string()), unproven: v.array(v.string()) },
});
export type VerifiedBundleFigures = v.InferOutput<typeof verifiedBundleSchema>;

/** What was verified of a run that this home holds. */
export const verifiedRunSchema = v.strictObject({
  of: v.literal("run"),
  isValid: v.literal(true),
  ...{ run: v.string(), name: v.string(), step: count, digest: v.string() },
  /** Receipts of this node's whole chain, and the last one's digest; 0 and null before the first. */
  ...{ receipts: count, head: v.nullable(v.string()) },
  /** The receipt that names this state; null where none does. */
  receipt: v.nullable(v.string()),
});
export type VerifiedRun = v.InferOutput<typeof verifiedRunSchema>;

export const verifiedSchema = v.variant("of", [verifiedBundleSchema, verifiedRunSchema]);
