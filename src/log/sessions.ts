import { assert } from "#src/refusal/refusal.ts";

/**
 * What the log remembers of those who submit, so that a command submitted again is applied once
 * (Ongaro 2014, 6.3). A session is opened by an entry of its own and named by that entry's index, so no
 * two are alike and one that was forgotten is known to be: its commands are refused, never applied
 * a second time. One command of a session is under way at a time.
 */
export interface Session {
  /** The index of the entry that opened it. */
  readonly id: number;
  /** The latest command applied; 0 before the first. */
  readonly number: number;
  /** Where that command was applied. */
  readonly index: number;
  /** What it answered, at most `resultMaximum` characters. */
  readonly result: string;
}

/** Why a command in the log was not applied; equal on every node. */
export type Unapplied = "session_unknown" | "out_of_order";

export type Applied =
  | { readonly kind: "done"; readonly index: number; readonly result: string }
  | { readonly kind: "unapplied"; readonly reason: Unapplied };

/** Sessions kept unless asked otherwise; the one longest without a command goes first. */
export const defaultSessionMaximum = 1024;
/** Characters of a result, which every node keeps for each session. */
export const resultMaximum = 4096;

export class Sessions {
  /** Oldest command first: a session moves to the end when it is used. */
  #sessions = new Map<number, Session>();

  constructor(readonly maximum: number) {}

  get size(): number {
    return this.#sessions.size;
  }

  /** Opens a session at an index. True where another had to be forgotten for it. */
  open(index: number): boolean {
    this.#sessions.set(index, { id: index, number: 0, index, result: "" });
    if (this.#sessions.size <= this.maximum) return false;
    const [oldest] = this.#sessions.keys();
    this.#sessions.delete(oldest!);
    return true;
  }

  /** What is known of a command already, or null where it is the session's next and is to be applied. */
  known(id: number, number: number): Applied | null {
    const session = this.#sessions.get(id);
    if (session === undefined) return { kind: "unapplied", reason: "session_unknown" };
    if (number === session.number && number > 0)
      return { kind: "done", index: session.index, result: session.result };
    return number === session.number + 1 ? null : { kind: "unapplied", reason: "out_of_order" };
  }

  record(session: Session): void {
    assert(session.result.length <= resultMaximum, "a result has a bound");
    this.#sessions.delete(session.id);
    this.#sessions.set(session.id, session);
  }

  /** In the order of their use, which is a part of the state. */
  save(): readonly Session[] {
    return [...this.#sessions.values()];
  }

  load(sessions: readonly Session[]): void {
    this.#sessions = new Map(sessions.map((session) => [session.id, session]));
  }
}
