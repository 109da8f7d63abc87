import type { Refusal } from "#src/refusal/refusal.ts";

/** One call a daemon is answering. */
export interface RunningCall {
  /** Aborted when the caller goes away, asks for it, or the daemon stops. */
  readonly signal: AbortSignal;
  /** Called once, however the call ended. */
  end(): void;
}

export interface CallName {
  /** What the caller named it; null where it did not. */
  readonly id: string | null;
  /** Where its command runs (`CommandDeclaration.place`). */
  readonly place: "process" | "node" | "daemon";
}

/**
 * The calls a daemon is answering, so that it can let them stop in order, one by one (a caller's
 * Ctrl-C, by the id the caller chose) or all together (the daemon's own end).
 */
export class RunningCalls {
  readonly #running = new Map<symbol, CallName & { readonly controller: AbortController }>();
  #waiting: (() => void)[] = [];

  get count(): number {
    return this.#running.size;
  }

  /** The doors bound how many there are at once. */
  begin(name: CallName, signal: AbortSignal): RunningCall {
    const key = Symbol(name.id ?? "call");
    const controller = new AbortController();
    this.#running.set(key, { ...name, controller });
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

  /** Lets calls stop in order: those that hold the node, which may last for hours, or all. */
  stopAll(which: "node" | "all", reason: Refusal): void {
    for (const { controller, place } of this.#running.values())
      if (which === "all" || place !== "process") controller.abort(reason);
  }

  /** Resolves when no call is running. */
  idle(): Promise<void> {
    if (this.#running.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}
