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

/** Another program, started with pipes. Its talk (stderr) joins ours. */
export interface Program {
  readonly pid: number;
  /** Resolves when the program's standard input has taken the bytes; rejects when it is closed. */
  write(bytes: Uint8Array): Promise<void>;
  /** Says that no more input comes. */
  endInput(): void;
  /** What it prints on standard output, in pieces as they come. */
  readonly output: AsyncIterable<Uint8Array>;
  kill(signal: "SIGTERM" | "SIGKILL" | "SIGINT"): void;
  readonly exited: ChildProcess["exited"];
}

/** A command of this executable in a process of its own, as a person would have typed it. */
export interface OwnCommand {
  readonly pid: number;
  /** All it printed, once it has ended. */
  readonly output: Promise<string>;
  /** The end of what it said on stderr. */
  talk(): string;
  kill(signal: "SIGTERM" | "SIGKILL" | "SIGINT" | "SIGSTOP" | "SIGCONT"): void;
  readonly exited: ChildProcess["exited"];
}

/** Starts other programs, or this one anew. */
export interface Programs {
  /** This executable with a command's words; it inherits the environment but for what is named here. */
  spawnCommand(
    words: readonly string[],
    environment?: Readonly<Record<string, string>>,
  ): OwnCommand;
  /**
   * Starts the program `words[0]` with the other words as they are: no shell reads them. Refused with
   * `program_unavailable` where it cannot be started.
   */
  spawnProgram(words: readonly string[]): Program;
}
