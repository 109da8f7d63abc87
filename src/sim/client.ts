import type { Input, Outcome } from "#src/log/replica.ts";
import type { Chance } from "./chance.ts";
import { ensure } from "./failure.ts";
import { bodyOf, keys } from "./ledger.ts";
import { tickMs, type Surroundings } from "./surroundings.ts";

/** A request before the node gives it a number. */
export type Ask = (request: number) => Input;

/** How clients reach nodes, and what all of them together have seen so far. */
export interface Counter {
  /** Brings a request to a node; `answered` hears of every answer that finds its way back. */
  request(target: string, ask: Ask, answered: (outcome: Outcome) => void): void;
  readonly targets: readonly string[];
  /** Of those who believe that they lead, the one of the newest or of the oldest term. */
  leader(isNewest: boolean): string | undefined;
  /** The highest index at which anything was answered: nothing that begins later may lie before it. */
  floor: number;
  /** A command for the mesh as it is now; null where the ledger's turn is. */
  meshBody(): string | null;
}

interface Operation {
  readonly kind: "open" | "write" | "read";
  readonly key: string;
  /** What is submitted, each time the same. */
  readonly body: string;
  floor: number;
}

/** One client: submits, reads, and asks again with the same number until it has an answer. */
export class Client {
  readonly #chance: Chance;
  #session = 0;
  #number = 0;
  #attempt = 0;
  #target = "";
  #operation: Operation | null = null;
  doneCount = 0;

  constructor(
    readonly world: Surroundings,
    readonly counter: Counter,
    readonly number: number,
  ) {
    this.#chance = world.chance(200 + number);
  }

  get isIdle(): boolean {
    return this.#operation === null;
  }

  begin(kind: "write" | "read"): void {
    const needsSession = kind === "write" && this.#session === 0;
    if (kind === "write" && !needsSession) this.#number++;
    const key = this.#chance.pick(keys);
    const body = this.counter.meshBody() ?? bodyOf(key, this.number * 1_000_000 + this.doneCount);
    const { floor } = this.counter;
    this.#operation = { kind: needsSession ? "open" : kind, key, body, floor };
    this.#try();
  }

  beginAny(): void {
    this.begin(this.#chance.happens(0.6) ? "write" : "read");
  }

  #try(): void {
    const operation = this.#operation!;
    const attempt = ++this.#attempt;
    if (this.#target === "") this.#target = this.#chance.pick(this.counter.targets);
    // Most stay with who answered last. Bad luck would have it that some read from a leader that lost its
    // office unaware, right after others wrote to the next.
    if (this.#chance.happens(0.3))
      this.#target = this.counter.leader(operation.kind !== "read") ?? this.#target;
    // A read that is asked again is a new read; a command asked again is the same.
    if (operation.kind === "read") operation.floor = this.counter.floor;
    this.counter.request(this.#target, this.#ask(operation), (outcome) => {
      if (attempt === this.#attempt) this.#answered(operation, outcome);
    });
    this.#againAfter(this.#chance.between(15, 50), attempt, "");
  }

  #againAfter(ticks: number, attempt: number, target: string): void {
    this.world.agenda.after(ticks * tickMs, () => {
      if (attempt !== this.#attempt || this.#operation === null) return;
      this.#target = target;
      this.#try();
    });
  }

  #ask({ kind, key, body }: Operation): Ask {
    if (kind === "read") return (request) => ({ kind: "read", request, question: key });
    const [session, number] = [this.#session, this.#number];
    return (request) => ({
      kind: "submit",
      request,
      payload: kind === "open" ? { kind: "open" } : { kind: "command", session, number, body },
    });
  }

  #answered(operation: Operation, outcome: Outcome): void {
    if (outcome.kind === "done") return this.#done(operation, outcome);
    if (outcome.kind === "unapplied") {
      const isForgotten = outcome.reason === "session_unknown";
      ensure(isForgotten, "answers-true", () => `client ${this.number}: ${outcome.reason}`);
      this.world.probes.add("session-forgotten");
      // Whether the command was applied is not known, so it counts as not acknowledged.
      this.#session = 0;
      return this.#finish();
    }
    if (outcome.kind === "refused" && operation.kind === "read" && outcome.reason === "not_leader")
      this.world.probes.add("read-refused");
    this.#againAfter(this.#chance.between(1, 4), this.#attempt, outcome.leader);
  }

  #done({ kind, key, floor }: Operation, { index, result }: Outcome & { kind: "done" }): void {
    const { counter } = this;
    const { reference } = this.world.checks;
    const who = () => `client ${this.number}, ${kind} of ${key} at ${index}`;
    if (kind === "read") {
      ensure(index >= floor, "linearizable", () => `${who()} is older than ${floor}`);
      ensure(result === reference.read(key, index), "answers-true", who);
    } else {
      ensure(index > floor, "linearizable", () => `${who()} lies before ${floor}`);
    }
    if (kind === "write") {
      const effect = reference.effectOf(this.#session, this.#number);
      ensure(effect?.index === index && effect.result === result, "answers-true", who);
    }
    counter.floor = Math.max(counter.floor, index);
    if (kind === "open") {
      this.#session = index;
      this.#number = 0;
    }
    this.#finish();
  }

  #finish(): void {
    this.#operation = null;
    this.#attempt++;
    this.doneCount++;
  }
}
