import * as v from "valibot";
import { digestJson, type Digest } from "#src/codec/digest.ts";
import { parseUniqueJson } from "#src/codec/unique-json.ts";
import { receiptSchema } from "#src/receipt/parse-receipt.ts";
import { isFact } from "#src/receipt/receipt.ts";
import { nodeIdOf } from "#src/receipt/signature.ts";
import { verifySignatures } from "#src/receipt/verify-receipt.ts";
import { Refusal } from "#src/refusal/refusal.ts";

/** The kind of the receipt that an execution under a policy leaves. */
export const attestationKind = "execution.attested";

/** How an execution ended: `denied` by the policy, or what became of the command. */
export const endings = ["done", "refused", "failed", "denied"] as const;
export type Ending = (typeof endings)[number];

const digest = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/, "must be a SHA-256 digest"));
const short = v.pipe(v.string(), v.maxLength(600));

/** What an attestation says; the body of its receipt. */
export const attestationBodySchema = v.strictObject({
  execution: short,
  policy: short,
  revision: v.pipe(v.number(), v.safeInteger(), v.minValue(1)),
  policyDigest: digest,
  command: short,
  parametersDigest: digest,
  signalsDigest: digest,
  outcome: v.picklist(["allow", "deny"]),
  /** The rule that decided; null where the policy's default did. */
  rule: v.nullable(short),
  reason: short,
  ended: v.picklist(endings),
  /** Of the result, or of the refusal; null where the command never ran. */
  resultDigest: v.nullable(digest),
  /** What ran it: the execution part of the runtime manifest. */
  runtimeDigest: digest,
  /** The request; a node executes each at most once. */
  fingerprint: digest,
});
export type AttestationBody = v.InferOutput<typeof attestationBodySchema>;

const { countersignature: _, ...receiptEntries } = receiptSchema.entries;

/** A receipt whose body is an attestation. Rotations are countersigned, attestations never. */
export const attestationSchema = v.strictObject({
  ...receiptEntries,
  kind: v.literal(attestationKind),
  body: attestationBodySchema,
});
export type Attestation = v.InferOutput<typeof attestationSchema>;

/** Why an attestation does not hold. Reasons are as permanent as codes. */
export type AttestationFault =
  "not_json" | "shape" | "key_differs" | "author_unproven" | "signature_wrong" | "signals_differ";

/**
 * Checks an attestation with nothing but itself and a public key; with the signals also that they are
 * what the policy saw. Without a key the one it names must be the one its author's id is made of.
 * Refused with `attestation_wrong`, the reason in the details.
 */
export function verifyAttestation(
  document: unknown,
  options: { readonly key?: string | undefined; readonly signals?: unknown } = {},
): Attestation {
  const parsed = v.safeParse(attestationSchema, document);
  if (!parsed.success) {
    const [issue] = parsed.issues;
    const path = v.getDotPath(issue) ?? "";
    throw wrong(
      "shape",
      `${path || "it"}: ${issue.message}`,
      "take the file from its source again",
    );
  }
  const attestation = parsed.output;
  if (attestation.subject !== attestation.body.execution || !isFact(attestation.body))
    throw wrong("shape", "subject and body differ", "take the file from its source again");
  checkKey(attestation, options.key);
  checkSignature(attestation);
  if (options.signals !== undefined) checkSignalsDigest(attestation, options.signals);
  return attestation;
}

/** Reads the text of an attestation file. Refused with `attestation_wrong`, reason `not_json`. */
export function readAttestation(text: string): unknown {
  try {
    return parseUniqueJson(text);
  } catch {
    throw wrong("not_json", "the file is not JSON", "take the file from its source again");
  }
}

function checkKey({ key, author }: Attestation, expected: string | undefined): void {
  if (expected !== undefined) {
    if (key === expected.toLowerCase()) return;
    throw wrong("key_differs", `${key} signed it, not the key given`, "check whose key you gave");
  }
  if (nodeIdOf(key) === author) return;
  throw wrong(
    "author_unproven",
    `its key is not the one the id ${author} is made of`,
    "give the author's key with --key, from its rotation receipts",
  );
}

function checkSignature(attestation: Attestation): void {
  try {
    verifySignatures(attestation);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    throw wrong(
      "signature_wrong",
      "the signature is not of this text",
      "it was changed; ask again",
    );
  }
}

function checkSignalsDigest({ body }: Attestation, signals: unknown): void {
  const found = digestOf(signals);
  if (found === body.signalsDigest) return;
  throw wrong("signals_differ", "the signals are not those the policy saw", "give all of them");
}

function digestOf(value: unknown): Digest | null {
  try {
    return digestJson(value);
  } catch {
    return null;
  }
}

function wrong(reason: AttestationFault, what: string, hint: string): Refusal {
  return new Refusal("attestation_wrong", `the attestation does not hold: ${what}`, hint, {
    reason,
  });
}
