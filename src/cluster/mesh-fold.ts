import * as v from "valibot";
import type { Meaning } from "#src/log/fold.ts";
import { assert, Refusal } from "#src/refusal/refusal.ts";
import { eventSchema, type Event } from "./event.ts";
import { brokenState, brokenStep } from "./invariants.ts";
import { atTimeOf, reduce } from "./reduce.ts";
import {
  emptyMesh,
  residencyDigest,
  stateDigest,
  stateText,
  topologyDigest,
  type MeshState,
} from "./state.ts";
import { stateSchema } from "./state-schema.ts";

/** What an event did, as its author is told: equal on every node. */
export type MeshOutcome =
  | { readonly done: true }
  | { readonly refused: string; readonly message: string; readonly hint: string };

/**
 * How an event's result stands in the log's sessions: with its term, and with its author, so that nobody takes
 * the result of what another put into its session for its own.
 */
export type MeshResult = MeshOutcome & { readonly term: number; readonly author: string };

export type Reduce = (state: MeshState, event: Event) => MeshState;

/** What the events of a mesh mean to the log. */
export class MeshFold implements Meaning {
  #state = emptyMesh;
  #saved: { readonly state: MeshState; readonly text: string } | null = null;

  /**
   * `work` is another reducer only where a mistake is planted. `expected` is the mesh that a node entered, which
   * a state that is sent to it must be of.
   */
  constructor(
    readonly work: Reduce = reduce,
    readonly expected: Pick<MeshState, "mesh" | "founder"> | null = null,
  ) {}

  get mesh(): MeshState {
    return this.#state;
  }

  /** The text of a `MeshResult`. */
  apply(body: string): string {
    return JSON.stringify(this.#result(body));
  }

  outcome(body: string): MeshOutcome {
    const { term: _, author: _author, ...outcome } = this.#result(body);
    return outcome;
  }

  #result(body: string): MeshResult {
    const parsed = v.safeParse(eventSchema, readJson(body));
    const event = parsed.success ? parsed.output : null;
    return { ...this.#outcome(event), term: event?.term ?? 0, author: event?.author ?? "" };
  }

  #outcome(event: Event | null): MeshOutcome {
    if (event === null) {
      const message = "the event is not understood";
      return { refused: "event_malformed", message, hint: "its author is of another version" };
    }
    // Time passes, and terms do, whatever becomes of the event.
    this.#state = atTimeOf(this.#state, event);
    try {
      this.#state = this.work(this.#state, event);
      return { done: true };
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      return { refused: error.code, message: error.message, hint: error.hint };
    }
  }

  /** Answers with the digest that is asked for: `state`, `topology` or `residency`. */
  ask(question: string): string {
    if (question === "topology") return topologyDigest(this.#state);
    if (question === "residency") return residencyDigest(this.#state);
    return stateDigest(this.#state);
  }

  save(): string {
    const state = this.#state;
    if (this.#saved?.state !== state) this.#saved = { state, text: stateText(state) };
    return this.#saved.text;
  }

  /** Whether it is the whole state of this mesh, later than the one here, and every promise holds in it. */
  accepts(text: string): boolean {
    const parsed = v.safeParse(stateSchema, readJson(text));
    if (!parsed.success || stateText(parsed.output) !== text) return false;
    const { output: state } = parsed;
    const { mesh, founder } = this.expected ?? state;
    if (state.mesh !== "" && (state.mesh !== mesh || state.founder !== founder)) return false;
    return brokenState(state) === null && brokenStep(this.#state, state) === null;
  }

  load(text: string): void {
    const state = JSON.parse(text) as MeshState;
    assert(stateText(state) === text, "a saved state has one text");
    this.#state = state;
  }
}

function readJson(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return null;
  }
}
