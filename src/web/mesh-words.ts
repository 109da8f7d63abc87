import {
  formatAgo,
  formatBytes,
  formatDuration,
  formatPercent,
  formatShort,
  missing,
} from "./format.ts";
import type { Claims, LinkRow, Measured, MeshStatus, NodeRow } from "./mesh-answers.ts";

/** The facts of a mesh in words, for tables and for those who hear the page. */

/** No member any more; not in the picture. */
export function isGone({ standing }: Pick<NodeRow, "standing">): boolean {
  return standing === "left" || standing === "evicted";
}

/** How a member stands, with what this node alone suspects. */
export function standingText({ standing, isSuspected }: NodeRow): string {
  return isSuspected && standing !== "offline" ? `${standing}, suspected` : standing;
}

const partTexts: Readonly<Record<string, string>> = {
  leader: "coordinator",
  voter: "decides",
  learner: "follows",
};

/** What a member does in the agreement. */
export function partText({ part }: Pick<NodeRow, "part">): string {
  return partTexts[part] ?? missing;
}

export function roundTripText(us: number | null | undefined): string {
  return us === null || us === undefined ? missing : formatDuration(us / 1e6);
}

/** How far a clock is ahead of this node's, or behind: `+2 ms`, `−1.4 s`. */
export function skewText(ms: number | null | undefined): string {
  if (ms === null || ms === undefined) return missing;
  return `${ms < 0 ? "−" : "+"}${formatDuration(Math.abs(ms) / 1000)}`;
}

/** When something signed came last. */
export function heardText(silentMs: number | null): string {
  return silentMs === null ? "never" : formatAgo(0, silentMs);
}

export function lossText(perMillion: number): string {
  return formatPercent(perMillion / 10_000).replace(/^0\.0/, "0");
}

/** A rate of zero was not measured. */
export function rateText(bytesPerSecond: number | null): string {
  return bytesPerSecond ? `${formatBytes(bytesPerSecond)}/s` : missing;
}

/** Tokens a second of the exact lane; zero until something trained there. */
export function speedText(facts: Pick<Measured, "exactTokensPerSecond"> | null): string {
  return formatShort(facts?.exactTokensPerSecond || null);
}

export function loadText(facts: Pick<Measured, "loadPerMille"> | null): string {
  if (facts === null) return missing;
  return facts.loadPerMille > 1_000 ? ">100 %" : formatPercent(facts.loadPerMille / 10);
}

/** A link's state and, where messages go through another member, which. */
export function linkText(
  link: Pick<LinkRow, "state" | "path" | "relay"> | null,
  nameOf: (node: string) => string,
): string {
  if (link === null) return missing;
  if (link.path !== "relayed") return link.state;
  return `${link.state} through ${link.relay === null ? "another" : nameOf(link.relay)}`;
}

/** What came of the claims of a node's session, and under which policy. */
export function claimsText(claims: Claims | null): string {
  return claims === null ? missing : claims.result;
}

export function postureText(claims: Claims | null): string {
  if (claims === null) return missing;
  return `${claims.policy} / ${claims.proofPosture}`.replaceAll("_", " ");
}

export function labelsText(labels: NodeRow["labels"]): string {
  return labels.map(({ label, value }) => `${label}=${value}`).join(", ") || missing;
}

/** Why a link is not connected, or why the other end's claims are not better; empty where nothing is amiss. */
export function troubleText({ reason, claims }: Pick<LinkRow, "reason" | "claims">): string {
  const said = [reason === null ? null : `${reason.message} (${reason.code})`, claims?.reason];
  return said.filter((each) => typeof each === "string").join("; ");
}

const postureTexts: Readonly<Record<string, string>> = {
  "trusted-lan": "whoever has a join token is trusted",
  "configured-peers": "only nodes that the manifest names",
  "attested-peers": "only nodes that the manifest names, with proven claims",
};

/** What the mesh says of itself, and what that means. */
export function meshPostureText({ posture }: MeshStatus["posture"]): string {
  const meaning = postureTexts[posture];
  return meaning === undefined ? posture : `${posture}: ${meaning}`;
}

/** Who decides, and whether enough of them are heard from here. */
export function quorumText(status: MeshStatus): string {
  const { voters, neededCount, heardCount, hasQuorum } = status;
  if (voters.length <= 1) return "one node decides alone";
  const heard = `${heardCount} of ${voters.length} heard, ${neededCount} needed`;
  return hasQuorum ? heard : `${heard}: nothing can be decided from here`;
}

const driftTexts: Readonly<Record<string, string>> = {
  not_described: "is a member, and the manifest does not name it",
  other_key: "signs with another key than the manifest says",
  more_roles: "has roles that the manifest does not give it",
  not_member: "stands in the manifest and is no member",
};

export function driftText({ node, why }: MeshStatus["drift"][number]): string {
  return `${node} ${driftTexts[why] ?? why}`;
}
