import { describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { hashes, Point, verify } from "@noble/ed25519";
import fc from "fast-check";
import {
  isSoundKey,
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

/** A second implementation, which says that a vector is what it is meant to be. */
hashes.sha512 = (bytes: Uint8Array) => new Uint8Array(createHash("sha512").update(bytes).digest());
const lenient = (publicKey: string, message: string, signature: string) =>
  verify(hex(signature), hex(message), hex(publicKey), { zip215: true });

const smallKey = "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa";
const mixedKey = "f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43";
const otherMixedKey = "cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d";
const plainKey = "442aad9f089ad9e14647b1ef9099a1ff4798d78589e66f28eca69c11f582a623";
const secondSpelling = `ec${"ff".repeat(31)}`;

/**
 * The published edge cases of "Taming the many EdDSAs" (Chalkias, Garillot, Nikolaenko 2020): what
 * is odd, whether we accept, whether the most lenient rule (ZIP 215) does, key, message, signature.
 */
const edgeCases: [string, boolean, boolean, string, string, string][] = [
  [
    ...(["0: S = 0, small A and R", false, true, smallKey] as const),
    "8c93255d71dcab10e8f379c26200f3c7bd5f09d9bc3068d3ef4edeb4853022b6",
    `c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a${"00".repeat(32)}`,
  ],
  [
    ...(["1: small A, mixed R", false, true, smallKey] as const),
    "9bd9f44f4dcc75bd531b56b2cd280b0bb38fc1cd6d1230e14861d861de092e79",
    "f7badec5b8abeaf699583992219b7b223f1df3fbbea919844e3f7c554a43dd43a5bb704786be79fc476f91d3f3f89b03984d8068dcf1bb7dfc6637b45450ac04",
  ],
  [
    ...(["2: mixed A, small R", true, true, mixedKey] as const),
    "aebf3f2601a0c8c5d39cc7d8911642f740b78168218da8471772b35f9d35b9ab",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa8c4bd45aecaca5b24fb97bc10ac27ac8751a7dfe1baff8b953ec9f5833ca260e",
  ],
  [
    ...(["3: mixed A and R", true, true, otherMixedKey] as const),
    "9bd9f44f4dcc75bd531b56b2cd280b0bb38fc1cd6d1230e14861d861de092e79",
    "9046a64750444938de19f227bb80485e92b83fdb4b6506c160484c016cc1852f87909e14428a7a1d62e9f22f3d3ad7802db02eb2e688b6c52fcd6648a98bd009",
  ],
  [
    ...(["4: holds only with the cofactor", false, true, otherMixedKey] as const),
    "e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec4011eaccd55b53f56c",
    "160a1cb0dc9c0258cd0a7d23e94d8fa878bcb1925f2c64246b2dee1796bed5125ec6bc982a269b723e0668e540911a9a6a58921d6925e434ab10aa7940551a09",
  ],
  [
    ...([
      "5: holds only with the cofactor applied before the hash",
      false,
      true,
      otherMixedKey,
    ] as const),
    "e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec4011eaccd55b53f56c",
    "21122a84e0b5fca4052f5b1235c80a537878b38f3142356b2c2384ebad4668b7e40bc836dac0f71076f9abe3a53f9c03c1ceeeddb658d0030494ace586687405",
  ],
  [
    ...(["6: S beyond the order", false, false, plainKey] as const),
    "85e241a07d148b41e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec40",
    "e96f66be976d82e60150baecff9906684aebb1ef181f67a7189ac78ea23b6c0e547f7690a0e2ddcd04d87dbc3490dc19b3b3052f7ff0538cb68afb369ba3a514",
  ],
  [
    ...(["7: S far beyond the order", false, false, plainKey] as const),
    "85e241a07d148b41e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec40",
    "8ce5b96c8f26d0ab6c47958c9e68b937104cd36e13c33566acd2fe8d38aa19427e71f98a473474f2f13f06f97c20d58cc3f54b8bd0d272f42b695dd7e89a8c22",
  ],
  [
    ...(["8: non-canonical R, reduced before the hash", false, false, mixedKey] as const),
    "fdaebc429f4a735932a160da1301080c13280eea8bc280d1b392c6b9e6ba3a5a",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f454d370c8d9fc323a41450f8d513eafeb5b0697390c1e505a0d4ddc71f566607",
  ],
  [
    ...(["9: non-canonical R, not reduced before the hash", false, true, mixedKey] as const),
    "84b698d39be126ff55fe45079e6c8bf64a0d7db6994560b4e96b7021eb39c1a1",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f084d5b99c2a9463d9c8bd5026916996984eeec87ddf1d3be329006ace1b37b09",
  ],
  [
    ...([
      "10: non-canonical small A, reduced before the hash",
      false,
      true,
      secondSpelling,
    ] as const),
    "e96b7021eb39c1a163b6da4e3093dcd3f21387da4cc4572be588fafae23c155b",
    "a9d55260f765261eb9b84e106f665e00b867287a761990d7135963ee0a7d59dca5bb704786be79fc476f91d3f3f89b03984d8068dcf1bb7dfc6637b45450ac04",
  ],
  [
    ...([
      "11: non-canonical small A, not reduced before the hash",
      false,
      true,
      secondSpelling,
    ] as const),
    "39a591f5321bbe07fd5a23dc2f39d025d74526615746727ceefd6e82ae65c06f",
    "a9d55260f765261eb9b84e106f665e00b867287a761990d7135963ee0a7d59dca5bb704786be79fc476f91d3f3f89b03984d8068dcf1bb7dfc6637b45450ac04",
  ],
];

describe("I-1 Ed25519 at its edges", () => {
  test.each(edgeCases)("I-1 case %s", (_, isAccepted, isLenient, key, message, signature) => {
    expect(verifyBytes(key, hex(message), hex(signature))).toBe(isAccepted);
    expect(lenient(key, message, signature)).toBe(isLenient);
  });

  test("I-1 no key of small order and no second spelling of a key is sound", () => {
    const torsion = Point.fromHex(smallKey, true);
    let point = Point.ZERO;
    for (let index = 0; index < 8; index++, point = point.add(torsion)) {
      expect(point.isSmallOrder()).toBe(true);
      expect(isSoundKey(point.toHex())).toBe(false);
    }
    // y from p to 2^255 - 1, either sign of x: nineteen values, none of them canonical.
    for (let low = 0xed; low <= 0xff; low++)
      for (const high of ["7f", "ff"])
        expect(isSoundKey(`${low.toString(16)}${"ff".repeat(30)}${high}`)).toBe(false);
    // The largest y below p is canonical, but of small order; the one before is a key like others.
    expect(isSoundKey(`eb${"ff".repeat(30)}7f`)).toBe(true);
    expect([plainKey, mixedKey].map(isSoundKey)).toEqual([true, true]);
  });

  test("I-1 a key that is no point of the curve verifies nothing", () => {
    const offCurve = `02${"00".repeat(31)}`;
    expect(() => Point.fromHex(offCurve)).toThrow();
    expect(verifyBytes(offCurve, hex("aa"), new Uint8Array(64))).toBe(false);
  });

  test("I-1 signing twice gives the same bytes, and any changed bit of them is refused", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 32, maxLength: 32 }),
        fc.uint8Array({ maxLength: 300 }),
        fc.nat(511),
        (seed, message, bit) => {
          const key = signingKeyFromSeed(seed);
          const signature = signBytes(key, message);
          expect(signBytes(signingKeyFromSeed(seed), message)).toEqual(signature);
          expect(verifyBytes(key.publicKey, message, signature)).toBe(true);
          expect(verify(signature, message, hex(key.publicKey))).toBe(true);
          signature[bit >> 3]! ^= 1 << (bit & 7);
          expect(verifyBytes(key.publicKey, message, signature)).toBe(false);
        },
      ),
      { numRuns: 60 },
    );
  });

  test("I-1 signatures of 0, 63, 65 and 128 bytes are false", () => {
    const key = signingKeyFromSeed(new Uint8Array(32));
    const signature = signBytes(key, hex("aa"));
    for (const length of [0, 63, 65, 128]) {
      const changed = new Uint8Array(length);
      changed.set(signature.subarray(0, length));
      expect(verifyBytes(key.publicKey, hex("aa"), changed)).toBe(false);
    }
    expect(verifyBytes(key.publicKey, hex("aa"), signature)).toBe(true);
  });
});

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
