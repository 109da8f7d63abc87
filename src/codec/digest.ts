import canonicalize from "canonicalize";

/** A SHA-256 digest as 64 lowercase hexadecimal characters. */
export type Digest = string;

/** SHA-256 of bytes. */
export function digestBytes(bytes: Uint8Array | string): Digest {
  return new Bun.CryptoHasher("sha256").update(bytes).digest("hex");
}

/** The one text form of a JSON value (RFC 8785). Throws on values JSON cannot carry. */
export function canonicalText(value: unknown): string {
  const text = canonicalize(value);
  if (text === undefined) throw new TypeError("value has no canonical JSON form");
  return text;
}

/** SHA-256 of the canonical JSON text of a value. */
export function digestJson(value: unknown): Digest {
  return digestBytes(canonicalText(value));
}
