import { assert } from "#src/refusal/refusal.ts";
import {
  campaign,
  countVotes,
  mayLead,
  onPreVote,
  onVote,
  onVoteReply,
  tickFollower,
} from "./election.ts";
import {
  nobody,
  withMember,
  type Ballot,
  type Entry,
  type Membership,
  type Place,
  type Snapshot,
} from "./entry.ts";
import type { Flaw } from "./flaw.ts";
import { noRound, onAppend, onSnapshot, reply } from "./following.ts";
import { History } from "./history.ts";
import type { Message } from "./message.ts";
import {
  advanceCommit,
  beat,
  newRound,
  onAppendReply,
  replicate,
  serveReads,
  tickLeader,
  trackMembers,
  tryTransfer,
} from "./replication.ts";
import {
  append,
  drawTimeout,
  emptyOutbox,
  follow,
  hasLease,
  hearsLeader,
  isVoter,
  send,
  type Effects,
  type LogState,
  type Role,
  type Tuning,
} from "./state.ts";

/** What a node finds on its disk when it starts. */
export interface Restart {
  readonly ballot: Ballot;
  readonly snapshot: Snapshot;
  /** The entries after the snapshot. */
  readonly entries: readonly Entry[];
  /** What the caller has applied; at least the snapshot's index. */
  readonly appliedIndex: number;
  /** Up to here the entries are known to be committed: it was applied before the restart. */
  readonly committedIndex?: number;
}

/** Why a proposal was not taken. */
export type Rejection = "not_leader" | "change_pending" | "transferring" | "no_change";

/** Where a proposal stands; no promise before it is committed. */
export interface Proposed {
  readonly index: number;
  readonly term: number;
}

/**
 * The ordered log as a pure machine: inputs go in, effects come out, nothing else happens. No clock,
 * no chance, no disk: time arrives as ticks, chance as numbers the caller draws.
 *
 * Raft as published (Ongaro 2014): pre-vote (9.6), leader lease by quorum contact (6.4.1), one
 * membership change at a time (4.1), snapshots (5), learners (4.2.1), leadership transfer (3.10).
 *
 * The caller's duty, for each `Effects` in this order: write `ballot`, `truncateFrom`, `snapshot` and
 * `entries` durably, say so with `persisted`, send `messages`, apply `restored` and `committed`.
 */
export class LogCore {
  readonly #state: LogState;

  constructor(
    id: string,
    tuning: Tuning,
    restart: Restart,
    draw: () => number,
    flaw: Flaw | null = null,
  ) {
    const history = new History(restart.snapshot, restart.entries);
    this.#state = {
      ...{ id, tuning, draw, history, flaw },
      ballot: restart.ballot,
      ...{ role: "follower", leader: nobody },
      commitIndex: Math.max(
        restart.appliedIndex,
        Math.min(restart.committedIndex ?? 0, history.lastIndex),
      ),
      appliedIndex: restart.appliedIndex,
      durableIndex: history.lastIndex,
      durableTerm: restart.ballot.term,
      ...{ ticksSilent: 0, ticksSinceBeat: 0, electionTimeout: 0 },
      votes: new Map(),
      progress: new Map(),
      ...{ round: 0, tickCount: 0, beats: [] },
      ...{ transferTo: nobody, transferTicks: 0 },
      reads: [],
      out: emptyOutbox(),
    };
    this.#state.electionTimeout = drawTimeout(this.#state);
  }

  get id(): string {
    return this.#state.id;
  }
  get role(): Role {
    return this.#state.role;
  }
  get term(): number {
    return this.#state.ballot.term;
  }
  get vote(): string {
    return this.#state.ballot.vote;
  }
  /** The leader this node follows; empty while it knows none. */
  get leader(): string {
    return this.#state.leader;
  }
  get commitIndex(): number {
    return this.#state.commitIndex;
  }
  get appliedIndex(): number {
    return this.#state.appliedIndex;
  }
  get lastIndex(): number {
    return this.#state.history.lastIndex;
  }
  get membership(): Membership {
    return this.#state.history.membership;
  }
  get history(): History {
    return this.#state.history;
  }
  /** True while no other node can have been elected. */
  get hasLease(): boolean {
    return hasLease(this.#state);
  }

  /** What a leader knows of each other member: the last index it surely has. */
  matches(): ReadonlyMap<string, number> {
    return new Map([...this.#state.progress].map(([id, { matchIndex }]) => [id, matchIndex]));
  }

  /** Of a leader: the other members that answered a heartbeat sent less than an election timeout ago. */
  heard(): ReadonlySet<string> {
    const { beats, tickCount, tuning, progress } = this.#state;
    const recent = beats.find(({ tick }) => tickCount - tick < tuning.electionTicks)?.round;
    const heard = [...progress].filter(([, { round }]) => recent !== undefined && round >= recent);
    return new Set(heard.map(([id]) => id));
  }

  /** A unit of time has passed. */
  tick(): void {
    this.#state.tickCount++;
    if (this.#state.role === "leader") tickLeader(this.#state);
    else tickFollower(this.#state);
  }

  /** A message has arrived, from a member or from one this node does not know to be one yet. */
  receive(message: Message): void {
    const state = this.#state;
    assert(message.to === state.id, "a message for another node");
    if (message.term > state.ballot.term && takesTerm(state, message)) {
      const leads = message.kind === "append" || message.kind === "snapshot";
      follow(state, message.term, leads ? message.from : nobody);
    }
    if (message.term < state.ballot.term) answerStale(state, message);
    else handle(state, message);
  }

  /** Appends an event, where this node leads. */
  propose(payload: string): Proposed | Rejection {
    const state = this.#state;
    const rejection = whyNot(state);
    if (rejection !== null) return rejection;
    const entry = { index: this.lastIndex + 1, term: this.term, kind: "event", payload } as const;
    append(state, entry);
    replicate(state);
    return { index: entry.index, term: entry.term };
  }

  /**
   * Changes the membership by one node. Taken only when the change before is committed and this
   * leader has committed an entry of its own term (Ongaro's correction of 2015).
   */
  proposeMember(id: string, place: Place): Proposed | Rejection {
    const state = this.#state;
    const rejection = whyNot(state);
    if (rejection !== null) return rejection;
    const isPending = state.history.membershipIndex > state.commitIndex;
    const isUnsettled = isPending || state.history.termAt(state.commitIndex) !== this.term;
    if (isUnsettled && state.flaw !== "two-members-at-once") return "change_pending";
    const membership = withMember(this.membership, id, place);
    const isSame = JSON.stringify(membership) === JSON.stringify(this.membership);
    if (isSame || membership.voters.length === 0) return "no_change";
    const index = this.lastIndex + 1;
    append(state, { index, term: this.term, kind: "membership", membership });
    trackMembers(state);
    replicate(state);
    return { index, term: this.term };
  }

  /** Hands leadership to a voter as soon as it has every entry; given up after an election timeout. */
  transfer(id: string): Rejection | null {
    const state = this.#state;
    const rejection = whyNot(state);
    if (rejection !== null) return rejection;
    if (id === state.id || !isVoter(state, id)) return "no_change";
    state.transferTo = id;
    state.transferTicks = 0;
    tryTransfer(state);
    return null;
  }

  /** Asks for an index at which a read sees every write acknowledged before; see `Effects.reads`. */
  read(id: number): Rejection | null {
    const state = this.#state;
    if (state.role !== "leader") return "not_leader";
    // Before its first commit a leader does not know what was committed before it.
    if (state.history.termAt(state.commitIndex) !== this.term) return "change_pending";
    newRound(state);
    const round = state.flaw === "read-without-quorum" ? -1 : state.round;
    state.reads.push({ id, index: state.commitIndex, round });
    beat(state);
    serveReads(state);
    return null;
  }

  /** The ballot of a term and own entries up to an index are durable now. */
  persisted(index: number, term: number): void {
    const state = this.#state;
    state.durableIndex = Math.min(Math.max(state.durableIndex, index), this.lastIndex);
    state.durableTerm = Math.max(state.durableTerm, term);
    if (state.role === "candidate") countVotes(state, false);
    if (state.role === "leader") advanceCommit(state);
  }

  /** The caller folded everything up to an applied index into a state: its entries may go. */
  compact(index: number, folded: string): void {
    assert(index <= this.appliedIndex, "only what is applied can be compacted");
    if (index > this.history.snapshot.index)
      this.#state.out.snapshot = this.history.compact(index, folded);
  }

  /** Everything to be done since the last call. */
  takeEffects(): Effects {
    const state = this.#state;
    const { out } = state;
    const commitIndex = state.flaw === "apply-before-commit" ? this.lastIndex : state.commitIndex;
    const limit = Math.min(commitIndex, state.durableIndex);
    const count = limit - state.appliedIndex;
    if (count > 0) out.committed.push(...state.history.from(state.appliedIndex + 1, count));
    state.appliedIndex = Math.max(state.appliedIndex, limit);
    state.out = emptyOutbox();
    return out;
  }
}

function whyNot(state: LogState): Rejection | null {
  if (state.role !== "leader") return "not_leader";
  return state.transferTo === nobody ? null : "transferring";
}

/** Whether a newer term is taken over: a pre-vote asks about a term that nobody is in yet. */
function takesTerm(state: LogState, message: Message): boolean {
  if (message.kind === "pre-vote") return false;
  if (message.kind === "pre-vote-reply") return !message.granted;
  // Who hears a leader ignores those who would disturb it, unless the leader asked for it.
  return message.kind !== "vote" || message.transfer || !hearsLeader(state);
}

/**
 * Whoever speaks from an old term learns of the present one. No round is echoed: it counts for the old term,
 * and its sender may lead again by now and take it for one of its own.
 */
function answerStale(state: LogState, message: Message): void {
  const { from, kind } = message;
  if (kind === "append" || kind === "snapshot")
    reply(state, from, false, state.history.lastIndex, noRound);
  else if (kind === "pre-vote") send(state, from, { kind: "pre-vote-reply", granted: false });
  else if (kind === "vote") send(state, from, { kind: "vote-reply", granted: false });
}

function handle(state: LogState, message: Message): void {
  switch (message.kind) {
    case "pre-vote":
      return onPreVote(state, message);
    case "vote":
      return onVote(state, message);
    case "pre-vote-reply":
    case "vote-reply":
      return onVoteReply(state, message);
    case "append":
      return onAppend(state, message);
    case "append-reply":
      return onAppendReply(state, message);
    case "snapshot":
      return onSnapshot(state, message);
    case "elect-now":
      if (mayLead(state) && state.role !== "leader") campaign(state, "candidate", true);
  }
}
