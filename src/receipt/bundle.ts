import * as v from "valibot";
import { canonicalText } from "#src/codec/digest.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { ChainVerifier, type ChainSummary } from "./chain.ts";
import {
  nodeIdSchema,
  publicKeySchema,
  readReceipt,
  receiptMaximumBytes,
  receiptSchema,
  subjectMaximumLength,
} from "./parse-receipt.ts";
import type { Receipt } from "./receipt.ts";
import { rotationMaximum } from "./rotation.ts";

/**
 * A bundle: a stretch of one author's chain without a hole, one canonical JSON text per line, after a
 * header that says what follows. Everything the header says is checked against the receipts.
 */

/** Bytes of a bundle's first line: the rotations before the stretch are in it. */
export const headerMaximumBytes = 512 * 1024;
/** Bytes of the longest line of a bundle. */
export const lineMaximumBytes = Math.max(headerMaximumBytes, receiptMaximumBytes);

const place = v.pipe(v.number(), v.safeInteger(), v.minValue(1));

const headerSchema = v.strictObject({
  type: v.literal("psionic-receipt-bundle"),
  version: v.literal(1),
  author: nodeIdSchema,
  /** Why the stretch was chosen: it spans the author's receipts about this; null: no such reason. */
  subject: v.nullable(v.pipe(v.string(), v.maxLength(subjectMaximumLength))),
  /** Receipts of the stretch about the subject; null without one. */
  subjectCount: v.nullable(v.pipe(v.number(), v.safeInteger(), v.minValue(0))),
  /** The keys that sign in the stretch, in order. */
  keys: v.pipe(v.array(publicKeySchema), v.minLength(1), v.maxLength(rotationMaximum + 1)),
  /** The author's rotations before the stretch. */
  rotations: v.pipe(v.array(receiptSchema), v.maxLength(rotationMaximum)),
  first: place,
  last: place,
  count: place,
  /** Digest of the last receipt. */
  head: v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)),
});

export type BundleHeader = v.InferOutput<typeof headerSchema>;

export interface BundleSummary extends ChainSummary {
  readonly subject: string | null;
  readonly subjectCount: number | null;
}

/** The first line of a bundle, without the line's end. */
export function headerText(header: Omit<BundleHeader, "type" | "version">): string {
  return canonicalText({ type: "psionic-receipt-bundle", version: 1, ...header });
}

/**
 * Verifies a bundle line by line; keeps the header and the end of the chain, nothing else. Refusals:
 * `receipt_bundle_wrong` about the file, else what `ChainVerifier` says, each with its line.
 */
export class BundleVerifier {
  #line = 0;
  #header: BundleHeader | null = null;
  #chain: ChainVerifier | null = null;
  #about = 0;

  /** Takes the next line, without its end. */
  addLine(line: string): void {
    this.#line++;
    try {
      if (this.#chain === null) this.#open(line);
      else this.#add(this.#chain, readReceipt(line));
    } catch (error) {
      throw atLine(error, this.#line);
    }
  }

  /** What the bundle proves, once its last line was added. */
  end(): BundleSummary {
    const header = this.#header;
    const summary = this.#chain?.summary() ?? null;
    if (header === null) throw bundleWrong("it is empty");
    if (summary === null) throw bundleWrong("it holds no receipt", { expectedCount: header.count });
    if (summary.count !== header.count || summary.last !== header.last)
      throw bundleWrong(
        `it holds ${summary.count} of ${header.count} receipts; it was cut off after receipt ${summary.last}`,
        { author: summary.author, sequence: summary.last, expectedLast: header.last },
      );
    this.#compare(header, summary);
    return { ...summary, subject: header.subject, subjectCount: header.subjectCount };
  }

  #open(line: string): void {
    const header = readHeader(line);
    if (header.last - header.first + 1 !== header.count)
      throw bundleWrong("its header counts otherwise than its places say");
    if (header.rotations.some(({ sequence }) => sequence >= header.first))
      throw bundleWrong("its header holds a rotation that stands in the stretch itself");
    this.#chain = new ChainVerifier(header.author, header.rotations);
    this.#header = header;
  }

  #add(chain: ChainVerifier, receipt: Receipt): void {
    const header = this.#header!;
    const isFirst = chain.summary() === null;
    if (isFirst && receipt.sequence !== header.first)
      throw bundleWrong(`it was to begin with receipt ${header.first}, not ${receipt.sequence}`, {
        sequence: receipt.sequence,
      });
    chain.add(receipt);
    if (receipt.sequence > header.last)
      throw bundleWrong(`it goes on after receipt ${header.last}`, { sequence: receipt.sequence });
    if (receipt.subject === header.subject) this.#about++;
  }

  #compare(header: BundleHeader, summary: ChainSummary): void {
    if (summary.head !== header.head)
      throw bundleWrong("its last receipt is not the one its header names", {
        sequence: summary.last,
        digest: summary.head,
        expectedDigest: header.head,
      });
    if (summary.keys.join() !== header.keys.join())
      throw bundleWrong("its receipts are signed by other keys than its header names", {
        keys: summary.keys,
      });
    if (header.subjectCount !== (header.subject === null ? null : this.#about))
      throw bundleWrong(
        `it holds ${this.#about} receipts about its subject, not ${header.subjectCount}`,
      );
  }
}

function readHeader(line: string): BundleHeader {
  let json: unknown = null;
  try {
    json = JSON.parse(line);
  } catch {
    // Reported with every other wrong shape below.
  }
  const parsed = v.safeParse(headerSchema, json);
  if (!parsed.success) {
    const path = v.getDotPath(parsed.issues[0]) ?? "";
    throw bundleWrong(`its first line is no header${path === "" ? "" : ` (${path})`}`, { path });
  }
  if (canonicalText(parsed.output) === line) return parsed.output;
  throw bundleWrong("its first line is not in canonical form");
}

/** The same refusal with the line it is about. */
function atLine(error: unknown, line: number): unknown {
  if (!(error instanceof Refusal)) return error;
  const { code, message, hint, details } = error;
  return new Refusal(code, `line ${line}: ${message}`, hint, { line, ...details });
}

/** The refusal of a bundle as a file. */
export function bundleWrong(why: string, details: Readonly<Record<string, unknown>> = {}): Refusal {
  return new Refusal(
    "receipt_bundle_wrong",
    `the bundle does not hold: ${why}`,
    "export it again with `psionic receipt export FILE`",
    details,
  );
}
