import { createPrivateKey, createPublicKey, type KeyObject } from "node:crypto";
import { Chacha20Poly1305 } from "@hpke/chacha20poly1305";
import { CipherSuite, DhkemX25519HkdfSha256, HkdfSha256 } from "@hpke/core";
import { canonicalText } from "#src/codec/digest.ts";
import { assert, Refusal } from "#src/refusal/refusal.ts";
import { documentMaximumBytes } from "./signed-document.ts";

/**
 * What passes through a member that must not read it: HPKE (RFC 9180) in base mode with X25519,
 * HKDF-SHA256 and ChaCha20-Poly1305 (docs/decisions/0029). A box hides and binds; who wrote it is what
 * the signed message inside says.
 */

/** The key to which others seal for this node. */
export interface BoxKey {
  readonly privateKey: KeyObject;
  /** 32 bytes as lowercase hexadecimal. */
  readonly publicKey: string;
}

/** On which way a box travels: opened in any other it does not open. */
export interface BoxWay {
  readonly mesh: string;
  readonly sender: string;
  readonly recipient: string;
  /** The member that passes it on. */
  readonly relay: string;
  /** The sender's own name for this use of the way: 32 hexadecimal digits. */
  readonly session: string;
}

const seedBytes = 32;
/** The sender's ephemeral key, which comes first. */
const encapsulatedBytes = 32;
const tagBytes = 16;
/** Bytes by which a box is larger than what is in it. */
export const boxOverheadBytes = encapsulatedBytes + tagBytes;
/** A box holds one document. */
export const boxMaximumBytes = documentMaximumBytes + boxOverheadBytes;

/** DER of a PKCS #8 X25519 private key up to its 32 bytes (RFC 8410). */
const privatePrefix = Buffer.from("302e020100300506032b656e04220420", "hex");
/** Bytes of the DER of an X25519 public key before its 32. */
const publicPrefixBytes = 12;

const suite = new CipherSuite({
  kem: new DhkemX25519HkdfSha256(),
  kdf: new HkdfSha256(),
  aead: new Chacha20Poly1305(),
});

/** What the key schedule binds: that it is this use of the keys and no other. */
const info = bufferOf(Buffer.from("psionic-box/1"));

/** The key pair of 32 random bytes. */
export function boxKeyFromSeed(seed: Uint8Array): BoxKey {
  assert(seed.length === seedBytes, "an X25519 key has 32 bytes");
  const key = Buffer.concat([privatePrefix, seed]);
  return boxKeyOf(createPrivateKey({ key, format: "der", type: "pkcs8" }));
}

/** The key pair in a PEM text, or null where the text is no X25519 private key. */
export function boxKeyFromPem(pem: string): BoxKey | null {
  try {
    const privateKey = createPrivateKey({ key: pem, format: "pem" });
    return privateKey.asymmetricKeyType === "x25519" ? boxKeyOf(privateKey) : null;
  } catch {
    return null;
  }
}

/** PKCS #8 PEM, as any other program reads it. */
export function boxPem({ privateKey }: BoxKey): string {
  return privateKey.export({ format: "pem", type: "pkcs8" });
}

function boxKeyOf(privateKey: KeyObject): BoxKey {
  const der = createPublicKey(privateKey as unknown as string).export({
    format: "der",
    type: "spki",
  });
  return { privateKey, publicKey: der.subarray(publicPrefixBytes).toString("hex") };
}

/**
 * Seals bytes so that only the holder of the key whose public half is given reads them, and only as what
 * came that way. Refused with `box_unsealable` where the key is none that could be sealed to.
 */
export async function sealBox(
  publicKey: string,
  way: BoxWay,
  plain: Uint8Array,
): Promise<Uint8Array> {
  assert(plain.length <= documentMaximumBytes, "a box holds one document");
  try {
    const recipientPublicKey = await suite.kem.deserializePublicKey(
      bufferOf(Buffer.from(publicKey, "hex")),
    );
    const sealed = await suite.seal({ recipientPublicKey, info }, bufferOf(plain), boundTo(way));
    return Buffer.concat([new Uint8Array(sealed.enc), new Uint8Array(sealed.ct)]);
  } catch {
    throw new Refusal(
      "box_unsealable",
      `nothing can be sealed for ${way.recipient}: the box key it is known by is none`,
      "start that node again; it says its key at every start",
      { recipient: way.recipient },
    );
  }
}

/** Opens what was sealed for a key on a way. Refused with `box_forged`, which does not say where it differs. */
export async function openBox(key: BoxKey, way: BoxWay, box: Uint8Array): Promise<Uint8Array> {
  if (box.length > boxMaximumBytes) throw forged(way);
  try {
    const recipientKey = await importedKey(key);
    const enc = bufferOf(box.subarray(0, encapsulatedBytes));
    const sealed = bufferOf(box.subarray(encapsulatedBytes));
    return new Uint8Array(await suite.open({ recipientKey, enc, info }, sealed, boundTo(way)));
  } catch {
    throw forged(way);
  }
}

const imported = new WeakMap<KeyObject, Promise<CryptoKey>>();

function importedKey({ privateKey }: BoxKey): Promise<CryptoKey> {
  const known = imported.get(privateKey);
  if (known !== undefined) return known;
  const der = privateKey.export({ format: "der", type: "pkcs8" });
  const key = suite.kem.deserializePrivateKey(bufferOf(der.subarray(-seedBytes)));
  imported.set(privateKey, key);
  return key;
}

function boundTo({ mesh, sender, recipient, relay, session }: BoxWay): ArrayBuffer {
  const way = { type: "psionic-box", version: 1, mesh, sender, recipient, relay, session };
  return bufferOf(Buffer.from(canonicalText(way)));
}

/** The bytes alone: a view may be of a larger buffer. */
function bufferOf(bytes: Uint8Array): ArrayBuffer {
  return new Uint8Array(bytes).buffer;
}

function forged({ sender, relay }: BoxWay): Refusal {
  return new Refusal(
    "box_forged",
    `what ${relay} passed on for ${sender} does not open: it is not what was sealed for this node on that way`,
    "a relay that changes what it passes on is left out for a while; look at that machine if it goes on",
    { sender, relay },
  );
}
