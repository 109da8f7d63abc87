import type { Receipt } from "#src/receipt/receipt.ts";
import {
  keyStanding,
  longerHistory,
  readHistory,
  rotationBody,
  type KeyHistory,
} from "#src/receipt/rotation.ts";
import { Refusal } from "#src/refusal/refusal.ts";

/** A node as it shows itself: its id, the key it signs with, and how it came to that key. */
export interface ShownKey {
  readonly sender: string;
  readonly key: string;
  readonly rotations: readonly Receipt[];
}

/**
 * Checks that a key is its node's and in use: the first key gives the node's id, and the rotations
 * lead from it to this key, each signed by the key before and the one after. `known` are the rotations
 * this node has seen before: a node that hides its newest does not bring an old key back, and who stole an
 * old key makes no other history of it. Gives the rotations up to the key.
 *
 * Refusals: `envelope_forged` where the key is not the node's, `key_retired` where it was rotated away
 * and its overlap is over, and those of receipts that do not hold.
 */
export function keyInUse(
  { sender, key, rotations }: ShownKey,
  known: readonly Receipt[],
  nowMs: number,
): readonly Receipt[] {
  const shown = readHistory(rotations[0]?.key ?? key, rotations);
  const history = known.length === 0 ? shown : joined(shown, readHistory(known[0]!.key, known));
  const isItsOwn = shown.nodeId === sender && keyStanding(shown, key, nowMs).standing !== "unknown";
  const standing = history === null ? "unknown" : keyStanding(history, key, nowMs).standing;
  if (!isItsOwn || standing === "unknown")
    throw new Refusal(
      "envelope_forged",
      `the key that signed is not that of ${sender}`,
      "a node attaches the rotations that lead from its first key to the one it signs with",
      { sender, key },
    );
  if (standing === "retired")
    throw new Refusal(
      "key_retired",
      `${sender} rotated the key that signed away, and its overlap is over`,
      "sign with the node's newest key",
      { sender, key },
    );
  return upToKey(rotations, key);
}

/** Two histories of a node as one; null where they part. */
function joined(one: KeyHistory, other: KeyHistory): KeyHistory | null {
  try {
    return longerHistory(one, other);
  } catch (error) {
    if (error instanceof Refusal) return null;
    throw error;
  }
}

/** The rotations that lead to a key: all of them where it is the newest, none for the first. */
export function upToKey(rotations: readonly Receipt[], key: string): readonly Receipt[] {
  const index = rotations.findIndex((rotation) => rotationBody(rotation).from === key);
  return index === -1 ? rotations : rotations.slice(0, index);
}

/** The keys a node had before the one it shows, the first one first; the rotations were checked. */
export function keysBefore({ key, rotations }: Omit<ShownKey, "sender">): readonly string[] {
  return upToKey(rotations, key).map((rotation) => rotationBody(rotation).from);
}
