import type { Clock } from "#src/port/clock.ts";
import type { Random } from "#src/port/random.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { findHistory, type ChainEvidence } from "./find-history.ts";
import {
  describedBirth,
  describedId,
  descriptorText,
  directoryMode,
  keyPath,
  nextKeyPath,
  readDescriptor,
  readKey,
  readRotations,
  rotationsPath,
  writeDescriptor,
  writeKey,
  writeRotations,
  type IdentityPlace,
  type NodeIdentity,
} from "./key-files.ts";
import { completeRotation } from "./rotate-key.ts";
import { nodeIdOf, signingKeyFromSeed } from "./signature.ts";

export type { IdentityPlace, NodeIdentity } from "./key-files.ts";

/** Times an identity is read again where another process is just rotating its key. */
const readMaximum = 3;

/**
 * Loads the identity and heals what may be healed: a rotation that was cut off is completed where the
 * chain holds it; a missing or corrupt descriptor is rewritten from the live key and keeps the birth
 * time where it can be read; a history of keys that is lost is taken from the chain where that proves it;
 * permissions of the key are narrowed. Null where there is neither key nor descriptor nor history.
 *
 * Refusals: `identity_key_missing`, `identity_key_corrupt`, `identity_history_missing` (the
 * descriptor names a node that this key does not prove), `identity_history_wrong`.
 */
export async function loadIdentity(
  place: IdentityPlace,
  chain: ChainEvidence = () => [],
): Promise<NodeIdentity | null> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await readIdentity(place, chain);
    } catch (error) {
      const isTorn = error instanceof Refusal && error.code === "identity_history_wrong";
      if (!isTorn || attempt === readMaximum) throw error;
    }
  }
}

async function readIdentity(
  place: IdentityPlace,
  chain: ChainEvidence,
): Promise<NodeIdentity | null> {
  const present = await readKey(place, keyPath(place));
  const text = await readDescriptor(place);
  if (present === "missing") {
    if (text !== null || (await readRotations(place)) !== "missing") throw keyMissing(place);
    return null;
  }
  if (present === "corrupt") throw keyCorrupt(place);
  const key = await completeRotation(place, present, chain);
  const found = findHistory({
    key: key.publicKey,
    file: await readRotations(place),
    path: rotationsPath(place),
    describedId: describedId(text ?? ""),
    chain,
  });
  if (found.isHealed) await writeRotations(place, found.nodeId, found.rotations);
  const identity: NodeIdentity = {
    nodeId: found.nodeId,
    publicKey: key.publicKey,
    // Where no birth time can be read, the key file's own age is the best witness left.
    bornMs: describedBirth(text ?? "") ?? (await modifiedMs(place)),
    key,
    rotations: found.rotations,
  };
  if (text !== descriptorText(identity)) await writeDescriptor(place, descriptorText(identity));
  return identity;
}

async function modifiedMs(place: IdentityPlace): Promise<number> {
  return Math.floor((await place.disk.stat(keyPath(place)))?.modifiedMs ?? 0);
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

function keyCorrupt(place: IdentityPlace): Refusal {
  return new Refusal(
    "identity_key_corrupt",
    `${keyPath(place)} is not an Ed25519 private key`,
    "restore it with `psionic identity restore FILE`",
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
  return writeIdentity(place, { key, bornMs: Math.floor(clock.wallMs()), rotations: [] });
}

/** Writes history, key and descriptor in this order; what a crash leaves is refused, never another node. */
export async function writeIdentity(
  place: IdentityPlace,
  { key, bornMs, rotations }: Pick<NodeIdentity, "key" | "bornMs" | "rotations">,
): Promise<NodeIdentity> {
  const nodeId = nodeIdOf(rotations[0]?.key ?? key.publicKey);
  const identity = { nodeId, publicKey: key.publicKey, bornMs, key, rotations };
  await place.disk.makeDirectory(place.directory, directoryMode);
  if (rotations.length > 0) await writeRotations(place, nodeId, rotations);
  else if ((await readRotations(place)) !== "missing")
    await place.disk.remove(rotationsPath(place));
  await writeKey(place, keyPath(place), key);
  await place.disk.remove(nextKeyPath(place));
  await writeDescriptor(place, descriptorText(identity));
  return identity;
}

/** The node id a descriptor names, whether or not the key is there. */
export async function describedNodeId(place: IdentityPlace): Promise<string | null> {
  return describedId((await readDescriptor(place)) ?? "");
}
