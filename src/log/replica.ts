import type { Digest } from "#src/codec/digest.ts";
import { assert } from "#src/refusal/refusal.ts";
import { LogCore, type Proposed, type Rejection } from "./core.ts";
import { isEmptyWrite, type Durable, type Write } from "./durable.ts";
import type { Entry, Place } from "./entry.ts";
import type { Flaw } from "./flaw.ts";
import { bodyMaximum, Fold, type Meaning, type Payload } from "./fold.ts";
import type { Message } from "./message.ts";
import type { Applied, Unapplied } from "./sessions.ts";
import { isSound } from "./soundness.ts";
import type { Effects, Tuning } from "./state.ts";

export interface ReplicaOptions {
  readonly id: string;
  readonly tuning: Tuning;
  /** A number in [0, 1), drawn anew for each election timeout. */
  readonly draw: () => number;
  readonly meaning: Meaning;
  /** Sessions the state remembers; part of the state's meaning, so equal on all nodes. */
  readonly sessionMaximum: number;
  /** Applied entries after which the state is taken for a snapshot. */
  readonly snapshotEvery: number;
  /** Entries applied after it that are awaited before the log is cut there: followers lag a little. */
  readonly keptEntries: number;
  /**
   * Up to here this node has applied what is on its disk before, as it remembers beside the log: applied
   * again at the first step. Without it a node that starts knows nothing until it hears a leader.
   */
  readonly committedIndex?: number;
  /** For the simulator alone. */
  readonly flaw?: Flaw | null;
}

/** Requests under way in one node, and entries a leader writes ahead of what is committed. */
export const requestMaximum = 1024;

export type Input =
  | { readonly kind: "tick" }
  | { readonly kind: "message"; readonly message: Message }
  /** A write is durable. Writes become durable in the order in which they were asked for. */
  | { readonly kind: "stored"; readonly token: number }
  /** A write failed: the disk cannot be trusted any more, so this node says nothing from here on. */
  | { readonly kind: "failed"; readonly token: number }
  | { readonly kind: "submit"; readonly request: number; readonly payload: Payload }
  | { readonly kind: "read"; readonly request: number; readonly question: string }
  | {
      readonly kind: "member";
      readonly request: number;
      readonly id: string;
      readonly place: Place;
    }
  | { readonly kind: "transfer"; readonly to: string };

export type Effect =
  /** To be made durable; said with `stored` or `failed` and the same token. */
  | { readonly kind: "store"; readonly token: number; readonly write: Write }
  /** Everything the message relies on is durable. */
  | { readonly kind: "send"; readonly message: Message }
  | { readonly kind: "answer"; readonly request: number; readonly outcome: Outcome }
  /** An entry became part of the state. */
  | { readonly kind: "applied"; readonly entry: Entry }
  /** The state was replaced by a leader's, at this index. */
  | { readonly kind: "restored"; readonly index: number };

export type Outcome =
  /** It holds from this index on; of a read: it was true at this index. */
  | { readonly kind: "done"; readonly index: number; readonly result: string }
  /** It stands in the log and changes nothing, there or anywhere. */
  | { readonly kind: "unapplied"; readonly reason: Unapplied }
  /** It was not taken here. `leader` is who to ask instead; empty where nobody is known. */
  | { readonly kind: "refused"; readonly reason: Rejection | "busy"; readonly leader: string }
  /** It may or may not come to hold: submit it again with the same number. */
  | { readonly kind: "uncertain"; readonly leader: string };

interface WaitingWrite {
  readonly token: number;
  /** Own entries that are durable with it; less when a later write drops some of them. */
  durableIndex: number;
  /** The term of the ballot that is durable with it. */
  readonly term: number;
  readonly messages: Message[];
}

/**
 * One node's part of the cluster's state: the core, what it keeps and what the events add up to. Still
 * pure: inputs go in, effects come out. Storing takes its time, in which further inputs are welcome; what
 * relies on a write leaves as an effect only after its `stored`.
 */
export class Replica {
  readonly core: LogCore;
  readonly #fold: Fold;
  readonly #options: ReplicaOptions;
  readonly #flaw: Flaw | null;
  #effects: Effect[] = [];
  #nextToken = 1;
  #writes: WaitingWrite[] = [];
  /** Submitted requests by the index of their entry. */
  readonly #submitted = new Map<number, { readonly request: number; readonly term: number }>();
  /** Reads whose index is not known yet, by request. */
  readonly #asked = new Map<number, string>();
  /** Reads whose index is known and not applied yet. */
  #due: { readonly request: number; readonly index: number; readonly question: string }[] = [];
  #taken: { readonly index: number; readonly state: string } | null = null;
  #hasFailed = false;

  constructor(options: ReplicaOptions, durable: Durable) {
    this.#options = options;
    this.#flaw = options.flaw ?? null;
    this.#fold = new Fold(options.meaning, options.sessionMaximum, this.#flaw);
    this.#fold.load(durable.snapshot);
    const { committedIndex = 0 } = options;
    const restart = { ...durable, appliedIndex: durable.snapshot.index, committedIndex };
    this.core = new LogCore(options.id, options.tuning, restart, options.draw, this.#flaw);
  }

  get appliedIndex(): number {
    return this.#fold.index;
  }
  /** True after a write failed. */
  get hasFailed(): boolean {
    return this.#hasFailed;
  }
  /** Writes that are not durable yet. */
  get writeCount(): number {
    return this.#writes.length;
  }
  /** Requests that were not answered yet. */
  get requestCount(): number {
    return this.#submitted.size + this.#asked.size + this.#due.length;
  }

  /** The digest of the state at `appliedIndex`. */
  digest(): Digest {
    return this.#fold.digest();
  }

  /** What this node's state says, which may be behind the cluster's. */
  ask(question: string): string {
    return this.#fold.ask(question);
  }

  /**
   * Whether a message of another node is one to take: `step` takes any, and asserts what this looks at. A
   * snapshot that is no news is not read.
   */
  accepts(message: Message): boolean {
    if (!isSound(this.core, message)) return false;
    const isNews = message.kind === "snapshot" && message.snapshot.index > this.core.commitIndex;
    return !isNews || message.term < this.core.term || this.#fold.accepts(message.snapshot);
  }

  step(input: Input): readonly Effect[] {
    if (this.#hasFailed) return [];
    this.#take(input);
    this.#drain();
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  #take(input: Input): void {
    switch (input.kind) {
      case "tick":
        return this.core.tick();
      case "message":
        return this.core.receive(input.message);
      case "stored":
        return this.#stored(input.token);
      case "failed":
        if (this.#flaw === "continue-after-failed-write") return this.#stored(input.token);
        this.#hasFailed = true;
        return this.#giveUp();
      case "submit":
        return this.#submit(input.request, input.payload);
      case "read":
        return this.#read(input.request, input.question);
      case "member":
        return this.#proposed(input.request, this.core.proposeMember(input.id, input.place));
      case "transfer":
        // Whether it came about shows in who leads.
        this.core.transfer(input.to);
    }
  }

  #stored(token: number): void {
    const write = this.#writes.shift();
    assert(write?.token === token, "writes become durable in order");
    this.core.persisted(write.durableIndex, write.term);
    this.#send(write.messages);
  }

  #submit(request: number, payload: Payload): void {
    if (payload.kind === "command")
      assert(payload.body.length <= bodyMaximum, "a command's body has a bound");
    if (this.#isBusy()) return this.#refuse(request, "busy");
    this.#proposed(request, this.core.propose(JSON.stringify(payload)));
  }

  #proposed(request: number, proposed: Proposed | Rejection): void {
    if (typeof proposed === "string") return this.#refuse(request, proposed);
    this.#submitted.set(proposed.index, { request, term: proposed.term });
  }

  #read(request: number, question: string): void {
    if (this.#isBusy()) return this.#refuse(request, "busy");
    this.#asked.set(request, question);
    const rejection = this.core.read(request);
    if (rejection === null) return;
    this.#asked.delete(request);
    this.#refuse(request, rejection);
  }

  #isBusy(): boolean {
    const ahead = this.core.lastIndex - this.core.commitIndex;
    return this.requestCount >= requestMaximum || ahead >= requestMaximum;
  }

  #refuse(request: number, reason: Rejection | "busy"): void {
    this.#answer(request, { kind: "refused", reason, leader: this.core.leader });
  }

  #answer(request: number, outcome: Outcome): void {
    this.#effects.push({ kind: "answer", request, outcome });
  }

  /** Carries out what the core wants, until it wants nothing more. */
  #drain(): void {
    for (;;) {
      const effects = this.core.takeEffects();
      this.#store(effects);
      if (effects.restored !== null) this.#restore(effects.restored);
      for (const entry of effects.committed) this.#apply(entry);
      for (const { id, index } of effects.reads) this.#readAt(id, index);
      this.#serveReads();
      if (this.core.role !== "leader") this.#giveUp();
      if (!this.#compact()) return;
    }
  }

  #store(effects: Effects): void {
    const { truncateFrom, snapshot, entries, messages } = effects;
    const ballot = this.#flaw === "ballot-not-persisted" ? null : effects.ballot;
    const isTailDropped = snapshot !== null && this.#flaw === "snapshot-drops-tail";
    const from = isTailDropped ? snapshot.index + 1 : truncateFrom;
    const write = { ballot, truncateFrom: from, snapshot, entries };
    if (truncateFrom > 0)
      for (const earlier of this.#writes)
        earlier.durableIndex = Math.min(earlier.durableIndex, truncateFrom - 1);
    if (!isEmptyWrite(write)) {
      const token = this.#nextToken++;
      const { lastIndex: durableIndex, term } = this.core;
      this.#writes.push({ token, durableIndex, term, messages: [] });
      this.#effects.push({ kind: "store", token, write });
    }
    const latest = this.#flaw === "acknowledge-before-sync" ? undefined : this.#writes.at(-1);
    if (latest === undefined) this.#send(messages);
    else latest.messages.push(...messages);
  }

  #send(messages: readonly Message[]): void {
    for (const message of messages) this.#effects.push({ kind: "send", message });
  }

  #restore(snapshot: NonNullable<Effects["restored"]>): void {
    this.#fold.load(snapshot);
    this.#taken = null;
    this.#effects.push({ kind: "restored", index: snapshot.index });
  }

  #apply(entry: Entry): void {
    const applied = this.#fold.apply(entry);
    this.#effects.push({ kind: "applied", entry });
    const waiting = this.#submitted.get(entry.index);
    if (waiting === undefined) return;
    this.#submitted.delete(entry.index);
    this.#answer(waiting.request, this.#outcome(applied, waiting.term === entry.term));
  }

  #outcome(applied: Applied, isSame: boolean): Outcome {
    return isSame ? applied : { kind: "uncertain", leader: this.core.leader };
  }

  #readAt(request: number, index: number): void {
    const question = this.#asked.get(request);
    assert(question !== undefined, "only what was asked is answered");
    this.#asked.delete(request);
    this.#due.push({ request, index, question });
  }

  #serveReads(): void {
    if (this.#due.length === 0) return;
    const isDue = ({ index }: { readonly index: number }) => index <= this.appliedIndex;
    for (const { request, question } of this.#due.filter(isDue)) {
      const result = this.#fold.ask(question);
      this.#answer(request, { kind: "done", index: this.appliedIndex, result });
    }
    this.#due = this.#due.filter((read) => !isDue(read));
  }

  /** Who does not lead any more cannot say what will become of what it took. */
  #giveUp(): void {
    if (this.#submitted.size + this.#asked.size === 0) return;
    const { leader } = this.core;
    for (const { request } of this.#submitted.values())
      this.#answer(request, { kind: "uncertain", leader });
    this.#submitted.clear();
    for (const request of this.#asked.keys()) this.#refuse(request, "not_leader");
    this.#asked.clear();
  }

  /** Takes the state now and then, and cuts the log there a little later. True where it did. */
  #compact(): boolean {
    const { snapshotEvery, keptEntries } = this.#options;
    const { core } = this;
    if (this.#taken === null) {
      if (this.appliedIndex - core.history.snapshot.index < snapshotEvery) return false;
      this.#taken = { index: this.appliedIndex, state: this.#fold.save() };
    }
    const { index, state } = this.#taken;
    if (this.appliedIndex - index < keptEntries) return false;
    this.#taken = null;
    core.compact(index, state);
    return true;
  }
}
