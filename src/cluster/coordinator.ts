import { canonicalText } from "#src/codec/digest.ts";
import type { Place } from "#src/log/entry.ts";
import { bodyMaximum, type Payload } from "#src/log/fold.ts";
import type { Input, Outcome, Replica } from "#src/log/replica.ts";
import type { Event, Request } from "./event.ts";
import type { NodeFlaw } from "./node-flaw.ts";
import type { NodeMessage, NodeOutcome } from "./node-message.ts";
import type { PartingDenial } from "./parting.ts";
import { readAllowance, SenderAllowance, writeAllowance } from "./sender-allowance.ts";

/** Commands and reads of one node that the coordinator works on at once; those beyond are refused as busy. */
export const senderMaximum = 32;

export interface Reply {
  readonly to: string;
  readonly ticket: number;
  readonly outcome: NodeOutcome;
}

export interface CoordinatorParts {
  readonly id: string;
  readonly wallMs: () => number;
  readonly flaw: NodeFlaw | null;
  readonly core: Replica["core"];
  /** Why a leader does not take an event now: it is denied, or another is to lead first. */
  readonly judge: (event: Event) => PartingDenial | "hand-over" | null;
  /** Gives the log an input and takes its effects over. */
  readonly step: (input: Input) => void;
  readonly reply: (reply: Reply) => void;
}

type Submit = NodeMessage & { readonly kind: "submit" };

/**
 * What a node does for others while it leads: takes their commands, gives them its time and term, and says
 * what became of them. A node that does not lead says so, and who does.
 */
export class Coordinator {
  readonly #parts: CoordinatorParts;
  /** Whose request stands behind a number of the log's. Negative: the simulator's clients have the others. */
  readonly #asked = new Map<number, { readonly from: string; readonly ticket: number }>();
  readonly #writes = new SenderAllowance(writeAllowance);
  readonly #reads = new SenderAllowance(readAllowance);
  #requestCount = 0;
  /** The change of who keeps the log that is under way. */
  #placing: number | null = null;

  constructor(parts: CoordinatorParts) {
    this.#parts = parts;
  }

  tick(): void {
    this.#writes.tick();
    this.#reads.tick();
  }

  submit(from: string, { ticket, session, request }: Submit): void {
    if (!this.#maySpend(this.#writes, from)) return this.#busy(from, ticket);
    if (session === null) return this.#take(from, ticket, { kind: "open" });
    if (request === null) return;
    const { flaw, core } = this.#parts;
    if (request.author !== from && flaw !== "author-unchecked")
      return this.#deny(from, ticket, "scope_lacking", {
        message: `${from} asks in the name of ${request.author}`,
        hint: "a node asks for itself alone",
      });
    if (request.command.kind === "mesh-recovered")
      return this.#deny(from, ticket, "scope_lacking", {
        message: "a mesh is recovered in the log of one node, not by asking for it",
        hint: "`psionic cluster recover` does it, where the deciders are lost for good",
      });
    if ("fence" in request.command && from !== this.#parts.id)
      return this.#deny(from, ticket, "scope_lacking", {
        message: `${from} does not lead, and orders ${request.command.kind}`,
        hint: "Who leads gives the orders.",
      });
    const event = this.#stamped(request);
    const judged = core.role === "leader" ? this.#parts.judge(event) : null;
    if (judged === "hand-over")
      return this.#parts.reply({
        ...{ to: from, ticket },
        outcome: { kind: "refused", reason: "not_leader", leader: "" },
      });
    if (judged !== null) return this.#deny(from, ticket, judged.code, judged);
    const body = canonicalText(event);
    if (body.length > bodyMaximum)
      return this.#deny(from, ticket, "event_malformed", {
        message: `the command has ${body.length} characters; ${bodyMaximum} are allowed`,
        hint: "ask for less at once",
      });
    const { id, number } = session;
    this.#take(from, ticket, { kind: "command", session: id, number, body });
    if (flaw !== "done-before-commit" || core.role !== "leader") return;
    const result = JSON.stringify({ done: true, term: core.term, author: from });
    this.#parts.reply({
      to: from,
      ticket,
      outcome: { kind: "done", index: core.lastIndex, result },
    });
  }

  read(from: string, ticket: number): void {
    if (!this.#maySpend(this.#reads, from)) return this.#busy(from, ticket);
    const number = this.#number(from, ticket);
    if (number !== null) this.#parts.step({ kind: "read", request: number, question: "" });
  }

  /** Puts a node to another place of the log, unless such a change is under way. */
  place(id: string, place: Place): void {
    if (this.#placing !== null) return;
    this.#placing = -++this.#requestCount;
    this.#parts.step({ kind: "member", request: this.#placing, id, place });
  }

  /** Takes an answer of the log's; false where another asked. */
  answered(request: number, outcome: Outcome): boolean {
    if (request === this.#placing) {
      this.#placing = null;
      return true;
    }
    const asked = this.#asked.get(request);
    if (asked === undefined) return false;
    this.#asked.delete(request);
    this.#parts.reply({ to: asked.from, ticket: asked.ticket, outcome });
    return true;
  }

  /** A leader bounds the others; what it asks itself, and what it only passes back, costs nobody a write. */
  #maySpend(allowance: SenderAllowance, from: string): boolean {
    const { id, core } = this.#parts;
    return from === id || core.role !== "leader" || allowance.spend(from);
  }

  #busy(to: string, ticket: number): void {
    const { leader } = this.#parts.core;
    this.#parts.reply({ to, ticket, outcome: { kind: "refused", reason: "busy", leader } });
  }

  #take(from: string, ticket: number, payload: Payload): void {
    const request = this.#number(from, ticket);
    if (request !== null) this.#parts.step({ kind: "submit", request, payload });
  }

  /** A number for a node's request, or null where it has as many under way as it may. */
  #number(from: string, ticket: number): number | null {
    let count = 0;
    for (const asked of this.#asked.values()) if (asked.from === from) count++;
    if (count >= senderMaximum) {
      this.#busy(from, ticket);
      return null;
    }
    const number = -++this.#requestCount;
    this.#asked.set(number, { from, ticket });
    return number;
  }

  #deny(
    to: string,
    ticket: number,
    code: string,
    { message, hint }: { readonly message: string; readonly hint: string },
  ): void {
    this.#parts.reply({ to, ticket, outcome: { kind: "denied", code, message, hint } });
  }

  #stamped(request: Request): Event {
    const { wallMs, core } = this.#parts;
    return { ...request, timeMs: Math.max(0, Math.floor(wallMs())), term: core.term };
  }
}
