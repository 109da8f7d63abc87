import { assert } from "#src/refusal/refusal.ts";
import type { MessageOf } from "./message.ts";
import { append, forgetFrom, send, type LogState } from "./state.ts";

/** What a follower does with entries and snapshots of its leader. */

export function onAppend(state: LogState, message: MessageOf<"append">): void {
  hear(state, message.from);
  const { from, previousIndex, previousTerm, entries, commitIndex, round } = message;
  const { history } = state;
  // A late message about what is in the snapshot by now.
  if (previousIndex < history.snapshot.index)
    return reply(state, from, true, state.commitIndex, round);
  const known = history.termAt(previousIndex);
  const matches = known === previousTerm || state.flaw === "ignore-previous-term";
  if (known === null || !matches) {
    const hint = conflictHint(state, previousIndex, previousTerm);
    return reply(state, from, false, hint, round);
  }
  for (const entry of entries) {
    const known = history.termAt(entry.index);
    if (known === entry.term) continue;
    if (known !== null) {
      assert(entry.index > state.commitIndex, "committed entries never go");
      history.truncate(entry.index);
      forgetFrom(state, entry.index);
    }
    append(state, entry);
  }
  const matched = previousIndex + entries.length;
  state.commitIndex = Math.max(state.commitIndex, Math.min(commitIndex, matched));
  reply(state, from, true, matched, round);
}

/** The last own index that could match a leader whose entry at `index` has `term` (5.3). */
function conflictHint({ history, commitIndex }: LogState, index: number, term: number): number {
  let hint = Math.min(index - 1, history.lastIndex);
  while (hint > commitIndex && history.termAt(hint)! > term) hint--;
  return Math.max(hint, commitIndex);
}

export function onSnapshot(state: LogState, message: MessageOf<"snapshot">): void {
  const { from, snapshot, round } = message;
  hear(state, from);
  if (snapshot.index > state.commitIndex) {
    const { out } = state;
    if (!state.history.restore(snapshot)) forgetFrom(state, snapshot.index + 1);
    state.commitIndex = snapshot.index;
    state.appliedIndex = snapshot.index;
    state.durableIndex = Math.max(state.durableIndex, snapshot.index);
    out.committed = [];
    out.entries = out.entries.filter(({ index }) => index > snapshot.index);
    out.snapshot = snapshot;
    out.restored = snapshot;
  }
  reply(state, from, true, state.commitIndex, round);
}

function hear(state: LogState, leader: string): void {
  assert(state.role !== "leader", "two leaders in one term");
  state.role = "follower";
  state.leader = leader;
  state.ticksSilent = 0;
}

/** Echoed where an answer proves no contact. */
export const noRound = -1;

/** Accepted: what matches. Refused: where to try next. */
export function reply(
  state: LogState,
  to: string,
  accepted: boolean,
  index: number,
  round: number,
): void {
  const indexTerm = state.history.termAt(index) ?? 0;
  send(state, to, { kind: "append-reply", accepted, index, indexTerm, round });
}
