/** A child of this executable, in its own process, spoken to in messages. */
export interface ChildProcess {
  readonly pid: number;
  send(message: unknown): void;
  kill(signal: "SIGTERM" | "SIGKILL" | "SIGINT"): void;
  /** Resolves when the child has ended. */
  readonly exited: Promise<{ readonly status: number | null; readonly signal: string | null }>;
}

/** Starts this same executable again in a hidden role (`__trainer`); messages are structured clones. */
export interface Processes {
  spawnSelf(
    role: string,
    onMessage: (message: unknown) => void,
    options?: { readonly environment?: Record<string, string>; readonly lowerPriority?: boolean },
  ): ChildProcess;
}

/** The other end: what a hidden role sees of the process that started it. */
export interface ParentProcess {
  send(message: unknown): void;
  /** Messages arrive in order; those sent before a handler is set are kept for it. */
  onMessage(handler: (message: unknown) => void): void;
  /** Aborted when the parent has gone away; the role must end then. */
  readonly gone: AbortSignal;
}
