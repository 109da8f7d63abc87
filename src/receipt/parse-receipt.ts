import * as v from "valibot";
import { canonicalText } from "#src/codec/digest.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { isFact, type Facts, type Receipt } from "./receipt.ts";

/** Characters of a receipt's body in canonical text. */
export const bodyMaximumLength = 64 * 1024;
/** Characters of a receipt's subject. */
export const subjectMaximumLength = 256;
/** Bytes of a whole receipt in canonical text: the longest line of a bundle after its header. */
export const receiptMaximumBytes = 256 * 1024;

const hex = (bytes: number) =>
  v.pipe(
    v.string(),
    v.regex(new RegExp(`^[0-9a-f]{${bytes * 2}}$`), `must be ${bytes} bytes in hex`),
  );

/** A node's id: `psn` and 32 base32 letters. */
export const nodeIdSchema = v.pipe(
  v.string(),
  v.regex(/^psn[a-z2-7]{32}$/, "must be a node id: psn and 32 letters"),
);
/** An Ed25519 public key in lowercase hexadecimal. */
export const publicKeySchema = hex(32);
/** An Ed25519 signature in lowercase hexadecimal. */
export const signatureSchema = hex(64);
/** Wall-clock milliseconds since 1970. */
export const timeSchema = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

const bodySchema = v.pipe(
  v.custom<Facts>(
    (value) =>
      typeof value === "object" && value !== null && !Array.isArray(value) && isFact(value),
    "must be an object of text, integers, truth values, lists and objects",
  ),
  v.check((body) => canonicalText(body).length <= bodyMaximumLength, "is too long"),
);

/** The shape of a receipt from outside. What it says is not believed before its signature is checked. */
export const receiptSchema = v.strictObject({
  type: v.literal("psionic-receipt"),
  version: v.literal(1),
  author: nodeIdSchema,
  key: publicKeySchema,
  sequence: v.pipe(v.number(), v.safeInteger(), v.minValue(1)),
  previous: hex(32),
  atMs: timeSchema,
  kind: v.pipe(v.string(), v.maxLength(64), v.regex(/^[a-z][a-z0-9-]*(?:\.[a-z0-9-]+)*$/)),
  subject: v.pipe(
    v.string(),
    v.maxLength(subjectMaximumLength),
    v.check((text) => text.isWellFormed(), "must be whole Unicode"),
  ),
  body: bodySchema,
  signature: signatureSchema,
  countersignature: v.exactOptional(
    v.strictObject({ key: publicKeySchema, signature: signatureSchema }),
  ),
});

/** A receipt read from outside; refused with `receipt_malformed` naming the member. */
export function parseReceipt(value: unknown): Receipt {
  const parsed = v.safeParse(receiptSchema, value);
  if (parsed.success) return parsed.output;
  const [issue] = parsed.issues;
  const path = v.getDotPath(issue) ?? "";
  const why = `${path === "" ? "it" : path} is not understood: ${issue.message}`;
  throw malformedReceipt(why, namesOf(value, path));
}

/**
 * The receipt that a text holds. The text must be the canonical one (RFC 8785), so that every
 * program that checks it has read the same thing; else `receipt_malformed`.
 */
export function readReceipt(text: string): Receipt {
  if (text.length > receiptMaximumBytes)
    throw malformedReceipt(`it has more than ${receiptMaximumBytes} bytes`, {});
  const receipt = parseReceipt(parseJson(text));
  if (canonicalText(receipt) === text) return receipt;
  throw malformedReceipt("its text is not in canonical form", {
    author: receipt.author,
    sequence: receipt.sequence,
  });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw malformedReceipt("it is not JSON", {});
  }
}

/** Names the receipt where it can be named, without believing what it says. */
function namesOf(value: unknown, path: string): Record<string, unknown> {
  const { author, sequence } = (value ?? {}) as Record<string, unknown>;
  return {
    ...(v.is(nodeIdSchema, author) ? { author } : {}),
    ...(Number.isSafeInteger(sequence) ? { sequence } : {}),
    path,
  };
}

function malformedReceipt(why: string, details: Record<string, unknown>): Refusal {
  const { sequence } = details;
  const place = typeof sequence === "number" ? ` ${sequence}` : "";
  return new Refusal(
    "receipt_malformed",
    `receipt${place} is malformed: ${why}`,
    "take it from its author again; docs/RECEIPTS.md describes the form",
    details,
  );
}
