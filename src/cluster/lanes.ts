import * as v from "valibot";
import type { Request } from "./event.ts";
import type { MeshResult } from "./mesh-fold.ts";
import type { NodeFlaw } from "./node-flaw.ts";
import type { NodeOutcome } from "./node-message.ts";

/** Commands of a node that are under way at once, each in a session of its own. */
export const laneMaximum = 8;
/** Commands of a node that wait for a lane. */
export const queueMaximum = 1024;
/** Ticks before a command is sent again that was refused: the coordinator is busy or being elected. */
export const retryTicks = 2;
/** Longest patience of a command: an hour of ticks. */
export const patienceMaximum = 36_000;

const nothing: readonly never[] = [];

const ofResult = { term: v.number(), author: v.string() };
const resultSchema = v.union([
  v.strictObject({ ...ofResult, done: v.literal(true) }),
  v.strictObject({ ...ofResult, refused: v.string(), message: v.string(), hint: v.string() }),
]);

/** Whom a node follows at present. */
export interface Leader {
  readonly id: string;
  readonly term: number;
}

/** How an asked command ended. `index` and `term` are 0 where it was refused before it stood anywhere. */
export type AskOutcome =
  | { readonly kind: "done"; readonly index: number; readonly term: number }
  | {
      readonly kind: "denied";
      readonly code: string;
      readonly message: string;
      readonly hint: string;
      readonly index: number;
      readonly term: number;
    }
  /** Nobody led within the patience, and nothing was written. */
  | { readonly kind: "leaderless" }
  /** It may or may not be written, now or later. */
  | { readonly kind: "uncertain" }
  /** There was no room for it, and nothing was written. */
  | { readonly kind: "busy" };

/** A command's way to the coordinator, to be tried now. */
export interface Attempt {
  readonly ticket: number;
  readonly to: string;
  /** Null opens a session. */
  readonly session: { readonly id: number; readonly number: number } | null;
  readonly request: Request | null;
}

interface Asked {
  readonly id: number;
  readonly request: Request;
  readonly endTick: number;
  /** The one term in which it may be sent, and only to this node itself; null for any. */
  readonly term: number | null;
  /** Tickets whose fate is not known. */
  readonly open: Set<number>;
  /** Somebody took it and lost his office: it may stand in the log. */
  isTainted: boolean;
  isSent: boolean;
  isRefusedBusy: boolean;
}

interface Lane {
  /** 0 while it has none. */
  session: number;
  /** The latest number the session has seen. */
  number: number;
  asked: Asked | null;
  /** What was sent last and is not answered. */
  sent: { readonly ticket: number; readonly leader: Leader; readonly tick: number } | null;
  /** Not before this tick. */
  nextTick: number;
}

interface Ticket {
  readonly lane: Lane;
  readonly to: string;
  /** Null for one that opens a session. */
  readonly asked: Asked | null;
}

export interface LaneOptions {
  readonly id: string;
  /** Ticks without an answer after which a message is taken for lost. */
  readonly silenceTicks: number;
  /** A number no other life of this node gave to a message. */
  readonly nextTicket: () => number;
  readonly flaw: NodeFlaw | null;
}

/**
 * A node's own commands on their way into the log, each exactly once (Ongaro 2014, 6.3): a command goes out
 * under one session and number, and again under the same, until its fate is known or patience is over. A
 * session whose command was given up after it was sent is not used again, so that what arrives late can
 * never be taken for the next command. Pure: attempts and answers are fetched by the caller.
 */
export class Lanes {
  readonly #options: LaneOptions;
  readonly #lanes: Lane[] = [];
  #queue: Asked[] = [];
  readonly #tickets = new Map<number, Ticket>();
  #answers: (readonly [id: number, outcome: AskOutcome])[] = [];
  #tick = 0;
  #askedCount = 0;

  constructor(options: LaneOptions) {
    this.#options = options;
  }

  /** Commands that are not answered yet. */
  get count(): number {
    return this.#askedCount;
  }

  tick(): void {
    this.#tick++;
  }

  /** Takes a command; one that names a term is sent in that term, by its leader, or not at all. */
  ask(id: number, request: Request, patienceTicks: number, term: number | null = null): void {
    this.#askedCount++;
    if (this.#queue.length >= queueMaximum) return this.#answer(id, { kind: "busy" });
    const endTick = this.#tick + Math.min(patienceTicks, patienceMaximum);
    const state = { isTainted: false, isSent: false, isRefusedBusy: false };
    this.#queue.push({ id, request, endTick, term, open: new Set(), ...state });
  }

  /** What is to be sent now, given whom this node follows; null while it knows nobody. */
  attempts(leader: Leader | null): readonly Attempt[] {
    if (this.#askedCount === 0) return nothing;
    this.#endOverdue(leader);
    this.#fill();
    const attempts: Attempt[] = [];
    for (const lane of this.#lanes) {
      const { asked } = lane;
      if (asked === null || leader === null || !this.#isTime(lane, leader)) continue;
      attempts.push(this.#attempt(lane, asked, leader));
    }
    return attempts;
  }

  takeAnswers(): readonly (readonly [id: number, outcome: AskOutcome])[] {
    if (this.#answers.length === 0) return nothing;
    const answers = this.#answers;
    this.#answers = [];
    return answers;
  }

  #answer(id: number, outcome: AskOutcome): void {
    this.#askedCount--;
    this.#answers.push([id, outcome]);
  }

  #endOverdue(leader: Leader | null): void {
    const isOver = ({ endTick, term }: Asked) =>
      this.#tick >= endTick || (term !== null && !this.#isOwn(leader, term));
    for (const lane of this.#lanes)
      if (lane.asked !== null && isOver(lane.asked)) this.#giveUp(lane);
    if (!this.#queue.some(isOver)) return;
    for (const { id } of this.#queue.filter(isOver))
      this.#answer(id, { kind: leader === null ? "leaderless" : "busy" });
    this.#queue = this.#queue.filter((asked) => !isOver(asked));
  }

  /** Whether this node itself leads, in that term. */
  #isOwn(leader: Leader | null, term: number): boolean {
    return leader?.term === term && leader.id === this.#options.id;
  }

  #giveUp(lane: Lane): void {
    const { isTainted, open, isRefusedBusy } = lane.asked!;
    const isUnwritten = !isTainted && open.size === 0;
    if (isUnwritten || this.#options.flaw === "sent-is-leaderless")
      return this.#settle(lane, { kind: isRefusedBusy ? "busy" : "leaderless" }, false);
    this.#settle(lane, { kind: "uncertain" }, false);
  }

  /** Ends a lane's command. A session whose next number may still be taken by a late message is left. */
  #settle(lane: Lane, outcome: AskOutcome, isSessionKept: boolean): void {
    const asked = lane.asked!;
    this.#answer(asked.id, outcome);
    this.#forgetTickets(lane, lane.session === 0 ? lane.sent?.ticket : undefined);
    lane.asked = null;
    // The answer to what would have opened a session is still welcome.
    if (lane.session > 0) lane.sent = null;
    if (asked.isSent && !isSessionKept) lane.session = 0;
  }

  #forgetTickets(lane: Lane, but?: number): void {
    for (const [ticket, known] of this.#tickets)
      if (known.lane === lane && ticket !== but) this.#tickets.delete(ticket);
  }

  /** Gives waiting commands to free lanes; a lane that has a session first, a new one last. */
  #fill(): void {
    while (this.#queue.length > 0) {
      const lane = this.#freeLane();
      if (lane === null) return;
      lane.asked = this.#queue.shift()!;
      lane.nextTick = this.#tick;
    }
  }

  #freeLane(): Lane | null {
    const free = this.#lanes.filter(({ asked }) => asked === null);
    const known = free.find(({ session }) => session > 0) ?? free[0];
    if (known !== undefined) return known;
    if (this.#lanes.length >= laneMaximum) return null;
    const lane: Lane = { session: 0, number: 0, asked: null, sent: null, nextTick: 0 };
    this.#lanes.push(lane);
    return lane;
  }

  /** Whether a lane's command goes out now: nothing of it is under way to this leader in this term. */
  #isTime({ sent, nextTick }: Lane, { id, term }: Leader): boolean {
    if (sent === null) return this.#tick >= nextTick;
    const isLost = this.#tick - sent.tick >= this.#options.silenceTicks;
    return isLost || sent.leader.id !== id || sent.leader.term !== term;
  }

  #attempt(lane: Lane, asked: Asked, leader: Leader): Attempt {
    const ticket = this.#options.nextTicket();
    if (asked.isSent && this.#options.flaw === "repeat-in-new-session" && lane.sent !== null)
      lane.session = 0;
    lane.sent = { ticket, leader, tick: this.#tick };
    const to = leader.id;
    if (lane.session === 0) {
      this.#tickets.set(ticket, { lane, to, asked: null });
      return { ticket, to, session: null, request: null };
    }
    asked.isSent = true;
    asked.open.add(ticket);
    this.#tickets.set(ticket, { lane, to, asked });
    const session = { id: lane.session, number: lane.number + 1 };
    return { ticket, to, session, request: asked.request };
  }

  /** What the node `from` says of a ticket; true where it was for a lane. */
  outcome(from: string, ticket: number, outcome: NodeOutcome): boolean {
    const known = this.#tickets.get(ticket);
    if (known === undefined || known.to !== from) return false;
    this.#tickets.delete(ticket);
    const { lane, asked } = known;
    const isLatest = lane.sent?.ticket === ticket;
    if (isLatest) lane.sent = null;
    if (asked === null) this.#opened(lane, outcome);
    else this.#decided(lane, asked, ticket, outcome);
    if (isLatest && lane.asked !== null && outcome.kind === "refused")
      lane.nextTick = this.#tick + retryTicks;
    return true;
  }

  #opened(lane: Lane, outcome: NodeOutcome): void {
    if (outcome.kind !== "done") {
      if (lane.asked !== null) lane.asked.isRefusedBusy = isBusy(outcome);
      return;
    }
    // Of several that were opened the first one to be heard of is used.
    if (lane.session > 0) return;
    lane.session = outcome.index;
    lane.number = 0;
    lane.sent = null;
  }

  #decided(lane: Lane, asked: Asked, ticket: number, outcome: NodeOutcome): void {
    asked.open.delete(ticket);
    asked.isRefusedBusy = isBusy(outcome);
    switch (outcome.kind) {
      case "done": {
        const result = resultOf(outcome, this.#options.id);
        if (result === null) return this.#forgotten(lane, asked);
        if (this.#options.flaw !== "number-used-again") lane.number++;
        return this.#settle(lane, result, true);
      }
      case "denied":
        // One leader's no says nothing of what another was told before.
        if (asked.isTainted || asked.open.size > 0)
          return this.#settle(lane, { kind: "uncertain" }, false);
        return this.#settle(lane, { ...outcome, index: 0, term: 0 }, true);
      case "uncertain":
        asked.isTainted = true;
        return;
      case "unapplied":
        return this.#forgotten(lane, asked);
      case "refused":
        return;
    }
  }

  /**
   * The log does not know the session any more, or another used it. Where this was the only time the command was sent, it was
   * surely not applied, and goes out again in a new session.
   */
  #forgotten(lane: Lane, asked: Asked): void {
    if (asked.isTainted || asked.open.size > 0)
      return this.#settle(lane, { kind: "uncertain" }, false);
    lane.session = 0;
    lane.sent = null;
    asked.isSent = false;
  }
}

function isBusy(outcome: NodeOutcome): boolean {
  return outcome.kind === "refused" && outcome.reason === "busy";
}

/** What an applied command's result says of it; null where it is of another's command, or is no result. */
function resultOf(
  { index, result }: NodeOutcome & { readonly kind: "done" },
  id: string,
): AskOutcome | null {
  const parsed = readResult(result);
  if (parsed === null || parsed.author !== id) return null;
  const { term, author: _, ...outcome } = parsed;
  if ("done" in outcome) return { kind: "done", index, term };
  const { refused: code, message, hint } = outcome;
  return { kind: "denied", code, message, hint, index, term };
}

/** The coordinator is another node, so its words are looked at before they are believed. */
function readResult(text: string): MeshResult | null {
  try {
    const parsed = v.safeParse(resultSchema, JSON.parse(text));
    return parsed.success ? parsed.output : null;
  } catch {
    return null;
  }
}
