/**
 * A model that reads and writes one sequence: a key/value cache that is filled in blocks, then token
 * by token. When the context is full, the later half is read again from its beginning, so a text can
 * go on for ever; what was forgotten is a function of the tokens alone, as sampling must be.
 */
import type { Executor } from "./executor.ts";

export class DecodingSession {
  readonly #prefillRows: number;
  /** Tokens whose keys and values are in the cache. */
  #cached: number[] = [];

  constructor(
    readonly executor: Executor,
    /** Tokens the cache holds. */
    readonly capacity: number,
  ) {
    this.#prefillRows = executor.hasPhase("prefill") ? executor.input("tokens").shape[0]! : 0;
  }

  /** Forgets everything read. */
  reset(): void {
    this.#cached = [];
  }

  /**
   * Reads tokens (at least one) and returns the logits of what comes next. The array is live: it
   * changes with the next call.
   */
  async read(tokens: readonly number[]): Promise<Float32Array> {
    let rest = this.#makeRoom(tokens);
    while (this.#prefillRows > 1 && rest.length >= this.#prefillRows) {
      await this.#run("prefill", rest.slice(0, this.#prefillRows));
      rest = rest.slice(this.#prefillRows);
    }
    for (const token of rest) await this.#run("decode", [token]);
    return this.executor.floats(this.executor.input("logits"));
  }

  /** What must be read so that `tokens` fit: themselves, or the later half of everything. */
  #makeRoom(tokens: readonly number[]): readonly number[] {
    if (this.#cached.length + tokens.length <= this.capacity) return tokens;
    const all = [...this.#cached, ...tokens];
    this.#cached = [];
    return all.slice(-Math.max(1, Math.floor(this.capacity / 2)));
  }

  async #run(phase: "prefill" | "decode", tokens: readonly number[]): Promise<void> {
    this.executor.writeIntegers("tokens", tokens);
    this.executor.writeIntegers("position", [this.#cached.length]);
    await this.executor.run(phase);
    this.#cached.push(...tokens);
  }
}
