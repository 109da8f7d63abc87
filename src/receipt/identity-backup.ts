import { createCipheriv, createDecipheriv, scryptSync } from "node:crypto";
import * as v from "valibot";
import { canonicalText } from "#src/codec/digest.ts";
import type { Random } from "#src/port/random.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import type { NodeIdentity } from "./identity.ts";
import type { Receipt } from "./receipt.ts";
import { receiptSchema } from "./parse-receipt.ts";
import { historyEndingIn, rotationMaximum } from "./rotation.ts";
import { pemOf, signingKeyFromPem, type SigningKey } from "./signature.ts";

/**
 * A backup of a node's key, encrypted by passphrase: scrypt makes the key, AES-256-GCM seals
 * the PEM, and the readable header is authenticated with it.
 */

/** 64 MiB and a quarter second per guess on a desktop processor (RFC 7914 parameters). */
const scryptCost = { N: 65_536, r: 8, p: 1 } as const;
const scryptMaxMemoryBytes = 256 * 1024 * 1024;

const hex = (bytes: number) => v.pipe(v.string(), v.regex(new RegExp(`^[0-9a-f]{${bytes * 2}}$`)));

const members = {
  type: v.literal("psionic-identity-backup"),
  nodeId: v.string(),
  publicKey: hex(32),
  bornMs: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
  derivation: v.strictObject({
    name: v.literal("scrypt"),
    // Bounded, so that a hostile file cannot ask for all memory.
    N: v.pipe(v.number(), v.integer(), v.minValue(2), v.maxValue(1 << 17)),
    r: v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(8)),
    p: v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(4)),
    salt: hex(16),
  }),
  cipher: v.strictObject({
    name: v.literal("aes-256-gcm"),
    nonce: hex(12),
    tag: hex(16),
  }),
  sealed: v.pipe(v.string(), v.maxLength(4096), v.regex(/^[0-9a-f]+$/)),
};

/** Version 1 is from before keys could be rotated. */
const backupSchema = v.variant("version", [
  v.strictObject({ ...members, version: v.literal(1) }),
  v.strictObject({
    ...members,
    version: v.literal(2),
    rotations: v.pipe(v.array(receiptSchema), v.maxLength(rotationMaximum)),
  }),
]);

type Backup = v.InferOutput<typeof backupSchema>;

export function sealBackup(identity: NodeIdentity, passphrase: string, random: Random): string {
  const salt = Buffer.from(random.bytes(16)).toString("hex");
  const nonce = Buffer.from(random.bytes(12));
  const header = {
    type: "psionic-identity-backup",
    version: 2,
    nodeId: identity.nodeId,
    publicKey: identity.publicKey,
    bornMs: identity.bornMs,
    rotations: identity.rotations,
    derivation: { name: "scrypt", ...scryptCost, salt },
  } as const;
  const cipher = createCipheriv("aes-256-gcm", deriveKey(passphrase, header.derivation), nonce);
  cipher.setAAD(Buffer.from(canonicalText(header)));
  const sealed = Buffer.concat([cipher.update(pemOf(identity.key), "utf8"), cipher.final()]);
  const backup = {
    ...header,
    cipher: {
      name: "aes-256-gcm",
      nonce: nonce.toString("hex"),
      tag: cipher.getAuthTag().toString("hex"),
    },
    sealed: sealed.toString("hex"),
  };
  return `${JSON.stringify(backup, null, 2)}\n`;
}

/**
 * The key, its history and the birth time in a backup. Refused with `backup_wrong` whatever is wrong
 * with it.
 */
export function openBackup(
  text: string,
  passphrase: string,
): Pick<NodeIdentity, "key" | "bornMs" | "rotations"> {
  const backup = parseBackup(text);
  const { cipher: seal, sealed, ...header } = backup;
  let pem: string;
  try {
    const decipher = createDecipheriv(
      "aes-256-gcm",
      deriveKey(passphrase, backup.derivation),
      Buffer.from(seal.nonce, "hex"),
    );
    decipher.setAAD(Buffer.from(canonicalText(header)));
    decipher.setAuthTag(Buffer.from(seal.tag, "hex"));
    pem = Buffer.concat([decipher.update(sealed, "hex"), decipher.final()]).toString("utf8");
  } catch {
    throw new Refusal(
      "backup_wrong",
      "the passphrase is wrong or the backup was changed",
      "try the passphrase again, or another copy of the backup",
    );
  }
  const key = signingKeyFromPem(pem);
  const rotations = backup.version === 1 ? [] : backup.rotations;
  if (key === null || !isKeyOf(backup.nodeId, key, rotations)) {
    throw new Refusal(
      "backup_wrong",
      "the backup does not hold the key of the node it names",
      "use another copy of the backup",
    );
  }
  return { key, bornMs: backup.bornMs, rotations };
}

function isKeyOf(nodeId: string, key: SigningKey, rotations: readonly Receipt[]): boolean {
  try {
    return historyEndingIn(key.publicKey, rotations).nodeId === nodeId;
  } catch (error) {
    if (error instanceof Refusal) return false;
    throw error;
  }
}

function parseBackup(text: string): Backup {
  let json: unknown = null;
  try {
    json = JSON.parse(text);
  } catch {
    // Reported with every other wrong shape below.
  }
  const parsed = v.safeParse(backupSchema, json);
  if (parsed.success) return parsed.output;
  throw new Refusal(
    "backup_wrong",
    "the file is not an identity backup this version reads",
    "give a file that `psionic identity backup` wrote",
    { path: v.getDotPath(parsed.issues[0]) ?? "" },
  );
}

function deriveKey(
  passphrase: string,
  { N, r, p, salt }: { N: number; r: number; p: number; salt: string },
): Buffer {
  return scryptSync(passphrase.normalize("NFKC"), Buffer.from(salt, "hex"), 32, {
    N,
    r,
    p,
    maxmem: scryptMaxMemoryBytes,
  });
}
