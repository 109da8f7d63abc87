import { entry, type CodeEntry } from "./entry.ts";

/** Trust in peers and the grants lent to them. */
export const grantCodes = {
  peer_blocked: entry(
    12,
    403,
    false,
    "The owner of the node blocked this peer. Nothing it presents, a grant included, lifts that; only the owner does, with `psionic trust set`.",
  ),
  trust_full: entry(
    14,
    409,
    false,
    "The node knows as many peers as it can. `psionic trust forget NODE` makes room.",
  ),
  grant_malformed: entry(
    12,
    403,
    false,
    "What was presented as a grant has not the shape of one, lives longer than 90 days or exceeds a maximum.",
  ),
  grant_issuer_unknown: entry(
    12,
    403,
    false,
    "The node honours grants it issued itself and those of nodes its owner registered as owner; this one came from elsewhere.",
  ),
  grant_issuer_stale: entry(
    12,
    403,
    false,
    "The grant was signed with a key that its issuer has rotated out. The issuer signs a new one with its present key.",
  ),
  grant_tampered: entry(
    12,
    403,
    false,
    "The grant's content, id and signature do not belong together: it was changed after it was signed.",
  ),
  grant_stolen: entry(
    12,
    403,
    false,
    "A grant counts only from the key it was issued to, proven by the signature of the call. Another key presented it.",
  ),
  grant_wrong_mesh: entry(
    12,
    403,
    false,
    "The grant was issued for another mesh than the one this node is in.",
  ),
  grant_expired: entry(
    12,
    403,
    false,
    "The grant's time is over, or has not begun by this node's clock (five minutes are allowed for).",
  ),
  grant_superseded: entry(
    16,
    403,
    false,
    "The issuer has issued a newer grant to the same key and it has been presented; the newest alone counts.",
  ),
  grant_revoked: entry(
    12,
    403,
    false,
    "The issuer took back what the grant conferred. `grant list` at the issuer shows when.",
  ),
  grant_not_conferred: entry(
    12,
    403,
    false,
    "The grant is good but does not confer this command. A capability confers the command of that name and what lies below it, never a longer word.",
  ),
  grant_exhausted: entry(
    12,
    403,
    false,
    "The calls, device-seconds or bytes the grant lends are used up. The issuer may issue another.",
  ),
  grant_store_unavailable: entry(
    15,
    503,
    true,
    "The node could not read or write its record of grants. A call it cannot account for is not admitted; try again.",
  ),
  capability_unknown: entry(
    2,
    400,
    false,
    "A grant confers commands by name. The name is no command's, or all commands it covers are the owner's alone and cannot be lent.",
  ),
  grants_full: entry(
    14,
    409,
    false,
    "The node keeps as many grants as it can, all of them still valid. They make room as they expire.",
  ),
} as const satisfies Record<string, CodeEntry>;
