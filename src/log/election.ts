import { nobody, quorum } from "./entry.ts";
import type { MessageOf } from "./message.ts";
import { newRound, replicate, trackMembers } from "./replication.ts";
import {
  append,
  drawTimeout,
  follow,
  hearsLeader,
  isVoter,
  membershipOf,
  send,
  setBallot,
  type LogState,
} from "./state.ts";

/** Elections (Ongaro 2014, 3.4) behind a pre-vote (9.6), which costs nobody a term. */

/** Time has passed without a leader. */
export function tickFollower(state: LogState): void {
  if (++state.ticksSilent < state.electionTimeout) return;
  state.ticksSilent = 0;
  // A node that may not lead itself must stop vouching for the leader it lost.
  state.leader = nobody;
  state.electionTimeout = drawTimeout(state);
  if (mayLead(state)) campaign(state, "pre-candidate", false);
}

/**
 * A voter may lead. So may one whose removal is not committed yet: it may be the only one whose log
 * can win (4.2.2).
 */
export function mayLead(state: LogState): boolean {
  if (isVoter(state, state.id)) return true;
  const { membershipIndex } = state.history;
  return (
    membershipIndex > state.commitIndex &&
    state.history.membershipAt(membershipIndex - 1).voters.includes(state.id)
  );
}

/** Asks all voters. A pre-candidate stays in its term and asks about the next one. */
export function campaign(
  state: LogState,
  role: "pre-candidate" | "candidate",
  transfer: boolean,
): void {
  state.role = role;
  state.leader = nobody;
  state.votes = new Map([[state.id, true]]);
  const term = state.ballot.term + 1;
  if (role === "candidate") setBallot(state, term, state.id);
  const { lastIndex, lastTerm } = state.history;
  const body =
    role === "candidate"
      ? ({ kind: "vote", lastIndex, lastTerm, transfer } as const)
      : ({ kind: "pre-vote", lastIndex, lastTerm } as const);
  for (const to of membershipOf(state).voters) if (to !== state.id) send(state, to, body, term);
  countVotes(state, transfer);
}

/**
 * Counts what was answered so far. The own vote counts when it is durable: a sole voter that led at once
 * could lead the same term again after a crash, with other entries.
 */
export function countVotes(state: LogState, transfer: boolean): void {
  const { voters } = membershipOf(state);
  const needed = quorum(voters.length);
  const isBound = state.role === "pre-candidate" || state.durableTerm >= state.ballot.term;
  const counts = (id: string) => state.votes.get(id) === true && (id !== state.id || isBound);
  const granted = voters.filter(counts).length;
  const refused = voters.filter((id) => state.votes.get(id) === false).length;
  if (granted >= needed) {
    if (state.role === "pre-candidate") campaign(state, "candidate", transfer);
    else lead(state);
  } else if (refused > voters.length - needed) follow(state, state.ballot.term, nobody);
}

/** A new leader's first entry commits everything before it (figure 8). */
function lead(state: LogState): void {
  state.role = "leader";
  state.leader = state.id;
  state.ticksSilent = 0;
  state.ticksSinceBeat = 0;
  state.transferTo = nobody;
  state.reads = [];
  state.progress.clear();
  trackMembers(state);
  newRound(state);
  append(state, { index: state.history.lastIndex + 1, term: state.ballot.term, kind: "empty" });
  replicate(state);
}

export function onPreVote(state: LogState, message: MessageOf<"pre-vote">): void {
  const { from, term, lastIndex, lastTerm } = message;
  const granted =
    term > state.ballot.term && !hearsLeader(state) && isGoodEnough(state, lastIndex, lastTerm);
  send(state, from, { kind: "pre-vote-reply", granted }, granted ? term : state.ballot.term);
}

export function onVote(state: LogState, message: MessageOf<"vote">): void {
  const { from, term, lastIndex, lastTerm } = message;
  // Its term was not taken over: who hears a leader does not answer (chapter 6).
  if (term > state.ballot.term) return;
  const isFree =
    state.ballot.vote === from || state.ballot.vote === nobody || state.flaw === "vote-twice";
  const granted = isFree && state.role !== "leader" && isGoodEnough(state, lastIndex, lastTerm);
  if (granted) {
    setBallot(state, state.ballot.term, from);
    state.ticksSilent = 0;
  }
  send(state, from, { kind: "vote-reply", granted });
}

/** Votes go only to logs that lack nothing this one has (5.4.1). */
function isGoodEnough(state: LogState, lastIndex: number, lastTerm: number): boolean {
  return state.history.isBehind(lastIndex, lastTerm) || state.flaw === "vote-for-shorter-log";
}

export function onVoteReply(
  state: LogState,
  message: MessageOf<"pre-vote-reply"> | MessageOf<"vote-reply">,
): void {
  const isPre = message.kind === "pre-vote-reply";
  if (state.role !== (isPre ? "pre-candidate" : "candidate")) return;
  if (isPre && message.granted && message.term !== state.ballot.term + 1) return;
  state.votes.set(message.from, message.granted);
  countVotes(state, false);
}
