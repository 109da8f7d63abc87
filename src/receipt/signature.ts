import { createPrivateKey, createPublicKey, sign, verify, type KeyObject } from "node:crypto";
import { encodeBase32 } from "#src/codec/base32.ts";
import { digestBytes } from "#src/codec/digest.ts";
import { assert } from "#src/refusal/refusal.ts";

/**
 * Ed25519 through node:crypto, the one signer and the one verifier of the program: whatever
 * nodes must agree on is judged by the same code (docs/decisions/0007-ed25519.md).
 */

const seedBytes = 32;
/** DER of a PKCS #8 Ed25519 private key up to its 32-byte seed (RFC 8410). */
const privatePrefix = Buffer.from("302e020100300506032b657004220420", "hex");
/** DER of an Ed25519 public key up to its 32 bytes. */
const publicPrefix = Buffer.from("302a300506032b6570032100", "hex");

/**
 * Encodings of the eight points of small order, the non-canonical ones among them. Under such
 * a key one signature can be valid for many messages, so it proves nothing.
 */
const smallOrderKeys = new Set([
  "0100000000000000000000000000000000000000000000000000000000000000",
  "0100000000000000000000000000000000000000000000000000000000000080",
  "0000000000000000000000000000000000000000000000000000000000000000",
  "0000000000000000000000000000000000000000000000000000000000000080",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
]);

export interface SigningKey {
  readonly privateKey: KeyObject;
  /** 32 bytes as lowercase hexadecimal. */
  readonly publicKey: string;
}

/** The key pair that a 32-byte seed stands for. */
export function signingKeyFromSeed(seed: Uint8Array): SigningKey {
  assert(seed.length === seedBytes, "an Ed25519 seed has 32 bytes");
  const privateKey = createPrivateKey({
    key: Buffer.concat([privatePrefix, seed]),
    format: "der",
    type: "pkcs8",
  });
  return { privateKey, publicKey: publicKeyOf(privateKey) };
}

/** The key pair in a PEM text, or null where the text is no Ed25519 private key. */
export function signingKeyFromPem(pem: string): SigningKey | null {
  try {
    const privateKey = createPrivateKey({ key: pem, format: "pem" });
    if (privateKey.asymmetricKeyType !== "ed25519") return null;
    return { privateKey, publicKey: publicKeyOf(privateKey) };
  } catch {
    return null;
  }
}

/** PKCS #8 PEM, as any other program reads it. */
export function pemOf(key: SigningKey): string {
  return key.privateKey.export({ format: "pem", type: "pkcs8" });
}

function publicKeyOf(privateKey: KeyObject): string {
  const der = createPublicKey(privateKey as unknown as string).export({
    format: "der",
    type: "spki",
  });
  return Buffer.from(der.subarray(publicPrefix.length)).toString("hex");
}

/** A 64-byte signature over the bytes, deterministic. */
export function signBytes(key: SigningKey, bytes: Uint8Array): Uint8Array {
  return new Uint8Array(sign(null, bytes, key.privateKey));
}

/** A key whose y is p or above: a second spelling of a point that has another name already. */
const nonCanonicalKey = /^(?:e[d-f]|f[0-9a-f])(?:ff){30}[7f]f$/;

/** True for a key that signatures may be checked with: 32 bytes, canonical, not of small order. */
export function isSoundKey(publicKey: string): boolean {
  return (
    /^[0-9a-f]{64}$/.test(publicKey) &&
    !smallOrderKeys.has(publicKey) &&
    !nonCanonicalKey.test(publicKey)
  );
}

/**
 * True when the signature over the bytes was made with that key: cofactorless, as OpenSSL and
 * BoringSSL judge (RFC 8032 section 5.1.7 with the bytes of R compared). Never throws on bad input.
 */
export function verifyBytes(publicKey: string, bytes: Uint8Array, signature: Uint8Array): boolean {
  if (!isSoundKey(publicKey) || signature.length !== 64) return false;
  try {
    const key = createPublicKey({
      key: Buffer.concat([publicPrefix, Buffer.from(publicKey, "hex")]),
      format: "der",
      type: "spki",
    });
    return verify(null, bytes, key, signature);
  } catch {
    return false;
  }
}

/** 160 bits: no two keys share an id by chance, and the id still fits a line. */
const nodeIdBytes = 20;

/** `psn` and 32 base32 letters of the SHA-256 of the public key. */
export function nodeIdOf(publicKey: string): string {
  const digest = Buffer.from(digestBytes(Buffer.from(publicKey, "hex")), "hex");
  return `psn${encodeBase32(digest.subarray(0, nodeIdBytes))}`;
}
