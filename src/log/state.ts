import type { Write } from "./durable.ts";
import type { Ballot, Entry, Membership, Snapshot } from "./entry.ts";
import { nobody, quorum } from "./entry.ts";
import type { Flaw } from "./flaw.ts";
import type { History } from "./history.ts";
import type { Message, MessageBody } from "./message.ts";
import type { Progress } from "./progress.ts";

export interface Tuning {
  /** Ticks between heartbeats of a leader. */
  readonly heartbeatTicks: number;
  /** Ticks without a leader after which an election may begin; drawn from [n, 2n). */
  readonly electionTicks: number;
  /** Most entries in one message, so that a message has a bound. */
  readonly entriesPerMessage: number;
}

export type Role = "follower" | "pre-candidate" | "candidate" | "leader";

/** What the caller must do, in the order of the fields. */
export interface Effects extends Write {
  /** To be sent as soon as everything to be written is durable. */
  readonly messages: readonly Message[];
  /** A snapshot from the leader, replacing the state that was applied so far. */
  readonly restored: Snapshot | null;
  /** Entries to apply, in order, each once. */
  readonly committed: readonly Entry[];
  /** Reads whose index may be served once that index is applied. */
  readonly reads: readonly { readonly id: number; readonly index: number }[];
}

/** A read that waits for proof that its leader still leads. */
export interface WaitingRead {
  readonly id: number;
  readonly index: number;
  /** The heartbeat round a quorum must answer. */
  readonly round: number;
}

/** Effects while they are gathered. */
export interface Outbox {
  ballot: Ballot | null;
  truncateFrom: number;
  snapshot: Snapshot | null;
  entries: Entry[];
  messages: Message[];
  restored: Snapshot | null;
  committed: Entry[];
  reads: { id: number; index: number }[];
}

export function emptyOutbox(): Outbox {
  return {
    ballot: null,
    truncateFrom: 0,
    snapshot: null,
    restored: null,
    entries: [],
    messages: [],
    committed: [],
    reads: [],
  };
}

/** Everything one node knows of the log, changed in place by the functions of this room. */
export interface LogState {
  readonly id: string;
  readonly tuning: Tuning;
  /** A number in [0, 1), drawn anew for each election timeout. */
  readonly draw: () => number;
  readonly history: History;
  /** A mistake planted by the simulator; null in every node. */
  readonly flaw: Flaw | null;
  ballot: Ballot;
  role: Role;
  leader: string;
  commitIndex: number;
  appliedIndex: number;
  /** Own entries known to be durable. */
  durableIndex: number;
  /** The term up to which ballots are known to be durable. */
  durableTerm: number;
  /** Ticks since a leader was heard, or since a leader last looked for its quorum. */
  ticksSilent: number;
  ticksSinceBeat: number;
  electionTimeout: number;
  votes: Map<string, boolean>;
  /** A leader's view of the others. */
  readonly progress: Map<string, Progress>;
  round: number;
  tickCount: number;
  /** When recent rounds were sent, oldest first; those older than a lease are dropped. */
  beats: { readonly round: number; readonly tick: number }[];
  transferTo: string;
  transferTicks: number;
  reads: WaitingRead[];
  out: Outbox;
}

/** The membership that counts: the latest in the log, committed or not. */
export function membershipOf(state: LogState): Membership {
  return state.history.membership;
}

export function isVoter(state: LogState, id: string): boolean {
  return membershipOf(state).voters.includes(id);
}

export function drawTimeout({ tuning, draw }: LogState): number {
  return tuning.electionTicks + Math.floor(draw() * tuning.electionTicks);
}

/** A promise for a term. It counts once it is durable, which is before any message goes out. */
export function setBallot(state: LogState, term: number, vote: string): void {
  if (state.ballot.term === term && state.ballot.vote === vote) return;
  state.ballot = { term, vote };
  state.out.ballot = state.ballot;
}

/** Becomes a follower, in a newer term or in its own. */
export function follow(state: LogState, term: number, leader: string): void {
  if (term > state.ballot.term) setBallot(state, term, nobody);
  state.role = "follower";
  state.leader = leader;
  state.ticksSilent = 0;
  state.electionTimeout = drawTimeout(state);
  state.progress.clear();
  state.reads = [];
  state.transferTo = nobody;
}

export function send(
  state: LogState,
  to: string,
  body: MessageBody,
  term = state.ballot.term,
): void {
  state.out.messages.push({ from: state.id, to, term, ...body });
}

/** Writes an entry at the end of the log. */
export function append(state: LogState, entry: Entry): void {
  state.history.push(entry);
  state.out.entries.push(entry);
}

/** Drops entries that a newer leader contradicts; only what was never committed may go. */
export function forgetFrom(state: LogState, index: number): void {
  const { out } = state;
  state.durableIndex = Math.min(state.durableIndex, index - 1);
  out.truncateFrom = out.truncateFrom === 0 ? index : Math.min(out.truncateFrom, index);
  out.entries = out.entries.filter((entry) => entry.index < index);
}

/**
 * True while a quorum answered a heartbeat sent less than an election timeout ago: until then no
 * other node can be elected, as long as clocks run at like rates.
 */
export function hasLease(state: LogState): boolean {
  if (state.role !== "leader") return false;
  const { voters } = membershipOf(state);
  const rounds = voters
    .map((id) => (id === state.id ? state.round : (state.progress.get(id)?.round ?? -1)))
    .sort((a, b) => b - a);
  const answered = rounds[quorum(voters.length) - 1] ?? -1;
  const sentTick = state.beats.findLast(({ round }) => round <= answered)?.tick;
  return sentTick !== undefined && state.tickCount - sentTick < state.tuning.electionTicks;
}

/** True where a leader is known to be at work, so that an election would only disturb. */
export function hearsLeader(state: LogState): boolean {
  if (state.role === "leader") return hasLease(state);
  return state.leader !== nobody && state.ticksSilent < state.tuning.electionTicks;
}
