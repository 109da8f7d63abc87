import * as v from "valibot";
import {
  identityDigestOf,
  manifestDigestOf,
  type RuntimeManifest,
} from "#src/receipt/runtime-manifest.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import type { Signer } from "./envelope.ts";
import {
  proofPostures,
  type ClaimsPolicy,
  type ClaimsStanding,
  type ProofPosture,
} from "./link.ts";
import { digestShape, keyShape, nodeIdShape } from "./shapes.ts";
import type { JsonObject } from "./signed-document.ts";

/**
 * What a process says of itself with a message (I-4). The message's signature binds the bundle to it; the
 * bundle names the node, its key and the way it goes, so that taken from one message it fits no other.
 */

/** Which way a message goes. */
export type ClaimsPath =
  | { readonly kind: "direct" }
  /** Through a member that passes it on, in one of its sessions. */
  | { readonly kind: "relay"; readonly relay: string; readonly session: string };

/** Characters of a profile or of a relay's session tag. */
const textMaximum = 64;
const text = v.pipe(v.string(), v.nonEmpty(), v.maxLength(textMaximum), v.regex(/^[\w./:-]+$/));

const claimsSchema = v.strictObject({
  nodeId: nodeIdShape,
  publicKey: keyShape,
  path: v.variant("kind", [
    v.strictObject({ kind: v.literal("direct") }),
    v.strictObject({ kind: v.literal("relay"), relay: nodeIdShape, session: text }),
  ]),
  /** Of the runtime manifest of the sending process; src/receipt/runtime-manifest.ts. */
  identityDigest: digestShape,
  manifestDigest: digestShape,
  /** What the process claims to prove of itself, as its manifest names it. */
  profile: text,
  proofPosture: v.picklist(proofPostures),
});

export type Claims = v.InferOutput<typeof claimsSchema>;

/**
 * The bundle of this process for one way. A node whose results others can recompute says `best_effort`;
 * `proof_bearing` is for one that attaches proofs, which nothing in this version does.
 */
export function makeClaims(
  { nodeId, key }: Signer,
  manifest: RuntimeManifest,
  path: ClaimsPath,
  proofPosture: ProofPosture = "best_effort",
): Claims {
  return {
    ...{ nodeId, publicKey: key.publicKey, path, proofPosture },
    identityDigest: identityDigestOf(manifest),
    manifestDigest: manifestDigestOf(manifest),
    profile: manifest.execution.claimsProfile,
  };
}

/** Where claims came from, as was proven apart from them. */
export interface ClaimsOrigin {
  readonly sender: string;
  readonly key: string;
  readonly path: ClaimsPath;
}

/**
 * What this node makes of the claims of a message whose signature was checked. Missing ones pass under the
 * policies `none` and `best_effort`, and the standing says that they are unavailable. Claims that came are
 * judged under every policy: whoever attaches what is not its own is up to something.
 *
 * Refusals: `claims_missing` under `required`; `claims_detached` where they are of another node, key or
 * way; `claims_invalid` where they cannot be read.
 */
export function judgeClaims(
  policy: ClaimsPolicy,
  claims: JsonObject | undefined,
  origin: ClaimsOrigin,
): ClaimsStanding {
  if (claims === undefined) return withoutClaims(policy, origin);
  const { identityDigest, manifestDigest, profile, proofPosture } = checked(claims, origin);
  return {
    ...{ policy, result: "verified", identityDigest, manifestDigest, profile, proofPosture },
    reason:
      proofPosture === "proof_bearing"
        ? "it says that it bears proofs, and this version checks none"
        : null,
  };
}

/** How a link stands whose other end's claims were refused. */
export function refusedClaims(policy: ClaimsPolicy, { message }: Refusal): ClaimsStanding {
  return { ...nothing, policy, result: "refused", reason: message };
}

const nothing = {
  ...{ identityDigest: null, manifestDigest: null, profile: null },
  proofPosture: "none",
} as const;

function withoutClaims(policy: ClaimsPolicy, { sender }: ClaimsOrigin): ClaimsStanding {
  if (policy === "required")
    throw new Refusal(
      "claims_missing",
      `${sender} says nothing of the process it runs, and this node requires it`,
      "bring that node to a psionic that attaches claims, or ask for less here",
      { node: sender, policy },
    );
  const reason = policy === "none" ? null : "no claims came with its messages";
  return { ...nothing, policy, result: "unavailable", reason };
}

function checked(bundle: JsonObject, origin: ClaimsOrigin): Claims {
  const { sender, key } = origin;
  const parsed = v.safeParse(claimsSchema, bundle);
  if (!parsed.success) {
    const [issue] = parsed.issues;
    const path = v.getDotPath(issue) ?? "";
    throw new Refusal(
      "claims_invalid",
      `the claims of ${sender} are not understood${path === "" ? "" : ` at ${path}`}: ${issue.message}`,
      "bring both machines to the same version of psionic",
      { node: sender, path },
    );
  }
  const claims = parsed.output;
  if (claims.nodeId !== sender) throw detached(sender, `they are of ${claims.nodeId}`);
  if (claims.publicKey !== key) throw detached(sender, "they are of another key");
  if (pathText(claims.path) !== pathText(origin.path))
    throw detached(
      sender,
      `they were made for ${pathText(claims.path)}, and came ${pathText(origin.path)}`,
    );
  return claims;
}

function detached(sender: string, why: string): Refusal {
  return new Refusal(
    "claims_detached",
    `the claims that ${sender} attached are not of this message: ${why}`,
    "something took them from another message; look at that machine before you trust it",
    { node: sender },
  );
}

function pathText(path: ClaimsPath): string {
  return path.kind === "direct"
    ? "the direct way"
    : `the way through ${path.relay} in its session ${path.session}`;
}
