import * as v from "valibot";
import { runsSchema } from "#src/window/state-schema.ts";
import {
  blobMaximum,
  claimMaximum,
  durationMaximumMs,
  holderMaximum,
  labelMaximum,
  linkMaximum,
  manifestMaximum,
  memberMaximum,
  nameMaximum,
  orderMaximum,
  ownerMaximum,
  provenanceMaximum,
  textMaximum,
  tokenMaximum,
} from "./bounds.ts";
import { discoveries, postures, scopes, shapes } from "./event.ts";
import type { MeshState } from "./state.ts";

/** The shape of a whole state, as a member sends it: nothing of it is believed before it has it. */

const { name, digest, count, contact, claims, roleList } = shapes;
const text = v.pipe(v.string(), v.maxLength(textMaximum));
const listOf = <Schema extends v.GenericSchema>(schema: Schema, maximum: number) =>
  v.pipe(v.array(schema), v.maxLength(maximum));
const nameOrNone = v.union([v.literal(""), name]);
const duration = v.pipe(count, v.minValue(1), v.maxValue(durationMaximumMs));
const standings = ["joining", "ready", "draining", "offline", "left", "evicted"] as const;

const fence = v.strictObject({ term: count, index: count, authority: digest });
const member = v.strictObject({
  ...{ node: name, key: digest, contact, roles: roleList, standing: v.picklist(standings) },
  labels: listOf(v.strictObject({ label: name, value: text }), labelMaximum),
  ...{ epoch: count, token: v.nullable(name), sinceMs: count },
});
const token = v.strictObject({
  ...{ token: name, secret: digest, roles: roleList },
  ...{ isReusable: v.boolean(), isRevoked: v.boolean(), expiryMs: count, useCount: count },
});
const order = v.strictObject({ order: name, node: name, what: text, author: name, fence });
const link = v.strictObject({
  ...{ kind: v.literal("link-measured"), from: name, to: name },
  ...{ roundTripUs: count, bytesPerSecond: count, atMs: count },
  lossPerMillion: v.pipe(count, v.maxValue(1_000_000)),
  path: v.picklist(["direct", "relayed"]),
  class: v.picklist(["local", "near", "far"]),
});
const nodeFacts = v.strictObject({
  ...{ kind: v.literal("node-measured"), node: name, device: text },
  ...{ memoryBytes: count, loadPerMille: count, atMs: count, isReady: v.boolean() },
  ...{ exactTokensPerSecond: count, fastTokensPerSecond: count },
  clockSkewMs: v.pipe(v.number(), v.safeInteger()),
});
const manifestNode = v.strictObject({ node: name, key: digest, roles: roleList });
const manifest = v.strictObject({
  nodes: listOf(manifestNode, manifestMaximum),
  policies: listOf(digest, claimMaximum),
  digest,
});
const provenance = v.strictObject({
  ...{ author: name, scope: v.picklist(scopes), policy: v.nullable(digest), atMs: count },
  // Such as `member` and a name, with a space between.
  subject: v.pipe(v.string(), v.maxLength(2 * nameMaximum)),
});

export const stateSchema: v.GenericSchema<unknown, MeshState> = v.strictObject({
  ...{
    mesh: nameOrNone,
    founder: nameOrNone,
    founding: count,
    version: count,
    timeMs: count,
    term: count,
  },
  owners: listOf(name, ownerMaximum),
  members: listOf(member, memberMaximum),
  tokens: listOf(token, tokenMaximum),
  leases: listOf(v.strictObject({ node: name, untilMs: count }), memberMaximum),
  fence: v.nullable(fence),
  orders: listOf(order, orderMaximum),
  links: listOf(link, linkMaximum),
  nodes: listOf(nodeFacts, memberMaximum),
  residency: listOf(
    v.strictObject({ blob: digest, holders: listOf(name, holderMaximum) }),
    blobMaximum,
  ),
  configuration: v.strictObject({
    ...{ intervalMs: duration, staleMs: duration, expiryMs: duration },
    ...{ leaseMs: duration, drainMs: duration, skewMs: duration },
  }),
  manifest: v.nullable(manifest),
  posture: v.strictObject({
    ...{ posture: v.picklist(postures), discovery: v.picklist(discoveries), claims },
  }),
  provenance: listOf(provenance, provenanceMaximum),
  runs: runsSchema,
});
