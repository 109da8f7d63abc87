import * as v from "valibot";
import { encodeBase32 } from "#src/codec/base32.ts";
import { canonicalText, digestJson } from "#src/codec/digest.ts";
import { signBytes, verifyBytes, type SigningKey } from "#src/receipt/signature.ts";

/** A grant lives 90 days at most; what a node must remember of grants is bounded by it. */
export const lifetimeMaximumMs = 90 * 24 * 60 * 60 * 1000;
/** How far apart the clocks of an issuer and of the node that judges may be. */
export const clockSkewMs = 5 * 60 * 1000;
export const capabilityMaximum = 64;
/** Letters of one capability. */
export const capabilityLength = 128;
/** Letters of a whole grant as JSON; what is longer is not read. */
export const grantTextMaximum = 16_384;
export const callMaximum = 1_000_000_000;
export const deviceSecondMaximum = 1_000_000_000;
export const byteMaximum = 2 ** 50;

/** What a grant lends at most; what is absent is not limited. */
export interface GrantBudget {
  readonly calls?: number | undefined;
  /** Seconds during which a command admitted by the grant runs, all uses added up. */
  readonly deviceSeconds?: number | undefined;
  /** Bytes of answers, as the JSON they are sent in. */
  readonly bytes?: number | undefined;
}

/** What an issuer signs. Canonical JSON of it is what the signature covers (docs/FORMATS.md). */
export interface GrantContent {
  readonly type: "psionic-grant";
  readonly version: 1;
  /** `psg` and 32 base32 letters of the SHA-256 of all other members. */
  readonly id: string;
  readonly mesh: string;
  /** Node id of the issuer and the key that signs. */
  readonly issuer: string;
  readonly issuerKey: string;
  /** Public key of whoever may present it. */
  readonly grantee: string;
  /** Ascends with everything an issuer issues; a newer one replaces what the grantee had. */
  readonly epoch: number;
  /** Names of commands; none in a grant that only takes back. */
  readonly capabilities: readonly string[];
  readonly issuedMs: number;
  readonly expiresMs: number;
  readonly budget: GrantBudget;
}

export interface Grant extends GrantContent {
  /** Ed25519, 128 hexadecimal characters. */
  readonly signature: string;
}

const publicKey = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/));
const nodeId = v.pipe(v.string(), v.regex(/^psn[a-z2-7]{32}$/));
const count = (maximum: number) =>
  v.pipe(v.number(), v.safeInteger(), v.minValue(1), v.maxValue(maximum));
const timeMs = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

/** The shape of a capability: a command's name, or the beginning of one up to a `/`. */
export const capabilityShape = /^[a-z][a-z0-9-]*(?:\/[a-z][a-z0-9-]*)*$/;

const grantSchema = v.pipe(
  v.strictObject({
    type: v.literal("psionic-grant"),
    version: v.literal(1),
    id: v.pipe(v.string(), v.regex(/^psg[a-z2-7]{32}$/)),
    mesh: v.pipe(v.string(), v.regex(/^psm[a-z2-7]{32}$/)),
    issuer: nodeId,
    issuerKey: publicKey,
    grantee: publicKey,
    epoch: v.pipe(v.number(), v.safeInteger(), v.minValue(1)),
    capabilities: v.pipe(
      v.array(v.pipe(v.string(), v.maxLength(capabilityLength), v.regex(capabilityShape))),
      v.maxLength(capabilityMaximum),
    ),
    issuedMs: timeMs,
    expiresMs: timeMs,
    budget: v.strictObject({
      calls: v.exactOptional(count(callMaximum)),
      deviceSeconds: v.exactOptional(count(deviceSecondMaximum)),
      bytes: v.exactOptional(count(byteMaximum)),
    }),
    signature: v.pipe(v.string(), v.regex(/^[0-9a-f]{128}$/)),
  }),
  v.check(({ issuedMs, expiresMs }) => expiresMs > issuedMs, "it expires before it begins"),
  v.check(
    ({ issuedMs, expiresMs }) => expiresMs - issuedMs <= lifetimeMaximumMs,
    "it lives longer than 90 days",
  ),
);

/** The grant in a JSON value, or why there is none in it. Never throws, whatever the value. */
export function readGrant(value: unknown): Grant | { readonly wrong: string } {
  const read = v.safeParse(grantSchema, value, { abortEarly: true });
  if (read.success) return read.output;
  const [issue] = read.issues;
  const path = v.getDotPath(issue);
  return { wrong: path === null ? issue.message : `${path}: ${issue.message}` };
}

/** The canonical text that the signature covers. */
export function grantText(grant: GrantContent): string {
  const { type, version, id, mesh, issuer, issuerKey, grantee, epoch } = grant;
  const { capabilities, issuedMs, expiresMs, budget } = grant;
  return canonicalText({
    ...{ type, version, id, mesh, issuer, issuerKey, grantee, epoch },
    ...{ capabilities, issuedMs, expiresMs, budget },
  });
}

/** 160 bits, as in node ids. */
const idBytes = 20;

function idOf(content: Omit<GrantContent, "id">): string {
  const { type, version, mesh, issuer, issuerKey, grantee, epoch } = content;
  const { capabilities, issuedMs, expiresMs, budget } = content;
  const digest = digestJson({
    ...{ type, version, mesh, issuer, issuerKey, grantee, epoch },
    ...{ capabilities, issuedMs, expiresMs, budget },
  });
  return `psg${encodeBase32(Buffer.from(digest, "hex").subarray(0, idBytes))}`;
}

/** Gives a content its id and signs it with the issuer's key. */
export function signGrant(
  content: Omit<GrantContent, "type" | "version" | "id" | "issuerKey">,
  key: SigningKey,
): Grant {
  const whole = {
    ...({ type: "psionic-grant", version: 1, issuerKey: key.publicKey } as const),
    ...content,
  };
  const named: GrantContent = { ...whole, id: idOf(whole) };
  const signature = Buffer.from(signBytes(key, Buffer.from(grantText(named)))).toString("hex");
  return { ...named, signature };
}

/** True when the id follows from the content and the issuer's key signed it. */
export function isIntact(grant: Grant): boolean {
  if (grant.id !== idOf(grant)) return false;
  const text = Buffer.from(grantText(grant));
  return verifyBytes(grant.issuerKey, text, Buffer.from(grant.signature, "hex"));
}
