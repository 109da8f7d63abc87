import * as v from "valibot";
import { digestBytes, type Digest } from "#src/codec/digest.ts";
import { assert } from "#src/refusal/refusal.ts";
import type { Entry, Snapshot } from "./entry.ts";
import type { Flaw } from "./flaw.ts";
import { resultMaximum, Sessions, type Applied, type Session } from "./sessions.ts";

/** What the events of the log mean. Pure: equal events in equal order give equal states and results. */
export interface Meaning {
  /** Applies a command's body and gives its result. */
  apply(body: string, index: number): string;
  /** Answers a question about the state without changing it. */
  ask(question: string): string;
  /** The one text of the state. */
  save(): string;
  load(text: string): void;
  /** Whether a text of another node's is one to load; without this any is. Changes nothing. */
  accepts?(text: string): boolean;
}

/** Characters of a command's body. */
export const bodyMaximum = 65_536;

/** What stands in an event's payload. */
export type Payload =
  | { readonly kind: "open" }
  | {
      readonly kind: "command";
      readonly session: number;
      /** 1 for the first command of a session, then one more each. */
      readonly number: number;
      readonly body: string;
    };

/** The state that the log adds up to: the meaning of its events and who was answered what. */
export class Fold {
  readonly #sessions: Sessions;
  #index = 0;

  constructor(
    readonly meaning: Meaning,
    sessionMaximum: number,
    readonly flaw: Flaw | null,
  ) {
    this.#sessions = new Sessions(sessionMaximum);
  }

  /** The last entry that is in the state. */
  get index(): number {
    return this.#index;
  }

  apply(entry: Entry): Applied {
    assert(entry.index === this.#index + 1, "entries are applied in order");
    this.#index = entry.index;
    if (entry.kind !== "event") return { kind: "done", index: entry.index, result: "" };
    const payload = JSON.parse(entry.payload) as Payload;
    if (payload.kind === "command") return this.#command(payload, entry.index);
    this.#sessions.open(entry.index);
    return { kind: "done", index: entry.index, result: String(entry.index) };
  }

  #command(payload: Payload & { readonly kind: "command" }, index: number): Applied {
    const { session, number, body } = payload;
    const known = this.#sessions.known(session, number);
    if (known !== null && !(known.kind === "done" && this.flaw === "skip-duplicate-check"))
      return known;
    const result = this.meaning.apply(body, index);
    this.#sessions.record({ id: session, number, index, result });
    return { kind: "done", index, result };
  }

  ask(question: string): string {
    return this.meaning.ask(question);
  }

  /** The one text of the state, as snapshots carry it. */
  save(): string {
    return this.#text(this.flaw === "snapshot-without-sessions" ? [] : this.#sessions.save());
  }

  /** Whether what another node sends as a snapshot is one; changes nothing. */
  accepts({ state: text, index }: Snapshot): boolean {
    const saved = readSaved(text);
    if (saved === null || saved.index !== index) return false;
    if (saved.sessions.length > this.#sessions.maximum) return false;
    return this.meaning.accepts?.(saved.state) ?? true;
  }

  load(snapshot: Snapshot): void {
    const saved = JSON.parse(snapshot.state) as {
      readonly index: number;
      readonly sessions: readonly Session[];
      readonly state: string;
    };
    assert(saved.index === snapshot.index, "a snapshot's state is the one at its index");
    this.#index = snapshot.index;
    this.#sessions.load(saved.sessions);
    this.meaning.load(saved.state);
  }

  /** Equal on all nodes at equal index. */
  digest(): Digest {
    return digestBytes(this.#text(this.#sessions.save()));
  }

  #text(sessions: readonly Session[]): string {
    return JSON.stringify({ index: this.#index, sessions, state: this.meaning.save() });
  }
}

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const savedSchema = v.strictObject({
  index: count,
  sessions: v.array(
    v.strictObject({
      ...{ id: count, number: count, index: count },
      result: v.pipe(v.string(), v.maxLength(resultMaximum)),
    }),
  ),
  state: v.string(),
});

function readSaved(text: string): v.InferOutput<typeof savedSchema> | null {
  try {
    return v.parse(savedSchema, JSON.parse(text));
  } catch {
    return null;
  }
}
