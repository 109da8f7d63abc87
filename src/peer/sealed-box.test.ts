import { describe, expect, test } from "bun:test";
import { CipherSuite, DhkemX25519HkdfSha256, HkdfSha256 } from "@hpke/core";
import { Chacha20Poly1305 } from "@hpke/chacha20poly1305";
import { Refusal } from "#src/refusal/refusal.ts";
import {
  boxKeyFromPem,
  boxKeyFromSeed,
  boxOverheadBytes,
  boxPem,
  openBox,
  sealBox,
  type BoxWay,
} from "./sealed-box.ts";

const hex = (text: string) => new Uint8Array(Buffer.from(text, "hex")).buffer;
const key = boxKeyFromSeed(new Uint8Array(32).fill(7));
const way: BoxWay = {
  ...{ mesh: `psm${"a".repeat(32)}`, sender: `psn${"a".repeat(32)}` },
  ...{ recipient: `psn${"b".repeat(32)}`, relay: `psn${"c".repeat(32)}` },
  session: "0".repeat(32),
};
const plain = Buffer.from("hold the line");

async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    if (error instanceof Refusal) return error.code;
    throw error;
  }
  throw new Error("nothing was refused");
}

describe("C-8 what passes through a relay is sealed", () => {
  test("C-8 the suite is the one of RFC 9180, appendix A.2.1", async () => {
    const kem = new DhkemX25519HkdfSha256();
    const suite = new CipherSuite({ kem, kdf: new HkdfSha256(), aead: new Chacha20Poly1305() });
    const info = hex("4f6465206f6e2061204772656369616e2055726e");
    const aad = hex("436f756e742d30");
    const text = hex("4265617574792069732074727574682c20747275746820626561757479");
    const ephemeral = "1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a";
    const secret = "f4ec9b33b792c372c1d2c2063507b684ef925b8c75a42dbcbf57d63ccd381600";
    const recipient = "8057991eef8f1f1af18f4a9491d16a1ce333f695d4db8e38da75975c4478e0fb";
    const recipientPublic = "4310ee97d88cc1f088a5576c77ab0cf5c3ac797f3d95139c6c84b5429c59662a";
    const box = boxKeyFromSeed(Buffer.from(recipient, "hex"));
    expect(box.publicKey).toBe(recipientPublic);
    const ekm = {
      publicKey: await kem.deserializePublicKey(hex(ephemeral)),
      privateKey: await kem.deserializePrivateKey(hex(secret)),
    };
    const recipientPublicKey = await kem.deserializePublicKey(hex(recipientPublic));
    const sealed = await suite.seal({ recipientPublicKey, info, ekm }, text, aad);
    expect(Buffer.from(sealed.enc).toString("hex")).toBe(ephemeral);
    expect(Buffer.from(sealed.ct).toString("hex")).toBe(
      "1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db21993c62ce81883d2dd1b51a28",
    );
    const recipientKey = await kem.deserializePrivateKey(hex(recipient));
    const opened = await suite.open({ recipientKey, enc: sealed.enc, info }, sealed.ct, aad);
    expect(Buffer.from(opened).toString()).toBe("Beauty is truth, truth beauty");
  });

  test("C-8 the recipient opens it, and it shows nothing of what is in it", async () => {
    const box = await sealBox(key.publicKey, way, plain);
    expect(box.length).toBe(plain.length + boxOverheadBytes);
    expect(Buffer.from(box).includes(plain)).toBeFalse();
    expect(Buffer.from(await openBox(key, way, box)).toString()).toBe("hold the line");
    const again = await sealBox(key.publicKey, way, plain);
    expect(Buffer.from(again).equals(Buffer.from(box))).toBeFalse();
  });

  test("C-8 nobody else opens it, nor anybody on another way, nor once it was changed", async () => {
    const box = await sealBox(key.publicKey, way, plain);
    const other = boxKeyFromSeed(new Uint8Array(32).fill(8));
    expect(await codeOf(openBox(other, way, box))).toBe("box_forged");
    for (const member of ["mesh", "sender", "recipient", "relay", "session"] as const) {
      const elsewhere = { ...way, [member]: `${way[member].slice(0, -1)}z` };
      expect(await codeOf(openBox(key, elsewhere, box))).toBe("box_forged");
    }
    for (const place of [0, 31, 32, box.length - 1]) {
      const changed = Uint8Array.from(box);
      changed[place]! ^= 1;
      expect(await codeOf(openBox(key, way, changed))).toBe("box_forged");
    }
    for (const size of [0, 31, 47, box.length - 1])
      expect(await codeOf(openBox(key, way, box.subarray(0, size)))).toBe("box_forged");
  });

  test("C-8 a key of small order, or none, is refused: everybody would know the secret", async () => {
    for (const bad of ["0".repeat(64), `01${"0".repeat(62)}`, "", "ab"])
      expect(await codeOf(sealBox(bad, way, plain))).toBe("box_unsealable");
  });

  test("C-8 a key survives its file, and no other key passes for one", () => {
    const read = boxKeyFromPem(boxPem(key));
    expect(read?.publicKey).toBe(key.publicKey);
    expect(boxKeyFromPem("nothing")).toBeNull();
    const signing =
      "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH\n-----END PRIVATE KEY-----\n";
    expect(boxKeyFromPem(signing)).toBeNull();
  });
});
