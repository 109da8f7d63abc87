import * as v from "valibot";
import { canonicalText } from "#src/codec/digest.ts";
import type { Disk } from "#src/port/disk.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { nodeIdSchema, receiptSchema } from "./parse-receipt.ts";
import type { Receipt } from "./receipt.ts";
import { rotationMaximum } from "./rotation.ts";
import { pemOf, signingKeyFromPem, type SigningKey } from "./signature.ts";

/** The files of `identity/`, each written whole or not at all. */

export interface IdentityPlace {
  readonly disk: Disk;
  /** The `identity/` directory. */
  readonly directory: string;
}

/** A node: the key it signs with, the id that follows from its first key, and when it was born. */
export interface NodeIdentity {
  readonly nodeId: string;
  /** 32 bytes as lowercase hexadecimal: the key of now. */
  readonly publicKey: string;
  /** Wall-clock milliseconds of its making. */
  readonly bornMs: number;
  readonly key: SigningKey;
  /** How the first key led to the key of now, verified: see `historyEndingIn`. */
  readonly rotations: readonly Receipt[];
}

const ownerOnly = 0o600;
export const directoryMode = 0o700;

export const keyPath = (place: IdentityPlace) => `${place.directory}/node.key`;
/** The key that a rotation under way leads to; there only until the rotation is done or undone. */
export const nextKeyPath = (place: IdentityPlace) => `${place.directory}/node.key.next`;
export const descriptorPath = (place: IdentityPlace) => `${place.directory}/node.json`;
export const rotationsPath = (place: IdentityPlace) => `${place.directory}/rotations.json`;

/** A private key file: the key, and whether others than its owner may read it. */
export async function readKey(
  place: IdentityPlace,
  path: string,
): Promise<SigningKey | "missing" | "corrupt"> {
  const file = await place.disk.stat(path);
  if (file === null) return "missing";
  const pem = await place.disk.readText(path);
  const key = signingKeyFromPem(pem);
  if (key === null) return "corrupt";
  if ((file.mode & 0o077) !== 0) await place.disk.publish(path, pem, ownerOnly);
  return key;
}

export async function writeKey(place: IdentityPlace, path: string, key: SigningKey): Promise<void> {
  await place.disk.publish(path, pemOf(key), ownerOnly);
}

/** What `identity/node.json` says in public. It can always be rewritten from the key. */
export interface Descriptor {
  readonly version: 1;
  readonly nodeId: string;
  readonly publicKey: string;
  readonly bornMs: number;
}

export async function readDescriptor(place: IdentityPlace): Promise<string | null> {
  if ((await place.disk.stat(descriptorPath(place))) === null) return null;
  return place.disk.readText(descriptorPath(place));
}

export async function writeDescriptor(place: IdentityPlace, text: string): Promise<void> {
  await place.disk.publish(descriptorPath(place), text, ownerOnly);
}

export function descriptorText({ nodeId, publicKey, bornMs }: Omit<Descriptor, "version">): string {
  return `${JSON.stringify({ version: 1, nodeId, publicKey, bornMs }, null, 2)}\n`;
}

/** The node id in a descriptor's text, however damaged the rest is. */
export function describedId(text: string): string | null {
  return /"nodeId"\s*:\s*"(psn[a-z2-7]{32})"/.exec(text)?.[1] ?? null;
}

/** The birth time in a descriptor's text, however damaged the rest is. */
export function describedBirth(text: string): number | null {
  const digits = /"bornMs"\s*:\s*(\d{1,15})\s*[,}\n]/.exec(text)?.[1];
  return digits === undefined ? null : Number(digits);
}

/** A history of so many rotations fits in this. */
const rotationsMaximumBytes = 512 * 1024;

const rotationsSchema = v.strictObject({
  type: v.literal("psionic-key-rotations"),
  version: v.literal(1),
  nodeId: nodeIdSchema,
  rotations: v.pipe(v.array(receiptSchema), v.maxLength(rotationMaximum)),
});

export type RotationsFile = v.InferOutput<typeof rotationsSchema>;

/** The history of keys as it lies there; its receipts are not verified yet. */
export async function readRotations(
  place: IdentityPlace,
): Promise<RotationsFile | "missing" | "corrupt"> {
  const file = await place.disk.stat(rotationsPath(place));
  if (file === null) return "missing";
  if (file.kind !== "file" || file.sizeBytes > rotationsMaximumBytes) return "corrupt";
  try {
    const json: unknown = JSON.parse(await place.disk.readText(rotationsPath(place)));
    const parsed = v.safeParse(rotationsSchema, json);
    return parsed.success ? parsed.output : "corrupt";
  } catch (error) {
    if (error instanceof Refusal) throw error;
    return "corrupt";
  }
}

export async function writeRotations(
  place: IdentityPlace,
  nodeId: string,
  rotations: readonly Receipt[],
): Promise<void> {
  const content = { type: "psionic-key-rotations", version: 1, nodeId, rotations };
  await place.disk.publish(rotationsPath(place), `${canonicalText(content)}\n`, ownerOnly);
}
