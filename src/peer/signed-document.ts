import * as v from "valibot";
import { canonicalText } from "#src/codec/digest.ts";
import { signBytes, verifyBytes, type SigningKey } from "#src/receipt/signature.ts";
import { Refusal } from "#src/refusal/refusal.ts";

/** The most one document between nodes may hold; what is larger is refused before it is read. */
export const documentMaximumBytes = 1024 * 1024;

/** Objects and lists inside one another; deeper text is refused before a parser recurses into it. */
export const depthMaximum = 64;

/** A JSON object that came from a parser or goes to one. */
export type JsonObject = Readonly<Record<string, unknown>>;

/**
 * The JSON object whose canonical text (RFC 8785) these bytes are. Whatever has more than one reading
 * (duplicate keys, numbers beyond binary64, other spacing or order, lone surrogates, bytes that are
 * no UTF-8) is not canonical and refused with `envelope_malformed`, so that every program that
 * checks the signature has read the same thing.
 */
export function readCanonical(
  bytes: Uint8Array,
  maximumBytes: number = documentMaximumBytes,
): JsonObject {
  if (bytes.length > maximumBytes)
    throw malformed(`it has ${bytes.length} bytes, more than ${maximumBytes}`);
  if (depthOf(bytes) > depthMaximum) throw malformed(`it nests more than ${depthMaximum} levels`);
  const value = parse(bytes);
  if (isObject(value)) return value;
  throw malformed("it is not the canonical text of a JSON object");
}

/** The refusal of a document that cannot be read. */
export function malformed(why: string, details: JsonObject = {}): Refusal {
  return new Refusal(
    "envelope_malformed",
    `a document between nodes is malformed: ${why}`,
    "both nodes must run a psionic that speaks version 1 of docs/FORMATS.md, Calls between nodes",
    details,
  );
}

/** The document as its schema reads it. Refused with `envelope_malformed`, which names the member that is wrong. */
export function shaped<Schema extends v.GenericSchema>(
  schema: Schema,
  document: JsonObject,
): v.InferOutput<Schema> {
  const parsed = v.safeParse(schema, document);
  if (parsed.success) return parsed.output;
  const [issue] = parsed.issues;
  const path = v.getDotPath(issue) ?? "";
  throw malformed(`${path === "" ? "its members" : path}: ${issue.message}`, { path });
}

/** True for a JSON object: neither null nor a list. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function parse(bytes: Uint8Array): unknown {
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    const value: unknown = JSON.parse(text);
    return canonicalText(value) === text ? value : null;
  } catch {
    // Not UTF-8, not JSON, or a number or text that has no canonical form.
    return null;
  }
}

const quote = 0x22;
const backslash = 0x5c;

/** How deep brackets nest, looking at bytes alone: strings are skipped, nothing is parsed. */
function depthOf(bytes: Uint8Array): number {
  let depth = 0;
  let deepest = 0;
  let isText = false;
  for (let index = 0; index < bytes.length; index++) {
    const byte = bytes[index]!;
    if (isText) {
      if (byte === backslash) index++;
      else if (byte === quote) isText = false;
    } else if (byte === quote) isText = true;
    else if (byte === 0x5b || byte === 0x7b) deepest = Math.max(deepest, ++depth);
    else if (byte === 0x5d || byte === 0x7d) depth--;
  }
  return deepest;
}

/**
 * The bytes of a document with its signature: Ed25519 over the canonical text of everything else.
 * Refused with `message_too_large` where nobody would read it.
 */
export function signDocument(content: JsonObject, key: SigningKey): Uint8Array {
  const text = canonicalText(content);
  const signature = Buffer.from(signBytes(key, Buffer.from(text))).toString("hex");
  const bytes = Buffer.from(canonicalText({ ...content, signature }));
  if (bytes.length <= documentMaximumBytes) return bytes;
  throw new Refusal(
    "message_too_large",
    `${bytes.length} bytes do not fit a document between nodes, which holds ${documentMaximumBytes}`,
    "ask for less at once: a smaller range, fewer points, a shorter text",
    { sizeBytes: bytes.length, maximumBytes: documentMaximumBytes },
  );
}

/** True when the document's `signature` is its `key`'s over the canonical text of the rest. */
export function isSigned(document: JsonObject): boolean {
  const { signature, ...content } = document;
  if (typeof signature !== "string" || !/^[0-9a-f]{128}$/.test(signature)) return false;
  return verifyBytes(
    String(content["key"]),
    Buffer.from(canonicalText(content)),
    Buffer.from(signature, "hex"),
  );
}

/** A value as JSON carries it: integers beyond JSON numbers as text, bytes as hexadecimal. */
export function plainJson(value: unknown): unknown {
  const text = JSON.stringify(value ?? null, (_key, each: unknown) => {
    if (typeof each === "bigint") return each.toString();
    return each instanceof Uint8Array ? Buffer.from(each).toString("hex") : each;
  });
  return JSON.parse(text) as unknown;
}
