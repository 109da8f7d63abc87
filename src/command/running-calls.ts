import type { Refusal } from "#src/refusal/refusal.ts";

/** One call a daemon is answering. */
export interface RunningCall {
  /** Aborted when the caller goes away, asks for it, or the daemon stops. */
  readonly signal: AbortSignal;
  /** Called once, however the call ended. */
  end(): void;
}

/**
 * The calls a daemon is answering, so that it can let them stop in order, one by one (a caller's
 * Ctrl-C, by the id the caller chose) or all together (the daemon's own end).
 */
export class RunningCalls {
  readonly #running = new Map<symbol, { id: string | null; controller: AbortController }>();
  #waiting: (() => void)[] = [];

  get count(): number {
    return this.#running.size;
  }

  /** `id` is the caller's, null where it chose none. The doors bound how many there are. */
  begin(id: string | null, signal: AbortSignal): RunningCall {
    const key = Symbol(id ?? "call");
    const controller = new AbortController();
    this.#running.set(key, { id, controller });
    return {
      signal: AbortSignal.any([signal, controller.signal]),
      end: () => {
        this.#running.delete(key);
        if (this.#running.size === 0) for (const told of this.#waiting.splice(0)) told();
      },
    };
  }

  /** Lets the call with this id stop in order; false where there is none (any more). */
  stop(id: string, reason: Refusal): boolean {
    const named = [...this.#running.values()].filter((each) => each.id === id);
    for (const { controller } of named) controller.abort(reason);
    return named.length > 0;
  }

  stopAll(reason: Refusal): void {
    for (const { controller } of this.#running.values()) controller.abort(reason);
  }

  /** Resolves when no call is running. */
  idle(): Promise<void> {
    if (this.#running.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}
