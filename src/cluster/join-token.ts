import * as v from "valibot";
import { digestBytes, type Digest } from "#src/codec/digest.ts";
import { Refusal } from "#src/refusal/refusal.ts";

/** What stands in a join token: the mesh, the certificate its host shows, and the secret that opens it. */
export interface JoinToken {
  readonly mesh: string;
  /** SHA-256 of the host's TLS certificate. */
  readonly certificate: Digest;
  /** The token's name, as lists show it. */
  readonly token: string;
  /** 32 hexadecimal digits; whoever has it may join. */
  readonly secret: string;
}

/** A secret is 128 bits. */
export const secretBytes = 16;
const prefix = "psn1_";
/** Of the SHA-256 of what comes before it: a token that was cut or mistyped is told from a wrong one. */
const checkCharacters = 8;
/** Characters of a token; longer text is refused unread. */
export const tokenTextMaximum = 512;

const contentSchema = v.strictTuple([
  v.pipe(v.string(), v.regex(/^psm[a-z2-7]{32}$/)),
  v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)),
  v.pipe(v.string(), v.regex(/^[a-z0-9][a-z0-9-]{0,63}$/)),
  v.pipe(v.string(), v.regex(/^[0-9a-f]{32}$/)),
]);

/** The one line of text a token travels as: `psn1_`, then base64url. */
export function tokenText({ mesh, certificate, token, secret }: JoinToken): string {
  const body = Buffer.concat([
    Buffer.from(certificate, "hex"),
    Buffer.from(secret, "hex"),
    Buffer.from(`${mesh} ${token}`),
  ]).toString("base64url");
  return `${prefix}${body}${digestBytes(body).slice(0, checkCharacters)}`;
}

/** Reads a token. Refused with `token_malformed`; the refusal does not repeat the secret. */
export function readToken(text: string): JoinToken {
  const trimmed = text.trim();
  const content = trimmed.slice(prefix.length, -checkCharacters);
  const isWhole =
    trimmed.length <= tokenTextMaximum &&
    trimmed.startsWith(prefix) &&
    digestBytes(content).slice(0, checkCharacters) === trimmed.slice(-checkCharacters);
  const bytes = Buffer.from(isWhole ? content : "", "base64url");
  const [mesh, token] = bytes
    .subarray(32 + secretBytes)
    .toString("latin1")
    .split(" ");
  const certificate = bytes.subarray(0, 32).toString("hex");
  const secret = bytes.subarray(32, 32 + secretBytes).toString("hex");
  const parsed = v.safeParse(contentSchema, [mesh, certificate, token, secret]);
  if (!parsed.success)
    throw new Refusal(
      "token_malformed",
      "that is not the whole join token, or a character of it is wrong",
      `copy all of it, from ${prefix} to the end, as \`psionic up\` or \`psionic token create\` printed it`,
    );
  return { mesh: parsed.output[0], certificate, token: parsed.output[2], secret };
}
