import type { Random } from "#src/port/random.ts";
import { provenBy, type ChainEvidence } from "./find-history.ts";
import {
  descriptorText,
  keyPath,
  nextKeyPath,
  readKey,
  readRotations,
  writeDescriptor,
  writeKey,
  writeRotations,
  type IdentityPlace,
  type NodeIdentity,
} from "./key-files.ts";
import type { Receipt } from "./receipt.ts";
import { signingKeyFromSeed, type SigningKey } from "./signature.ts";

/**
 * A rotation in four durable steps: the next key's file; the receipt in the chain, which decides; the
 * history; the next key in the place of the old. Cut off before the receipt, nothing has happened
 * and the file beside is replaced by the next rotation. Cut off after it, whoever reads the identity next
 * does the rest. At no moment does anything but a durable file hold a key that others may rely on.
 */

/** First step: a fresh key, durable beside the old one. The caller holds the home's lock. */
export async function prepareRotation(place: IdentityPlace, random: Random): Promise<SigningKey> {
  const next = signingKeyFromSeed(random.bytes(32));
  await writeKey(place, nextKeyPath(place), next);
  return next;
}

/** Last steps, once the receipt is durable in the chain. */
export async function finishRotation(
  place: IdentityPlace,
  before: NodeIdentity,
  rotation: Receipt,
  next: SigningKey,
): Promise<NodeIdentity> {
  const { nodeId, bornMs } = before;
  const rotations = [...before.rotations, rotation];
  const after = { nodeId, bornMs, publicKey: next.publicKey, key: next, rotations };
  await writeRotations(place, nodeId, rotations);
  await moveIntoPlace(place);
  await writeDescriptor(place, descriptorText(after));
  return after;
}

/**
 * Completes a rotation that was cut off after its receipt was durable; gives the key that counts.
 * Any number of processes may do so at once.
 */
export async function completeRotation(
  place: IdentityPlace,
  present: SigningKey,
  chain: ChainEvidence,
): Promise<SigningKey> {
  const next = await readKey(place, nextKeyPath(place));
  if (typeof next === "string") return present;
  const file = await readRotations(place);
  const inFile = typeof file === "string" ? [] : file.rotations;
  if (provenBy(inFile, next.publicKey) === null) {
    const last = chain().findLast(({ body }) => body["to"] === next.publicKey);
    if (last?.key !== present.publicKey) return present;
    // A restored home has the later part of its chain alone; the file has what came before.
    const proven = provenBy([...inFile, last], next.publicKey) ?? provenBy(chain(), next.publicKey);
    if (proven === null) return present;
    await writeRotations(place, proven.nodeId, proven.rotations);
  }
  await moveIntoPlace(place);
  return next;
}

/** The next key becomes the key; another process may have been faster. */
async function moveIntoPlace(place: IdentityPlace): Promise<void> {
  try {
    await place.disk.rename(nextKeyPath(place), keyPath(place));
  } catch (error) {
    if ((await place.disk.stat(nextKeyPath(place))) !== null) throw error;
  }
  await place.disk.syncDirectory(place.directory);
}
