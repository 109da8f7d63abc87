import * as v from "valibot";
import { canonicalText, digestJson, type Digest } from "#src/codec/digest.ts";
import { parseUniqueJson } from "#src/codec/unique-json.ts";
import { meshIdOf } from "#src/grant/mesh.ts";
import { nodeIdOf, signBytes, verifyBytes, type SigningKey } from "#src/receipt/signature.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { nameMaximum } from "./bounds.ts";
import type { MeshState } from "./state.ts";

/**
 * The state of a mesh at one index, as a member that had it says and signs: for whoever keeps a record or
 * compares what two members hold. docs/FORMATS.md.
 */

/** Bytes of a snapshot's file; the largest state that `bounds.ts` lets be fits. */
export const snapshotMaximumBytes = 64 * 1024 * 1024;

const digest = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/));
const name = v.pipe(v.string(), v.maxLength(nameMaximum));
const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

const snapshotSchema = v.strictObject({
  type: v.literal("psionic-mesh-snapshot"),
  version: v.literal(1),
  mesh: name,
  index: count,
  term: count,
  /** Of the canonical text of `state`. */
  digest,
  /** Of everything the log adds up to there, which every member says at that index. */
  logDigest: digest,
  madeMs: count,
  node: name,
  key: digest,
  /** The digest stands for all of it; these are what is read here. */
  state: v.looseObject({
    mesh: name,
    founder: name,
    founding: count,
    members: v.array(v.looseObject({ node: name, key: digest, standing: v.string() })),
  }),
  signature: v.pipe(v.string(), v.regex(/^[0-9a-f]{128}$/)),
});

export type MeshSnapshot = v.InferOutput<typeof snapshotSchema>;

/** What is said beside the state. */
export interface SnapshotFacts {
  readonly index: number;
  readonly term: number;
  readonly logDigest: Digest;
  readonly madeMs: number;
}

/** A state as a signed document, one line of canonical JSON. */
export function sealSnapshot(
  state: MeshState,
  facts: SnapshotFacts,
  signer: { readonly nodeId: string; readonly key: SigningKey },
): string {
  const content = {
    ...{ type: "psionic-mesh-snapshot", version: 1, mesh: state.mesh, ...facts },
    madeMs: Math.floor(facts.madeMs),
    ...{ digest: digestJson(state), state, node: signer.nodeId, key: signer.key.publicKey },
  };
  const signature = signBytes(signer.key, Buffer.from(canonicalText(content)));
  return `${canonicalText({ ...content, signature: Buffer.from(signature).toString("hex") })}\n`;
}

/**
 * Checks a snapshot by itself: shape, digest, signature, that its mesh is its founder's and that its
 * signer is a member of it under that key. Refused with `cluster_snapshot_wrong`. That the key really is
 * that node's follows from its id where `isSignerProven`; a key that was rotated must be known otherwise.
 */
export function openSnapshot(text: string): {
  readonly snapshot: MeshSnapshot;
  readonly isSignerProven: boolean;
} {
  const document = parse(text);
  const { signature, ...content } = document;
  const { state, node, key, mesh } = document;
  const signed = Buffer.from(canonicalText(content));
  if (!verifyBytes(key, signed, Buffer.from(signature, "hex")))
    throw wrong("its signature is not by the key it names", { node, key });
  if (digestJson(state) !== document.digest)
    throw wrong("its digest is not that of its state", { digest: document.digest });
  if (state.mesh !== mesh || idOf(state) !== mesh)
    throw wrong(`the mesh it shows is not ${mesh}`, { mesh, founder: state.founder });
  const signer = state.members.find((member) => member.node === node);
  if (signer === undefined || signer.key !== key)
    throw wrong(`${node} with that key is no member in it`, { node, key });
  return { snapshot: document, isSignerProven: nodeIdOf(key) === node };
}

const idOf = ({ founder, founding }: Pick<MeshState, "founder" | "founding">) =>
  meshIdOf({ nodeId: founder }, founding);

function parse(text: string): MeshSnapshot {
  if (text.length > snapshotMaximumBytes) throw wrong("it is too long");
  let json: unknown;
  try {
    json = parseUniqueJson(text);
  } catch {
    throw wrong("it is not JSON");
  }
  const parsed = v.safeParse(snapshotSchema, json);
  if (parsed.success) return parsed.output;
  const path = v.getDotPath(parsed.issues[0]) ?? "";
  throw wrong(`${path || "it"} is not understood`, { path });
}

/** The refusal of a file that is no whole, true snapshot. */
export function wrong(why: string, details: Readonly<Record<string, unknown>> = {}): Refusal {
  return new Refusal(
    "cluster_snapshot_wrong",
    `the snapshot does not hold: ${why}`,
    "ask a member for a new one: psionic cluster snapshot --to FILE",
    details,
  );
}
