import * as v from "valibot";
import { Refusal } from "#src/refusal/refusal.ts";
import { publicKeySchema, timeSchema } from "./parse-receipt.ts";
import { rotationKind, type Receipt } from "./receipt.ts";
import { nodeIdOf } from "./signature.ts";
import { receiptWrong, verifySignatures } from "./verify-receipt.ts";

/**
 * Rotations of a node's key (I-6). A node keeps the id of its first key for ever. Each later key is
 * introduced by a receipt `key.rotated` that the key before and the new one both signed.
 */

/** Rotations in a node's life: its history must fit where it is carried along. */
export const rotationMaximum = 128;
/** The longest time a key may stay accepted after its rotation. */
export const overlapMaximumMs = 366 * 24 * 3_600_000;

export interface RotationBody {
  readonly from: string;
  readonly to: string;
  /** Until when others still accept what the key before signs, wall clock. */
  readonly overlapUntilMs: number;
}

const bodySchema = v.strictObject({
  from: publicKeySchema,
  to: publicKeySchema,
  overlapUntilMs: timeSchema,
});

/** What a rotation's receipt says. Refused with `receipt_malformed`. */
export function rotationBody(rotation: Receipt): RotationBody {
  const parsed = v.safeParse(bodySchema, rotation.body);
  if (!parsed.success)
    throw receiptWrong("receipt_malformed", rotation, "its body is not that of a rotation");
  const body = parsed.output;
  const windowMs = body.overlapUntilMs - rotation.atMs;
  if (body.from !== rotation.key || body.from === body.to)
    throw receiptWrong("receipt_malformed", rotation, "it does not lead from its key to another");
  if (rotation.subject !== rotation.author)
    throw receiptWrong("receipt_malformed", rotation, "it is about another node than its author");
  if (windowMs < 0 || windowMs > overlapMaximumMs)
    throw receiptWrong("receipt_malformed", rotation, "its overlap window is out of bounds");
  return body;
}

/** One key of a node and the time it counts for. */
export interface HistoricKey {
  readonly key: string;
  /** When the rotation that introduced it was signed; null for the first. */
  readonly sinceMs: number | null;
  /** When it was rotated away, to which key, and until when it is still accepted; null: current. */
  readonly rotated: { readonly atMs: number; readonly to: string; readonly untilMs: number } | null;
}

/** The keys of one node, first to current; every link of it was verified. */
export interface KeyHistory {
  readonly nodeId: string;
  readonly keys: readonly HistoricKey[];
  readonly rotations: readonly Receipt[];
}

/** The key a node signs with now. */
export function currentKey(history: KeyHistory): string {
  return history.keys.at(-1)!.key;
}

/**
 * The keys of a node from its first key and the rotations since, in order. Refused as the receipt that
 * does not hold: `receipt_malformed`, `receipt_signature_wrong`, `receipt_author_wrong` (another
 * node's, or a key that nobody handed over to), `receipt_chain_broken` (out of order).
 */
export function readHistory(firstKey: string, rotations: readonly Receipt[]): KeyHistory {
  const nodeId = nodeIdOf(firstKey);
  const keys: HistoricKey[] = [{ key: firstKey, sinceMs: null, rotated: null }];
  let sequence = 0;
  if (rotations.length > rotationMaximum)
    throw receiptWrong(
      "receipt_malformed",
      rotations.at(-1)!,
      `it is beyond ${rotationMaximum} rotations`,
    );
  for (const rotation of rotations) {
    if (rotation.kind !== rotationKind)
      throw receiptWrong("receipt_malformed", rotation, "it is no rotation of a key");
    if (rotation.author !== nodeId)
      throw receiptWrong("receipt_author_wrong", rotation, `it is not by ${nodeId}`);
    if (rotation.sequence <= sequence)
      throw receiptWrong(
        "receipt_chain_broken",
        rotation,
        "it stands before the rotation it follows",
      );
    sequence = rotation.sequence;
    keys.push(...turned(keys, rotation));
  }
  return { nodeId, keys, rotations };
}

/** Checks a rotation against the keys before it; gives the new key and marks the old one. */
function turned(keys: HistoricKey[], rotation: Receipt): HistoricKey[] {
  verifySignatures(rotation);
  const { from, to, overlapUntilMs } = rotationBody(rotation);
  const last = keys.pop()!;
  if (from !== last.key)
    throw receiptWrong(
      "receipt_author_wrong",
      rotation,
      "its key was not its author's at this place",
    );
  if (keys.some(({ key }) => key === to))
    throw receiptWrong("receipt_author_wrong", rotation, "it leads back to a key that was retired");
  return [
    { ...last, rotated: { atMs: rotation.atMs, to, untilMs: overlapUntilMs } },
    { key: to, sinceMs: rotation.atMs, rotated: null },
  ];
}

/** The history of a node that signs with `key` now. Refused as `readHistory`, or where it ends elsewhere. */
export function historyEndingIn(key: string, rotations: readonly Receipt[]): KeyHistory {
  const history = readHistory(rotations[0]?.key ?? key, rotations);
  if (currentKey(history) === key) return history;
  throw receiptWrong("receipt_author_wrong", rotations.at(-1)!, `it does not lead to key ${key}`);
}

/**
 * The longer of two histories of one node where one continues the other. Refused with
 * `trust_bundle_wrong` where they part: a node has one history, so one of them is not the node's.
 */
export function longerHistory(one: KeyHistory, other: KeyHistory): KeyHistory {
  const [short, long] =
    one.rotations.length <= other.rotations.length ? [one, other] : [other, one];
  const parts = short.keys.findIndex(({ key }, index) => long.keys[index]!.key !== key);
  if (parts === -1 && short.nodeId === long.nodeId) return long;
  throw new Refusal(
    "trust_bundle_wrong",
    `two histories of the keys of ${one.nodeId} part after key ${Math.max(parts, 0)}`,
    "ask the owner of that node, over another way, which key is theirs",
    { nodeId: one.nodeId, otherNodeId: other.nodeId, index: Math.max(parts, 0) },
  );
}

/** How a key stands with its node at a time. */
export type KeyStanding =
  | { readonly standing: "current" }
  | { readonly standing: "overlapping"; readonly untilMs: number }
  | { readonly standing: "retired"; readonly sinceMs: number }
  | { readonly standing: "unknown" };

/**
 * How a key stands with its node at a time: `current` signs now; `overlapping` was rotated away and
 * is accepted until its window closes; `retired` is no longer; `unknown` never was the node's. Only
 * for what is presented now: a receipt's key is judged by its place in the chain, for ever.
 */
export function keyStanding(history: KeyHistory, key: string, atMs: number): KeyStanding {
  const known = history.keys.find((each) => each.key === key);
  if (known === undefined) return { standing: "unknown" };
  if (known.rotated === null) return { standing: "current" };
  const { untilMs } = known.rotated;
  return atMs < untilMs
    ? { standing: "overlapping", untilMs }
    : { standing: "retired", sinceMs: untilMs };
}
