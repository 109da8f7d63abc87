import { createECDH, createPrivateKey, createPublicKey, sign, X509Certificate } from "node:crypto";
import { digestBytes, type Digest } from "#src/codec/digest.ts";
import type { Random } from "#src/port/random.ts";

/** A node's TLS certificate and the key to it, in PEM. */
export interface TlsIdentity {
  readonly certificate: string;
  readonly key: string;
  /** SHA-256 of the certificate as it travels: what callers pin. */
  readonly fingerprint: Digest;
}

/** The fingerprint of a certificate in PEM or DER. Throws where it is none. */
export function fingerprintOf(certificate: string | Uint8Array): Digest {
  return digestBytes(new X509Certificate(certificate).raw);
}

/**
 * A self-signed P-256 certificate (RFC 5280) that names a node. Callers pin its digest and a node signs
 * that digest with its own key, so nothing in it is believed: it has no end that a wrong clock could
 * reach, and one constant name.
 */
export function makeCertificate(nodeId: string, random: Random): TlsIdentity {
  const key = drawKey(random);
  const algorithm = sequence(objectId(ecdsaWithSha256));
  const name = sequence(element(0x31, sequence(objectId(commonName), element(0x0c, text(nodeId)))));
  const names = element(0x04, sequence(element(0x82, text("psionic"))));
  const content = sequence(
    element(0xa0, element(0x02, Buffer.from([2]))),
    element(0x02, Buffer.concat([Buffer.from([1]), random.bytes(15)])),
    algorithm,
    name,
    sequence(element(0x17, text("200101000000Z")), element(0x18, text("99991231235959Z"))),
    name,
    createPublicKey(key).export({ type: "spki", format: "der" }),
    element(0xa3, sequence(sequence(objectId(subjectAltName), names))),
  );
  const signature = Buffer.concat([Buffer.from([0]), sign("sha256", content, key)]);
  const certificate = new X509Certificate(sequence(content, algorithm, element(0x03, signature)));
  return {
    certificate: certificate.toString(),
    key: key.export({ type: "pkcs8", format: "pem" }),
    fingerprint: digestBytes(certificate.raw),
  };
}

function drawKey(random: Random) {
  const curve = createECDH("prime256v1");
  for (;;) {
    try {
      curve.setPrivateKey(random.bytes(32));
      break;
    } catch {
      // One in 2^32 draws is no number below the order of the curve.
    }
  }
  const point = curve.getPublicKey();
  const word = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64url");
  // A private key whose leading bytes are zero is shorter than JWK wants it.
  const d = Buffer.concat([Buffer.alloc(32), curve.getPrivateKey()]).subarray(-32);
  const jwk = { kty: "EC", crv: "P-256", d: word(d), x: word(point.subarray(1, 33)) };
  return createPrivateKey({ key: { ...jwk, y: word(point.subarray(33)) }, format: "jwk" });
}

const ecdsaWithSha256 = "2a8648ce3d040302";
const commonName = "550403";
const subjectAltName = "551d11";

const text = (value: string) => Buffer.from(value, "latin1");
const objectId = (hex: string) => element(0x06, Buffer.from(hex, "hex"));
const sequence = (...parts: readonly Uint8Array[]) => element(0x30, ...parts);

/** One DER element: tag, length, content. */
function element(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(parts);
  const size = content.length;
  const length = size < 128 ? [size] : size < 256 ? [0x81, size] : [0x82, size >> 8, size & 255];
  return Buffer.concat([Buffer.from([tag, ...length]), content]);
}
