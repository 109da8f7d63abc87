import * as v from "valibot";
import { runCommands } from "#src/window/event.ts";
import {
  claimMaximum,
  durationMaximumMs,
  manifestMaximum,
  nameMaximum,
  placeMaximum,
  placeTextMaximum,
  textMaximum,
  timeMaximumMs,
} from "./bounds.ts";

/**
 * What can be asked of a mesh. A command becomes an event in the log by the leader, who adds its time and
 * term; what it does is worked out by every node from the event and the state alone.
 */

const name = v.pipe(v.string(), v.maxLength(nameMaximum), v.regex(/^[a-z0-9][a-z0-9-]*$/));
const digest = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/));
/** Control characters in what members say of themselves could draw lines of their own where it is shown. */
const onOneLine = v.regex(/^\P{Cc}*$/u, "must have no control characters");
const text = v.pipe(v.string(), v.maxLength(textMaximum), onOneLine);
const whole = (maximum: number) =>
  v.pipe(v.number(), v.safeInteger(), v.minValue(0), v.maxValue(maximum));
const count = whole(Number.MAX_SAFE_INTEGER);
const duration = v.pipe(whole(durationMaximumMs), v.minValue(1));

/** In which capacity an author asks. What each may ask for stands in scope.ts. */
export const scopes = ["self", "link", "membership", "coordinator", "owner"] as const;
export type Scope = (typeof scopes)[number];

export const roles = ["host", "coordinator", "trainer", "validator", "observer"] as const;
const roleList = v.pipe(v.array(v.picklist(roles)), v.maxLength(roles.length));

/** Where a node is reached and how it is known there; it says so itself at every start. */
const contact = v.strictObject({
  /** `HOST:PORT`, the likeliest first; none for a node that only dials others. */
  places: v.pipe(
    v.array(v.pipe(v.string(), v.nonEmpty(), v.maxLength(placeTextMaximum), onOneLine)),
    v.maxLength(placeMaximum),
  ),
  /** SHA-256 of its TLS certificate. */
  certificate: digest,
  /** The X25519 key to which messages are encrypted that pass through others: 32 bytes. */
  box: digest,
});
export type Contact = v.InferOutput<typeof contact>;

/**
 * What an order of the coordinator carries: when it was given, and by whose authority. Whoever has seen
 * a newer one refuses it.
 */
const fence = v.strictObject({ term: count, index: count, authority: digest });
export type Fence = v.InferOutput<typeof fence>;

const configuration = v.strictObject({
  intervalMs: duration,
  staleMs: duration,
  expiryMs: duration,
  leaseMs: duration,
  drainMs: duration,
  /** By how much a newcomer's clock may differ from the leader's. */
  skewMs: duration,
});
export type Configuration = v.InferOutput<typeof configuration>;

const manifestNode = v.strictObject({ node: name, key: digest, roles: roleList });
const manifest = v.strictObject({
  nodes: v.pipe(v.array(manifestNode), v.maxLength(manifestMaximum)),
  policies: v.pipe(v.array(digest), v.maxLength(claimMaximum)),
});

/** What a mesh may say of itself, the weakest first. */
export const postures = [
  "trusted-lan",
  "configured-peers",
  "attested-peers",
  "compute-market",
] as const;
export const discoveries = ["off", "named-interface"] as const;
const claims = v.pipe(v.array(name), v.maxLength(claimMaximum));

const found = v.strictObject({
  kind: v.literal("mesh-founded"),
  ...{ mesh: name, node: name, key: digest, roles: roleList, epoch: count, version: count },
  /** Which of the founder's meshes it is; see `meshIdOf`. */
  founding: count,
  contact,
});
/** Who may make tokens, evict and set what the mesh is. */
const own = v.strictObject({ kind: v.literal("owner-set"), node: name, isOwner: v.boolean() });
/** Written by `cluster recover` alone, into the log of the one node that goes on: it is an owner from here on. */
const recover = v.strictObject({ kind: v.literal("mesh-recovered"), node: name });
const createToken = v.strictObject({
  kind: v.literal("token-created"),
  ...{
    token: name,
    /** The public half of the key that the secret makes. */
    secret: digest,
    roles: roleList,
    isReusable: v.boolean(),
    lifetimeMs: duration,
  },
});
const revokeToken = v.strictObject({ kind: v.literal("token-revoked"), token: name });
/** A newcomer's own words, which a member vouches to have heard from the holder of the key. */
const admit = v.strictObject({
  kind: v.literal("node-admitted"),
  ...{ mesh: name, node: name, key: digest, roles: roleList, epoch: count, version: count },
  /** `proof` is the newcomer's signature with the key that the token's secret makes; see admission-proof.ts. */
  ...{ token: name, proof: v.pipe(v.string(), v.regex(/^[0-9a-f]{128}$/)), clockMs: count, claims },
  contact,
});
/** A start, or a return: `key` is the one it signs with now, `contact` where it is now. */
const ready = v.strictObject({
  kind: v.literal("node-ready"),
  ...{ node: name, epoch: count, key: digest, contact },
});
const drain = v.strictObject({ kind: v.literal("node-draining"), node: name });
const leave = v.strictObject({ kind: v.literal("node-left"), node: name, epoch: count });
const offline = v.strictObject({ kind: v.literal("node-offline"), node: name, fence });
const evict = v.strictObject({ kind: v.literal("node-evicted"), node: name, reason: text });
const seeEpoch = v.strictObject({ kind: v.literal("epoch-seen"), node: name, epoch: count });
const renew = v.strictObject({ kind: v.literal("lease-renewed"), node: name, epoch: count });
const expire = v.strictObject({ kind: v.literal("lease-expired"), node: name, fence });
const order = v.strictObject({
  kind: v.literal("order-given"),
  ...{ order: name, node: name, what: text, fence },
});
/** A word an operator or a program keeps with a node; an empty value takes it away. */
const label = v.strictObject({
  kind: v.literal("node-labelled"),
  ...{ node: name, label: name, value: text },
});
const configure = v.strictObject({ kind: v.literal("configuration-set"), configuration });
const measureLink = v.strictObject({
  kind: v.literal("link-measured"),
  ...{ from: name, to: name, roundTripUs: count, bytesPerSecond: count },
  lossPerMillion: whole(1_000_000),
  path: v.picklist(["direct", "relayed"]),
  class: v.picklist(["local", "near", "far"]),
});
const measureNode = v.strictObject({
  kind: v.literal("node-measured"),
  ...{ node: name, device: text, memoryBytes: count, loadPerMille: count },
  ...{ exactTokensPerSecond: count, fastTokensPerSecond: count, isReady: v.boolean() },
  clockSkewMs: v.pipe(v.number(), v.safeInteger()),
});
const hold = v.strictObject({
  kind: v.literal("residency-set"),
  ...{ node: name, blob: digest, isHeld: v.boolean() },
});
const describe = v.strictObject({ kind: v.literal("manifest-set"), manifest });
const pose = v.strictObject({
  kind: v.literal("posture-set"),
  posture: v.picklist(postures),
  discovery: v.picklist(discoveries),
  claims,
});

const command = v.variant("kind", [
  ...([found, createToken, revokeToken, admit, ready, drain, leave, offline, evict] as const),
  ...([seeEpoch, renew, expire, order, configure, measureLink, measureNode] as const),
  ...([hold, describe, pose, label, own, recover] as const),
  ...runCommands,
]);
export type Command = v.InferOutput<typeof command>;
export type Kind = Command["kind"];
export type CommandOf<K extends Kind> = Extract<Command, { readonly kind: K }>;

/** A command and who answers for it. That the author is who it says was proven at the door. */
export const requestSchema = v.strictObject({
  author: name,
  scope: v.picklist(scopes),
  /** The policy under which a gate let it through; null where none was asked for. */
  policy: v.nullable(digest),
  command,
});
export type Request = v.InferOutput<typeof requestSchema>;

/** What stands in the log. `timeMs` is the leader's clock, the only one that the state knows. */
export const eventSchema = v.strictObject({
  ...requestSchema.entries,
  timeMs: whole(timeMaximumMs),
  term: count,
});
export type Event = v.InferOutput<typeof eventSchema>;

/** The shapes that calls about a mesh share with its events. */
export const shapes = { name, digest, count, contact, claims, roleList } as const;
