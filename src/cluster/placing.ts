import { quorum, withMember, type Membership, type Place } from "#src/log/entry.ts";
import { isLive, type Member, type MeshState } from "./state.ts";

/** Those who decide, unless the caller says otherwise. */
export const defaultVoterMaximum = 7;
/** Entries that a learner may lack and still be taken for one that has caught up. */
export const catchUpMaximum = 64;

/** What a leader knows of those who keep its log. */
export interface LogView {
  readonly id: string;
  readonly mesh: MeshState;
  readonly commitIndex: number;
  readonly membership: Membership;
  /** The last index that each other node of the log surely has. */
  readonly matches: ReadonlyMap<string, number>;
  /** The other nodes of the log that answered this leader within the last election timeout. */
  readonly heard: ReadonlySet<string>;
  readonly voterMaximum: number;
}

/** A change of one node's place in the log. */
export interface Placing {
  readonly id: string;
  readonly place: Place;
}

type Members = ReadonlyMap<string, Member>;

/**
 * The next change of who keeps the log: who went comes out, the number of voters becomes odd, voters that are
 * offline are replaced, and then others learn. Every step leaves a majority of voters that answer now, so
 * that the step itself can be decided, and the next one after it.
 */
export function placingOf(view: LogView): Placing | null {
  const members = new Map(view.mesh.members.map((member) => [member.node, member]));
  const steps = [outOf(view, members), voterOf(view, members), learnerOf(view)];
  return steps.find((step) => step !== null && keepsMajority(view, step)) ?? null;
}

/** Whether more than half of the voters that there are after a change answer now. */
export function keepsMajority({ id, heard, membership }: LogView, change: Placing): boolean {
  const { voters } = withMember(membership, change.id, change.place);
  const live = voters.filter((voter) => voter === id || heard.has(voter));
  return live.length >= quorum(voters.length);
}

/** Ready coordinators among the learners that answer now and have nearly the whole log, most of it first. */
export function candidatesOf(view: LogView): readonly string[] {
  const { mesh, membership, matches, heard, commitIndex } = view;
  const ready = new Set(mesh.members.filter(isReadyCoordinator).map(({ node }) => node));
  const matchOf = (node: string) => matches.get(node) ?? 0;
  return membership.learners
    .filter((node) => ready.has(node) && heard.has(node))
    .filter((node) => matchOf(node) > 0 && matchOf(node) + catchUpMaximum >= commitIndex)
    .toSorted((a, b) => matchOf(b) - matchOf(a));
}

export function isReadyCoordinator({ standing, roles }: Member): boolean {
  return standing === "ready" && roles.includes("coordinator");
}

function outOf(
  { id, membership: { voters, learners } }: LogView,
  members: Members,
): Placing | null {
  const isGone = (node: string) => {
    const member = members.get(node);
    return node !== id && member !== undefined && !isLive(member);
  };
  const learner = learners.find(isGone);
  const voter = voters.length > 1 ? voters.find(isGone) : undefined;
  const gone = learner ?? voter;
  return gone === undefined ? null : { id: gone, place: "out" };
}

/**
 * An even number of voters survives no more losses than one less, so it is left at once: upward where a
 * learner can vote, else downward. An odd number grows by two, and only where two stand ready for it. Who is
 * offline is taken back before another takes its place: that asks for no more voters at any moment.
 */
function voterOf(view: LogView, members: Members): Placing | null {
  const { membership, voterMaximum } = view;
  const { length: count } = membership.voters;
  const maximum = voterMaximum % 2 === 0 ? voterMaximum - 1 : voterMaximum;
  const [next, second] = candidatesOf(view);
  const isEven = count % 2 === 0;
  if (count > maximum || (isEven && next === undefined)) return takenBack(view, members);
  if (next === undefined) return null;
  const promoted = { id: next, place: "voter" } as const;
  if (isEven) return promoted;
  if (membership.voters.some((voter) => members.get(voter)?.standing === "offline"))
    return takenBack(view, members);
  return second !== undefined && count + 2 <= maximum ? promoted : null;
}

/** The voter that is missed least: offline, unfit or silent ones first, then who has least of the log. */
function takenBack({ id, membership, matches, heard }: LogView, members: Members): Placing | null {
  const worth = (voter: string) => {
    const member = members.get(voter);
    const isFit = member !== undefined && isReadyCoordinator(member);
    return (member?.standing === "offline" ? 0 : 4) + (isFit ? 2 : 0) + (heard.has(voter) ? 1 : 0);
  };
  const matchOf = (voter: string) => matches.get(voter) ?? 0;
  const [least] = membership.voters
    .filter((voter) => voter !== id)
    .toSorted((a, b) => worth(a) - worth(b) || matchOf(a) - matchOf(b) || (a < b ? 1 : -1));
  return least === undefined ? null : { id: least, place: "learner" };
}

function learnerOf({ mesh, membership: { voters, learners } }: LogView): Placing | null {
  const kept = new Set([...voters, ...learners]);
  const next = mesh.members.find((member) => isLive(member) && !kept.has(member.node));
  return next === undefined ? null : { id: next.node, place: "learner" };
}
