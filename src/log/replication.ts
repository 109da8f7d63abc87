import { nobody, quorum } from "./entry.ts";
import type { MessageOf } from "./message.ts";
import { Progress } from "./progress.ts";
import { follow, isVoter, membershipOf, send, type LogState } from "./state.ts";

/** What a leader does: sends entries, counts who has them, commits, serves reads, hands over. */

/** Time has passed for a leader. One that lost its quorum steps down (6.2). */
export function tickLeader(state: LogState): void {
  const { electionTicks, heartbeatTicks } = state.tuning;
  if (++state.ticksSilent >= electionTicks) {
    if (!heardQuorum(state)) return follow(state, state.ballot.term, nobody);
    state.ticksSilent = 0;
  }
  if (state.transferTo !== nobody && ++state.transferTicks >= electionTicks)
    state.transferTo = nobody;
  if (++state.ticksSinceBeat >= heartbeatTicks) {
    state.ticksSinceBeat = 0;
    newRound(state);
    beat(state);
  }
}

/** Whether a quorum answered since the last look; looking starts the next stretch. */
function heardQuorum(state: LogState): boolean {
  const { voters } = membershipOf(state);
  const heard = voters.filter((id) => id === state.id || state.progress.get(id)?.isHeard === true);
  for (const progress of state.progress.values()) progress.isHeard = false;
  return heard.length >= quorum(voters.length);
}

/** Heartbeats from here on carry a new number, whose answers prove contact after this moment. */
export function newRound(state: LogState): void {
  const oldest = state.tickCount - state.tuning.electionTicks;
  state.beats = state.beats.filter(({ tick }) => tick > oldest);
  state.beats.push({ round: ++state.round, tick: state.tickCount });
}

/** Keeps one `Progress` for each other member. */
export function trackMembers(state: LogState): void {
  const { voters, learners } = membershipOf(state);
  const members = [...voters, ...learners].filter((id) => id !== state.id);
  for (const id of members)
    if (!state.progress.has(id)) state.progress.set(id, new Progress(state.history.lastIndex + 1));
  for (const id of state.progress.keys()) if (!members.includes(id)) state.progress.delete(id);
}

/** Sends everyone what they lack. */
export function replicate(state: LogState): void {
  for (const [id, progress] of state.progress) sendEntries(state, id, progress, false);
  advanceCommit(state);
}

/** Sends everyone a heartbeat. */
export function beat(state: LogState): void {
  for (const [id, progress] of state.progress) sendEntries(state, id, progress, true);
}

/** Sends what a follower lacks; a message without entries only as a heartbeat. */
function sendEntries(state: LogState, id: string, progress: Progress, isBeat: boolean): void {
  if (progress.isPaused && !isBeat) return;
  const { history, commitIndex, round } = state;
  const previousIndex = progress.nextIndex - 1;
  const previousTerm = history.termAt(previousIndex);
  if (previousTerm === null) {
    if (progress.isAwaitingSnapshot(isBeat)) return isBeat ? greet(state, id) : undefined;
    progress.sentSnapshot(history.snapshot.index);
    return send(state, id, { kind: "snapshot", snapshot: history.snapshot, round });
  }
  const entries = progress.isPaused
    ? []
    : history.from(progress.nextIndex, state.tuning.entriesPerMessage);
  if (entries.length === 0 && !isBeat) return;
  send(state, id, { kind: "append", previousIndex, previousTerm, entries, commitIndex, round });
  progress.sent(entries.length);
}

/**
 * A heartbeat that asks for nothing: before the first entry all logs are equal. Without it a follower that
 * awaits a long snapshot would take its leader for lost, and the leader its quorum.
 */
function greet(state: LogState, id: string): void {
  const { round } = state;
  const nothing = { previousIndex: 0, previousTerm: 0, entries: [], commitIndex: 0 } as const;
  send(state, id, { kind: "append", ...nothing, round });
}

/** Commits what a quorum has. Only entries of the own term are committed by counting (figure 8). */
export function advanceCommit(state: LogState): void {
  const { voters } = membershipOf(state);
  const matches = voters
    .map((id) => (id === state.id ? state.durableIndex : (state.progress.get(id)?.matchIndex ?? 0)))
    .sort((a, b) => b - a);
  const index = matches[quorum(voters.length) - 1] ?? 0;
  const isOwn =
    state.history.termAt(index) === state.ballot.term || state.flaw === "count-old-terms";
  if (index <= state.commitIndex || !isOwn) return;
  state.commitIndex = index;
  serveReads(state);
  beat(state);
  // A leader that removed itself leads until that is committed (4.2.2).
  const isRemoved = !isVoter(state, state.id) && state.history.membershipIndex <= index;
  if (isRemoved) follow(state, state.ballot.term, nobody);
}

/** Answers reads whose round a quorum has heard (6.4). */
export function serveReads(state: LogState): void {
  const { voters } = membershipOf(state);
  state.reads = state.reads.filter(({ id, index, round }) => {
    const heard = voters.filter(
      (each) => each === state.id || (state.progress.get(each)?.round ?? -1) >= round,
    );
    if (heard.length < quorum(voters.length)) return true;
    state.out.reads.push({ id, index });
    return false;
  });
}

/** Lets the heir elect itself once it has every entry (3.10). */
export function tryTransfer(state: LogState): void {
  const progress = state.progress.get(state.transferTo);
  if (progress === undefined) return;
  if (progress.matchIndex === state.history.lastIndex)
    send(state, state.transferTo, { kind: "elect-now" });
  else sendEntries(state, state.transferTo, progress, false);
}

export function onAppendReply(state: LogState, message: MessageOf<"append-reply">): void {
  const { from, accepted, index, round } = message;
  const progress = state.progress.get(from);
  if (state.role !== "leader" || progress === undefined) return;
  progress.isHeard = true;
  // Nobody answers a round that was not begun.
  progress.round = Math.max(progress.round, Math.min(round, state.round));
  if (accepted) {
    if (progress.accepted(index)) advanceCommit(state);
    // Committing its own removal ends a leader's work.
    if (state.role !== "leader") return;
    if (from === state.transferTo) tryTransfer(state);
    if (progress.nextIndex <= state.history.lastIndex) sendEntries(state, from, progress, false);
  } else {
    progress.refused(nextAfterRefusal(state, message));
    sendEntries(state, from, progress, true);
  }
  serveReads(state);
}

/** Where to try next: whole terms the follower cannot share are skipped (5.3). */
function nextAfterRefusal(
  state: LogState,
  { index, indexTerm }: MessageOf<"append-reply">,
): number {
  let match = Math.min(index, state.history.lastIndex);
  for (;;) {
    const term = state.history.termAt(match);
    if (term === null || term <= indexTerm) return match + 1;
    match--;
  }
}
