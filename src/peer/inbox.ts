import { Refusal } from "#src/refusal/refusal.ts";

/** Documents that may wait to be read; with more, whoever sends them does not keep to its answer. */
export const inboxMaximumBytes = 8 * 1024 * 1024;

/** Documents that came and were not read yet, for one reader. */
export class Inbox {
  readonly #waiting: Uint8Array[] = [];
  #sizeBytes = 0;
  #wake: (() => void) | null = null;
  #end: { readonly failure: Refusal | null } | null = null;

  /** Keeps a document; ends with `peer_busy` when too much waits. */
  push(document: Uint8Array): void {
    if (this.#end !== null) return;
    this.#sizeBytes += document.length;
    if (this.#sizeBytes > inboxMaximumBytes) return this.end(overflow());
    this.#waiting.push(document);
    this.#wake?.();
  }

  /** Nothing more comes; a reader gets null, or the refusal, after what waits. */
  end(failure: Refusal | null = null): void {
    this.#end ??= { failure };
    this.#wake?.();
  }

  /** The next document; null at the end. One reader at a time. */
  async next(): Promise<Uint8Array | null> {
    for (;;) {
      const document = this.#waiting.shift();
      if (document !== undefined) {
        this.#sizeBytes -= document.length;
        return document;
      }
      const failure = this.#end?.failure ?? null;
      if (failure !== null) throw failure;
      if (this.#end !== null) return null;
      await new Promise<void>((resolve) => (this.#wake = resolve));
      this.#wake = null;
    }
  }
}

function overflow(): Refusal {
  return new Refusal(
    "peer_busy",
    "the other node sends more than is read",
    "call again, and ask for less at once",
    { maximumBytes: inboxMaximumBytes },
  );
}
