import type { RefusalCode } from "#src/refusal/codes.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import type { Grant } from "./grant.ts";

const askIssuer = "ask the owner who issued it for a new one";

/** Facts of a grant that every refusal of it names. */
const factsOf = ({ id, issuer, epoch }: Grant) => ({ grant: id, issuer, epoch });

const refuse = (code: RefusalCode, grant: Grant, message: string, hint: string, more = {}) =>
  new Refusal(code, message, hint, { ...factsOf(grant), ...more });

/** Why a presented grant does not admit, one refusal per code (docs/AUTHORITY.md). */
export const grantRefusals = {
  malformed: (wrong: string) =>
    new Refusal("grant_malformed", `what was presented is no grant: ${wrong}`, askIssuer, {
      wrong,
    }),
  issuerUnknown: (grant: Grant) =>
    refuse(
      "grant_issuer_unknown",
      grant,
      `this node honours no grants of ${grant.issuer}`,
      "present it to the node that issued it, or to one whose owner registered the issuer as owner",
    ),
  issuerStale: (grant: Grant) =>
    refuse(
      "grant_issuer_stale",
      grant,
      `${grant.issuer} no longer signs with the key of this grant`,
      `${askIssuer}, signed with its present key`,
      { issuerKey: grant.issuerKey },
    ),
  tampered: (grant: Grant) =>
    refuse("grant_tampered", grant, "the grant is not as its issuer signed it", askIssuer),
  stolen: (grant: Grant, sender: string) =>
    refuse(
      "grant_stolen",
      grant,
      "the grant was issued to another key than the one that presents it",
      "present it from the node it was issued to",
      { grantee: grant.grantee, sender },
    ),
  wrongMesh: (grant: Grant, mesh: string) =>
    refuse("grant_wrong_mesh", grant, "the grant is for another mesh", askIssuer, {
      ...{ found: grant.mesh, mesh },
    }),
  expired: (grant: Grant, nowMs: number) =>
    refuse("grant_expired", grant, "the grant has expired", askIssuer, {
      ...{ expiresMs: grant.expiresMs, nowMs },
    }),
  notYetValid: (grant: Grant, nowMs: number) =>
    refuse(
      "grant_expired",
      grant,
      "the grant begins in the future by this node's clock",
      "compare the clocks of the two machines",
      { issuedMs: grant.issuedMs, nowMs },
    ),
  superseded: (grant: Grant, newest: number) =>
    refuse(
      "grant_superseded",
      grant,
      "a newer grant has taken the place of this one",
      "present the newest; `psionic grant list` shows what you hold",
      { newest },
    ),
  revoked: (grant: Grant) =>
    refuse("grant_revoked", grant, "the issuer has revoked the grant", askIssuer),
  notConferred: (grant: Grant, command: string) =>
    refuse("grant_not_conferred", grant, `the grant does not confer ${command}`, askIssuer, {
      ...{ command, capabilities: grant.capabilities },
    }),
  exhausted: (grant: Grant, what: "calls" | "deviceSeconds" | "bytes") =>
    refuse(
      "grant_exhausted",
      grant,
      `the grant's ${what === "deviceSeconds" ? "device-seconds" : what} are used up`,
      askIssuer,
      { budget: what, limit: grant.budget[what] },
    ),
  storeUnavailable: (cause: unknown) =>
    new Refusal(
      "grant_store_unavailable",
      "this node cannot read or write what it keeps about grants, so it admits none",
      "try again; the owner finds the reason in the log",
      { cause: cause instanceof Refusal ? cause.code : "unexpected" },
    ),
};
