import { emptyMesh, stateText } from "#src/cluster/state.ts";
import { founding, type Durable } from "#src/log/durable.ts";
import { quorum } from "#src/log/entry.ts";

/**
 * The log of a mesh before its first entry: every node of it begins with the founder as the one voter, or
 * with nobody until it hears of others.
 */
export function emptyLog(founder: string | null): Durable {
  const state = JSON.stringify({ index: 0, sessions: [], state: stateText(emptyMesh) });
  return founding({ voters: founder === null ? [] : [founder], learners: [] }, state);
}

/** Voters that may be lost while the rest can still decide. */
export function sparesOf(voterCount: number): number {
  return Math.max(0, voterCount - quorum(voterCount));
}
