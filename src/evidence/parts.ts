import * as v from "valibot";
import { canonicalText, digestJson, type Digest } from "#src/codec/digest.ts";
import { noDigest, type Receipt } from "#src/receipt/receipt.ts";
import {
  nodeIdSchema,
  publicKeySchema,
  receiptSchema,
  signatureSchema,
} from "#src/receipt/parse-receipt.ts";
import { signBytes, type SigningKey } from "#src/receipt/signature.ts";
import { rotationMaximum } from "#src/receipt/rotation.ts";
import { Refusal } from "#src/refusal/refusal.ts";

/**
 * The container of a run's evidence: parts one after another, each a line that names it and says its digest,
 * then its bytes; last a line signed by whoever exported it. Every line holds a hash over all lines before it, so
 * a byte that is not what was written is found in the part where it stands.
 */

/** The first line of the file. */
export const bundleMagic = "psionic-run-bundle/1\n";
/** Parts of a bundle: what a reader keeps in memory is a line for each. */
export const partMaximum = 1_048_576;
/** Bytes of the line before a part. */
export const headMaximumBytes = 4_096;
/** Bytes of the last line: the exporter's rotations are in it. */
export const footerMaximumBytes = 512 * 1024;
/** Bytes of a part that is read as a whole: the header, a record, an artifact's manifest. */
export const textMaximumBytes = 8 * 1024 * 1024;

/**
 * `header`: what run this is and whose keys sign in it. `record`: an event of the run. `manifest`: an artifact's, by
 * its digest. `file`: a file of the artifact whose manifest came last. `state`: a worker's private state.
 */
export const partKinds = ["header", "record", "manifest", "file", "state"] as const;
export type PartKind = (typeof partKinds)[number];

const natural = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const digest = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/));

const headSchema = v.strictObject({
  part: v.pipe(natural, v.minValue(1), v.maxValue(partMaximum)),
  kind: v.picklist(partKinds),
  name: v.pipe(v.string(), v.maxLength(1_200)),
  sizeBytes: natural,
  digest,
  /** SHA-256 of the canonical text of `chain` of the part before and of the four members above. */
  chain: digest,
});
export type PartHead = v.InferOutput<typeof headSchema>;

/** A part where it lies in the file. */
export interface Part extends PartHead {
  readonly offset: number;
}

const footerSchema = v.strictObject({
  type: v.literal("psionic-run-bundle"),
  version: v.literal(1),
  mesh: v.pipe(v.string(), v.maxLength(64)),
  run: v.pipe(v.string(), v.maxLength(32)),
  parts: natural,
  /** Of the last part. */
  chain: digest,
  /** Who exported it, with the key it signs with and how its first key led there. */
  author: nodeIdSchema,
  key: publicKeySchema,
  rotations: v.pipe(v.array(receiptSchema), v.maxLength(rotationMaximum)),
  signature: signatureSchema,
});
export type Footer = v.InferOutput<typeof footerSchema>;

/** The members of a footer that its signature covers, as text. */
export function footerText(
  footer: Omit<Footer, "type" | "version" | "signature" | "rotations"> & {
    readonly rotations: readonly Receipt[];
  },
): string {
  const { mesh, run, parts, chain, author, key, rotations } = footer;
  const content = { mesh, run, parts, chain, author, key, rotations };
  return canonicalText({ type: "psionic-run-bundle", version: 1, ...content });
}

/** The last line as its exporter signs it. */
export function sealFooter(
  of: Pick<Footer, "mesh" | "run" | "parts" | "chain">,
  { nodeId, key, rotations }: Exporter,
): string {
  const { mesh, run, parts, chain } = of;
  const who = { author: nodeId, key: key.publicKey, rotations };
  const text = footerText({ mesh, run, parts, chain, ...who });
  const signature = Buffer.from(signBytes(key, Buffer.from(text))).toString("hex");
  return canonicalText({ ...(JSON.parse(text) as object), signature });
}

/** Who exports. */
export interface Exporter {
  readonly nodeId: string;
  readonly key: SigningKey;
  readonly rotations: readonly Receipt[];
}

/** The line of a part that follows one with `before` as its chain. */
export function sealHead(before: Digest, head: Omit<PartHead, "chain">): PartHead {
  const { part, kind, name, sizeBytes, digest: content } = head;
  const chain = digestJson({ before, part, kind, name, sizeBytes, digest: content });
  return { part, kind, name, sizeBytes, digest: content, chain };
}

/** What stands before the first part in the place of a chain. */
export const chainStart: Digest = noDigest;

/** A part as people read of it. */
export function partName({ part, kind, name }: Pick<PartHead, "part" | "kind" | "name">): string {
  return kind === "header" ? `part ${part} (header)` : `part ${part} (${kind} ${name})`;
}

/** A line that is neither a part's nor the last. */
export function readLine(text: string): { head: PartHead } | { footer: Footer } | null {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return null;
  }
  const isFooter = typeof json === "object" && json !== null && "type" in json;
  const parsed = isFooter ? v.safeParse(footerSchema, json) : v.safeParse(headSchema, json);
  if (!parsed.success || canonicalText(parsed.output) !== text) return null;
  return isFooter ? { footer: parsed.output as Footer } : { head: parsed.output as PartHead };
}

/** Bytes of the bundle are not those that were written. */
export function bundleDamaged(
  where: string,
  why: string,
  details: Readonly<Record<string, unknown>> = {},
): Refusal {
  return new Refusal(
    "evidence_damaged",
    `${where}: ${why}`,
    "get the file again from whoever has it, or export it again with `psionic run evidence`",
    { where, ...details },
  );
}

/** Something that the bundle says does not follow from the rest of it. */
export function linkBroken(
  link: string,
  why: string,
  details: Readonly<Record<string, unknown>> = {},
): Refusal {
  return new Refusal(
    "evidence_broken",
    `${link}: ${why}`,
    "whoever gave you this bundle cannot have taken it from an honest run; ask the members of its mesh for theirs",
    { link, ...details },
  );
}
