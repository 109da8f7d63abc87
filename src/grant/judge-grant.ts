import { Refusal } from "#src/refusal/refusal.ts";
import { confers } from "./confers.ts";
import { grantRefusals as refuse } from "./grant-refusals.ts";
import { clockSkewMs, isIntact, readGrant, type Grant } from "./grant.ts";

/** What a judging node knows of an issuer's key. */
export type IssuerStanding = "pinned" | "stale" | "unknown";

/** The newest epoch a node has seen of an issuer for a grantee in a mesh. */
export interface Watermark {
  readonly epoch: number;
  /** Grants below this epoch were revoked rather than replaced; 0 when none was. */
  readonly revokedBelow: number;
}

/** What of a budget is gone, reservations of running uses included. */
export interface Spending {
  readonly calls: number;
  readonly deviceMs: number;
  readonly bytes: number;
}

/** One moment of a node's knowledge, against which a grant is judged. */
export interface GrantFacts {
  readonly nowMs: number;
  readonly mesh: string;
  standingOf(issuer: string, issuerKey: string): IssuerStanding;
  /** Grants of an issuer that expire by then are refused, whatever the clock says. */
  horizonMs(issuer: string): number;
  watermarkOf(grant: Grant): Watermark | null;
  spendingOf(grant: Grant): Spending;
}

/**
 * Judges what a sender presents for a command, in the order of A-6: shape, issuer, signature, whose
 * it is, mesh, time, epoch, capability, budget. Gives the grant where it admits, else the refusal of
 * the first test it fails. `senderKey` is the key that authenticated, never one the grant names.
 */
export function judgeGrant(
  presented: unknown,
  senderKey: string,
  commandName: string,
  facts: GrantFacts,
): Grant | Refusal {
  const grant = readGrant(presented);
  if ("wrong" in grant) return refuse.malformed(grant.wrong);
  return (
    refusalOfOrigin(grant, senderKey, facts) ??
    refusalOfTime(grant, facts) ??
    refusalOfUse(grant, commandName, facts) ??
    grant
  );
}

function refusalOfOrigin(grant: Grant, senderKey: string, facts: GrantFacts): Refusal | null {
  const standing = facts.standingOf(grant.issuer, grant.issuerKey);
  if (standing === "unknown") return refuse.issuerUnknown(grant);
  if (standing === "stale") return refuse.issuerStale(grant);
  if (!isIntact(grant)) return refuse.tampered(grant);
  if (grant.grantee !== senderKey) return refuse.stolen(grant, senderKey);
  if (grant.mesh !== facts.mesh) return refuse.wrongMesh(grant, facts.mesh);
  return null;
}

function refusalOfTime(grant: Grant, facts: GrantFacts): Refusal | null {
  const { nowMs } = facts;
  if (grant.issuedMs > nowMs + clockSkewMs) return refuse.notYetValid(grant, nowMs);
  if (grant.expiresMs <= nowMs || grant.expiresMs <= facts.horizonMs(grant.issuer))
    return refuse.expired(grant, nowMs);
  const newest = facts.watermarkOf(grant);
  if (newest === null || grant.epoch >= newest.epoch) return null;
  if (grant.epoch < newest.revokedBelow) return refuse.revoked(grant);
  return refuse.superseded(grant, newest.epoch);
}

function refusalOfUse(grant: Grant, commandName: string, facts: GrantFacts): Refusal | null {
  if (grant.capabilities.length === 0) return refuse.revoked(grant);
  if (!grant.capabilities.some((capability) => confers(capability, commandName)))
    return refuse.notConferred(grant, commandName);
  const { calls, deviceMs, bytes } = facts.spendingOf(grant);
  const { budget } = grant;
  if (budget.calls !== undefined && calls >= budget.calls) return refuse.exhausted(grant, "calls");
  if (budget.deviceSeconds !== undefined && deviceMs >= budget.deviceSeconds * 1000)
    return refuse.exhausted(grant, "deviceSeconds");
  if (budget.bytes !== undefined && bytes >= budget.bytes) return refuse.exhausted(grant, "bytes");
  return null;
}
