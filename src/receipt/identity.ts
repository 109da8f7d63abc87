import type { Clock } from "#src/port/clock.ts";
import type { Disk } from "#src/port/disk.ts";
import type { Random } from "#src/port/random.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import {
  nodeIdOf,
  pemOf,
  signingKeyFromPem,
  signingKeyFromSeed,
  type SigningKey,
} from "./signature.ts";

/** A node: its key, the id that follows from it, and when it was born. */
export interface NodeIdentity {
  readonly nodeId: string;
  /** 32 bytes as lowercase hexadecimal. */
  readonly publicKey: string;
  /** Wall-clock milliseconds of its making. */
  readonly bornMs: number;
  readonly key: SigningKey;
}

/** What `identity/node.json` says in public. It can always be rewritten from the key. */
interface Descriptor {
  readonly version: 1;
  readonly nodeId: string;
  readonly publicKey: string;
  readonly bornMs: number;
}

export interface IdentityPlace {
  readonly disk: Disk;
  /** The `identity/` directory. */
  readonly directory: string;
}

const ownerOnly = 0o600;
const directoryMode = 0o700;

const keyPath = (place: IdentityPlace) => `${place.directory}/node.key`;
const descriptorPath = (place: IdentityPlace) => `${place.directory}/node.json`;

/**
 * Loads the identity and heals what may be healed: a missing or corrupt descriptor is
 * rewritten from the live key and keeps the birth time where it can be read; permissions of
 * the key are narrowed. Null where there is neither key nor descriptor.
 *
 * Refusals: `identity_key_missing` with a descriptor but no key, `identity_key_corrupt`.
 */
export async function loadIdentity(place: IdentityPlace): Promise<NodeIdentity | null> {
  const { disk } = place;
  const keyFile = await disk.stat(keyPath(place));
  const descriptorFile = await disk.stat(descriptorPath(place));
  if (keyFile === null) {
    if (descriptorFile !== null) throw keyMissing(place);
    return null;
  }
  const pem = await disk.readText(keyPath(place));
  const key = signingKeyFromPem(pem);
  if (key === null) {
    throw new Refusal(
      "identity_key_corrupt",
      `${keyPath(place)} is not an Ed25519 private key`,
      "restore it with `psionic identity restore FILE`",
      { path: keyPath(place) },
    );
  }
  if ((keyFile.mode & 0o077) !== 0) await disk.publish(keyPath(place), pem, ownerOnly);
  const text = descriptorFile === null ? "" : await disk.readText(descriptorPath(place));
  const identity: NodeIdentity = {
    nodeId: nodeIdOf(key.publicKey),
    publicKey: key.publicKey,
    // Where no birth time can be read, the key file's own age is the best witness left.
    bornMs: readBirth(text) ?? Math.floor(keyFile.modifiedMs),
    key,
  };
  if (text !== descriptorText(identity)) await writeDescriptor(place, identity);
  return identity;
}

/** Refused because state of a node is here but not the key that made it. */
export function keyMissing(place: IdentityPlace): Refusal {
  return new Refusal(
    "identity_key_missing",
    `${keyPath(place)} is missing, but this home holds a node's state`,
    "restore the key with `psionic identity restore FILE`, or start a new home with --home",
    { path: keyPath(place) },
  );
}

/** Makes the identity of a new home. The key is durable before the descriptor names it. */
export async function createIdentity(
  place: IdentityPlace,
  random: Random,
  clock: Clock,
): Promise<NodeIdentity> {
  const key = signingKeyFromSeed(random.bytes(32));
  return writeIdentity(place, key, Math.floor(clock.wallMs()));
}

/** Writes key and descriptor, the key first. */
export async function writeIdentity(
  place: IdentityPlace,
  key: SigningKey,
  bornMs: number,
): Promise<NodeIdentity> {
  const identity = { nodeId: nodeIdOf(key.publicKey), publicKey: key.publicKey, bornMs, key };
  await place.disk.makeDirectory(place.directory, directoryMode);
  await place.disk.publish(keyPath(place), pemOf(key), ownerOnly);
  await writeDescriptor(place, identity);
  return identity;
}

async function writeDescriptor(place: IdentityPlace, identity: NodeIdentity): Promise<void> {
  await place.disk.publish(descriptorPath(place), descriptorText(identity), ownerOnly);
}

function descriptorText({ nodeId, publicKey, bornMs }: NodeIdentity): string {
  const descriptor: Descriptor = { version: 1, nodeId, publicKey, bornMs };
  return `${JSON.stringify(descriptor, null, 2)}\n`;
}

/** The node id a descriptor names, whether or not the key is there. */
export async function describedNodeId(place: IdentityPlace): Promise<string | null> {
  if ((await place.disk.stat(descriptorPath(place))) === null) return null;
  const text = await place.disk.readText(descriptorPath(place));
  return /"nodeId"\s*:\s*"(psn[a-z2-7]{32})"/.exec(text)?.[1] ?? null;
}

/** The birth time in a descriptor's text, however damaged the rest is. */
function readBirth(text: string): number | null {
  const digits = /"bornMs"\s*:\s*(\d{1,15})\s*[,}\n]/.exec(text)?.[1];
  return digits === undefined ? null : Number(digits);
}
