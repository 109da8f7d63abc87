import * as v from "valibot";
import { discoveries, postures, roles, scopes } from "./event.ts";
import { standings } from "./node-rows.ts";

const voter = v.strictObject({
  node: v.string(),
  shortId: v.string(),
  isSelf: v.boolean(),
  /** Whether this node hears it now. */
  isHeard: v.boolean(),
});

export const driftResult = v.array(
  v.strictObject({
    node: v.string(),
    why: v.picklist(["not_described", "other_key", "more_roles", "not_member"]),
    roles: v.array(v.string()),
  }),
);

export const configurationResult = v.strictObject({
  intervalMs: v.number(),
  staleMs: v.number(),
  expiryMs: v.number(),
  leaseMs: v.number(),
  drainMs: v.number(),
  skewMs: v.number(),
});

/** What `cluster status` answers. */
export const statusResult = v.strictObject({
  mesh: v.string(),
  founder: v.string(),
  isFounder: v.boolean(),
  /** Whose owners answer for the mesh, and whether this node's does. */
  owners: v.array(v.string()),
  isOwner: v.boolean(),
  posture: v.strictObject({
    posture: v.picklist(postures),
    discovery: v.picklist(discoveries),
    claims: v.array(v.string()),
  }),
  node: v.strictObject({
    node: v.string(),
    epoch: v.number(),
    /** Whether it takes part at all. */
    taking: v.picklist(["member", "joining", "out"]),
    /** How the log has it; null where it does not. */
    standing: v.nullable(v.picklist(standings)),
    role: v.string(),
    roles: v.array(v.picklist(roles)),
  }),
  leader: v.nullable(v.string()),
  term: v.number(),
  log: v.strictObject({
    commitIndex: v.number(),
    appliedIndex: v.number(),
    snapshotIndex: v.number(),
    entryCount: v.number(),
  }),
  digest: v.string(),
  topologyDigest: v.string(),
  residencyDigest: v.string(),
  voters: v.array(voter),
  learners: v.array(voter),
  /** Of the voters: how many must agree, how many this node hears, how many may be lost. */
  neededCount: v.number(),
  heardCount: v.number(),
  hasQuorum: v.boolean(),
  spareCount: v.number(),
  /** Voters that no other machine can dial, where there are several: they meet only through others. */
  undialled: v.array(voter),
  survives: v.string(),
  memberCount: v.number(),
  /** Members by how they stand, those that are gone included. */
  standings: v.record(v.string(), v.number()),
  manifest: v.nullable(v.strictObject({ digest: v.string(), nodeCount: v.number() })),
  drift: driftResult,
  configuration: configurationResult,
  /** Who set what the mesh is. */
  provenance: v.array(
    v.strictObject({
      subject: v.string(),
      author: v.string(),
      scope: v.picklist(scopes),
      policy: v.nullable(v.string()),
      atMs: v.number(),
    }),
  ),
  timeMs: v.number(),
});
export type StatusResult = v.InferOutput<typeof statusResult>;
