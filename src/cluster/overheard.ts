import type { Meaning } from "#src/log/fold.ts";
import type { Event } from "./event.ts";
import type { MeshOutcome, MeshResult } from "./mesh-fold.ts";
import type { MeshState } from "./state.ts";

export interface HeardEvent {
  readonly event: Event | null;
  readonly outcome: MeshOutcome | null;
  /** The state before and after; null where nothing was applied. */
  readonly mesh: { readonly before: MeshState; readonly after: MeshState } | null;
}

const nothing: HeardEvent = { event: null, outcome: null, mesh: null };

/** Listens to what is applied, so that the node can say of each entry what it did. */
export class Overheard implements Meaning {
  #heard = new Map<number, HeardEvent>();

  constructor(readonly meaning: Meaning & { readonly mesh: MeshState }) {}

  apply(body: string, index: number): string {
    const before = this.meaning.mesh;
    const result = this.meaning.apply(body, index);
    this.#heard.set(index, read(body, result, { before, after: this.meaning.mesh }));
    return result;
  }

  /** What the entry at an index did; asked for once. */
  take(index: number): HeardEvent {
    const heard = this.#heard.get(index) ?? nothing;
    this.#heard.delete(index);
    return heard;
  }

  ask(question: string): string {
    // A read that waits for its index alone asks nothing.
    return question === "" ? "" : this.meaning.ask(question);
  }

  save(): string {
    return this.meaning.save();
  }

  accepts(text: string): boolean {
    return this.meaning.accepts?.(text) ?? true;
  }

  load(text: string): void {
    this.#heard.clear();
    this.meaning.load(text);
  }
}

/** Bodies and results that are no events of a mesh are those of other meanings, which may stand beside it. */
function read(body: string, result: string, mesh: HeardEvent["mesh"]): HeardEvent {
  if (!body.startsWith("{") || !result.startsWith("{")) return nothing;
  const { term: _, author: _author, ...outcome } = JSON.parse(result) as MeshResult;
  if ("refused" in outcome && outcome.refused === "event_malformed") return nothing;
  return { event: JSON.parse(body) as Event, outcome, mesh };
}
