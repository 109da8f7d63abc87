import * as v from "valibot";
import { canonicalText } from "#src/codec/digest.ts";
import { parseUniqueJson } from "#src/codec/unique-json.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import {
  nodeIdSchema,
  publicKeySchema,
  receiptSchema,
  signatureSchema,
  timeSchema,
} from "./parse-receipt.ts";
import type { NodeIdentity } from "./key-files.ts";
import type { Receipt } from "./receipt.ts";
import {
  historyEndingIn,
  keyStanding,
  longerHistory,
  rotationMaximum,
  type KeyHistory,
  type KeyStanding,
} from "./rotation.ts";
import { signBytes, verifyBytes } from "./signature.ts";

/**
 * A node's keys as its operator hands them to others, to be pinned (I-6): node id, the key of now,
 * and the rotations that lead to it, signed by that key. It holds nothing secret.
 */

/** Characters of a trust bundle: a full history fits. */
export const trustBundleMaximumLength = 512 * 1024;

const bundleSchema = v.strictObject({
  type: v.literal("psionic-trust-bundle"),
  version: v.literal(1),
  nodeId: nodeIdSchema,
  key: publicKeySchema,
  rotations: v.pipe(v.array(receiptSchema), v.maxLength(rotationMaximum)),
  issuedMs: timeSchema,
  signature: signatureSchema,
});

/** What a trust bundle proves about a node. */
export interface TrustedNode {
  readonly nodeId: string;
  /** The key that signed the bundle. */
  readonly key: string;
  /** Whether that key is still the node's, as far as is known here. */
  readonly standing: Exclude<KeyStanding, { standing: "retired" | "unknown" }>;
  /** The node's keys, by the bundle or by what was known before, whichever goes further. */
  readonly history: KeyHistory;
  readonly issuedMs: number;
}

/** The trust bundle of a node as a text with a line's end. */
export function sealTrustBundle(
  identity: Pick<NodeIdentity, "nodeId" | "key" | "rotations">,
  nowMs: number,
): string {
  const { nodeId, key, rotations } = identity;
  const content = {
    type: "psionic-trust-bundle",
    version: 1,
    nodeId,
    key: key.publicKey,
    rotations,
    issuedMs: Math.floor(nowMs),
  };
  const text = Buffer.from(canonicalText(content));
  const signature = Buffer.from(signBytes(key, text)).toString("hex");
  return `${JSON.stringify({ ...content, signature }, null, 2)}\n`;
}

/**
 * Checks a trust bundle. `known` is what this node knows of the other's keys already: a bundle under
 * a key that was rotated away is accepted until the overlap window closes and refused with
 * `trust_bundle_stale` afterwards, saying which key, when it was rotated and to what. Refused with
 * `trust_bundle_wrong` where it is malformed, forged, or tells another history than the one known.
 */
export function openTrustBundle(
  text: string,
  { known, nowMs }: { readonly known?: KeyHistory | null | undefined; readonly nowMs: number },
): TrustedNode {
  const { signature, ...content } = parse(text);
  const { nodeId, key, rotations, issuedMs } = content;
  const own = historyOf(nodeId, key, rotations);
  const signed = Buffer.from(canonicalText(content));
  if (!verifyBytes(key, signed, Buffer.from(signature, "hex")))
    throw wrong("its signature is not by the key it names", { nodeId, key });
  if (known && known.nodeId !== nodeId)
    throw wrong(`it is that of ${nodeId}, not of ${known.nodeId}`, { nodeId });
  const history = known ? longerHistory(own, known) : own;
  const standing = keyStanding(history, key, nowMs);
  if (standing.standing === "retired" || standing.standing === "unknown")
    throw stale(history, key, nowMs);
  return { nodeId, key, standing, history, issuedMs };
}

function parse(text: string): v.InferOutput<typeof bundleSchema> {
  if (text.length > trustBundleMaximumLength) throw wrong("it is too long");
  let json: unknown;
  try {
    json = parseUniqueJson(text);
  } catch {
    throw wrong("it is not JSON");
  }
  const parsed = v.safeParse(bundleSchema, json);
  if (parsed.success) return parsed.output;
  const path = v.getDotPath(parsed.issues[0]) ?? "";
  throw wrong(`${path || "it"} is not understood`, { path });
}

function historyOf(nodeId: string, key: string, rotations: readonly Receipt[]): KeyHistory {
  let history: KeyHistory;
  try {
    history = historyEndingIn(key, rotations);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    throw wrong(error.message, { nodeId, reason: error.code, ...error.details });
  }
  if (history.nodeId === nodeId) return history;
  throw wrong(`its keys are those of ${history.nodeId}, not of ${nodeId}`, { nodeId });
}

function wrong(why: string, details: Readonly<Record<string, unknown>> = {}): Refusal {
  return new Refusal(
    "trust_bundle_wrong",
    `the trust bundle does not hold: ${why}`,
    "ask the owner of that node for the file that `psionic identity export FILE` writes",
    details,
  );
}

/** Which key, rotated when and to what, and since when its window is over. */
function stale(history: KeyHistory, key: string, nowMs: number): Refusal {
  const { nodeId } = history;
  const rotated = history.keys.find((each) => each.key === key)!.rotated!;
  const at = (ms: number) => new Date(ms).toISOString();
  return new Refusal(
    "trust_bundle_stale",
    `the trust bundle of ${nodeId} is by key ${key.slice(0, 16)}…, rotated ${at(rotated.atMs)} to ` +
      `${rotated.to.slice(0, 16)}…; it was accepted until ${at(rotated.untilMs)}`,
    "ask the owner of that node for a new one: psionic identity export FILE",
    {
      ...{ nodeId, key, rotatedMs: rotated.atMs, to: rotated.to, overlapUntilMs: rotated.untilMs },
      overMs: nowMs - rotated.untilMs,
    },
  );
}
