import { describe, expect, test } from "bun:test";
import { Point } from "@noble/ed25519";
import {
  nodeIdOf,
  pemOf,
  signBytes,
  signingKeyFromPem,
  signingKeyFromSeed,
  verifyBytes,
} from "./signature.ts";

const hex = (text: string) => new Uint8Array(Buffer.from(text, "hex"));

/** RFC 8032 section 7.1, tests 1 to 3: seed, public key, message, signature. */
const published = [
  [
    "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
    "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
    "",
    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
  ],
  [
    "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
    "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
    "72",
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
  ],
  [
    "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
    "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
    "af82",
    "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
  ],
] as const;

describe("I-1 Ed25519", () => {
  test.each(published)("I-1 RFC 8032 vector of seed %s", (seed, publicKey, message, signature) => {
    const key = signingKeyFromSeed(hex(seed));
    expect(key.publicKey).toBe(publicKey);
    expect(Buffer.from(signBytes(key, hex(message))).toString("hex")).toBe(signature);
    expect(verifyBytes(publicKey, hex(message), hex(signature))).toBe(true);
    expect(verifyBytes(publicKey, hex(`${message}00`), hex(signature))).toBe(false);
  });

  test("I-1 a signature with a non-canonical S is refused", () => {
    const [, publicKey, message, signature] = published[1];
    const order = 2n ** 252n + 27742317777372353535851937790883648493n;
    const bytes = hex(signature);
    let s = BigInt(`0x${Buffer.from(bytes.slice(32)).reverse().toString("hex")}`) + order;
    for (let index = 32; index < 64; index++, s >>= 8n) bytes[index] = Number(s & 255n);
    expect(verifyBytes(publicKey, hex(message), bytes)).toBe(false);
  });

  test("I-1 keys of small order verify nothing", () => {
    const identity = "0100000000000000000000000000000000000000000000000000000000000000";
    expect(Point.fromHex(identity).isSmallOrder()).toBe(true);
    // With the identity as key, R = the base point and S = 1 would pass for every message.
    const base = "5866666666666666666666666666666666666666666666666666666666666666";
    const forged = hex(`${base}01${"00".repeat(31)}`);
    expect(verifyBytes(identity, hex("aa"), forged)).toBe(false);
    expect(verifyBytes(identity, hex("bb"), forged)).toBe(false);
  });

  test("I-1 wrong lengths and letters are false, not a crash", () => {
    const [, publicKey, , signature] = published[0];
    expect(verifyBytes(publicKey.toUpperCase(), hex(""), hex(signature))).toBe(false);
    expect(verifyBytes("", hex(""), hex(signature))).toBe(false);
    expect(verifyBytes(publicKey, hex(""), hex("00"))).toBe(false);
    expect(verifyBytes("f".repeat(64), hex(""), hex(signature))).toBe(false);
  });

  test("I-1 a key survives its PEM text, and other texts are none", () => {
    const key = signingKeyFromSeed(hex(published[0][0]));
    expect(signingKeyFromPem(pemOf(key))?.publicKey).toBe(key.publicKey);
    expect(signingKeyFromPem("")).toBeNull();
    expect(signingKeyFromPem(pemOf(key).slice(0, 60))).toBeNull();
  });

  test("I-1 the node id follows from the public key", () => {
    // printf d75a98…511a | xxd -r -p | sha256sum, first 20 bytes through base32, lowercase.
    expect(nodeIdOf(published[0][1])).toBe("psneh7ddx5bksrgcytl7bkai36se4nxx3kl");
    expect(nodeIdOf(published[1][1])).not.toBe(nodeIdOf(published[0][1]));
  });
});
