import type { LinkView } from "#src/peer/link.ts";
import { isSilent } from "./node-rows.ts";
import type { ClusterStanding } from "./services.ts";

/** Voters that must agree before anything is decided. */
export function neededVoters({ voters }: Pick<ClusterStanding, "voters">): number {
  return Math.floor(voters.length / 2) + 1;
}

/**
 * The voters this node hears now, itself among them: those whose link is up and was not silent for longer
 * than `staleMs`. What it hears is not what they hear of each other.
 */
export function heardVoters(
  { voters, node }: Pick<ClusterStanding, "voters" | "node">,
  links: readonly LinkView[],
  staleMs: number,
): readonly string[] {
  const heard = new Set(
    links.filter((link) => isUp(link) && !isSilent(link, staleMs)).map((link) => link.node),
  );
  return voters.filter((voter) => voter === node || heard.has(voter));
}

const isUp = ({ state }: LinkView) => state === "connected" || state === "degraded";

/** What the loss of how many machines does to a mesh of so many that decide and so many members. */
export function survivalText(voterCount: number, memberCount: number): string {
  if (voterCount <= 1 && memberCount <= 1)
    return "one node, alone: there is nothing to lose but itself, and while it is down nothing happens";
  if (voterCount <= 1)
    return "one node decides, and the others may come and go: while it is down nothing is decided, until it is back. Three ready nodes with the role coordinator end that";
  if (voterCount === 2)
    return "two decide for the moment, and only together: as soon as both are heard it is one or three";
  const spare = Math.floor((voterCount - 1) / 2);
  const which = spare === 1 ? "any one of them" : `any ${spare} of them`;
  const more = voterCount % 2 === 0 ? "; for the moment, as an odd number survives as much" : "";
  return `${voterCount} decide: ${which} may be down or lost, and the mesh goes on${more}`;
}
