import type * as v from "valibot";
import type { Access, Caller } from "./caller.ts";
import type { Gated, Judgement } from "./gate.ts";

export type { Access };

/** The headings of `--help`, in the order a first-time user needs them. */
export type Flow =
  | "start"
  | "model"
  | "run"
  | "proof"
  | "node"
  | "cluster"
  | "artifact"
  | "peer"
  | "evidence"
  | "tools";

/**
 * What a node hands to its commands. Each room adds its own service by declaration merging:
 * `declare module "#src/command/define.ts" { interface Services { runs: RunStore } }`.
 */
// oxlint-disable-next-line no-empty-interface
export interface Services {}

/** A progress record: JSON with a `type`. Doors pass it on as it happens. */
export interface Event {
  readonly type: string;
  readonly [key: string]: unknown;
}

export interface CommandContext {
  readonly services: Services;
  readonly caller: Caller;
  /** Parameters nobody said in this call: psionic.toml or the environment filled them in. */
  readonly configured: ReadonlySet<string>;
  /** Aborted by the first Ctrl-C or when the caller goes away. */
  readonly signal: AbortSignal;
  /** Streams a record to the caller before the result. */
  emit(event: Event): void;
  /** What the gate says to the same caller about another command, before `call` asks it again. */
  judge(command: Gated): Judgement;
  /** Calls another command as the same caller; the gate judges that caller again. */
  call(name: string, parameters: unknown): Promise<unknown>;
}

/** What a person sees at a terminal; a door that speaks JSON ignores it. */
export interface Screen {
  /** Columns; 80 when unknown. */
  readonly columns: number;
  /** True when lines can be redrawn in place (a terminal, not a pipe). */
  readonly live: boolean;
  /** True when colour is wanted (NO_COLOR, --no-color and pipes respected). */
  readonly colour: boolean;
  /** Data: goes to stdout. */
  print(text: string): void;
  /** Data that arrives in pieces, a model's words: goes to stdout without a line's end. */
  write(text: string): void;
  /** Talk: goes to stderr. */
  note(text: string): void;
  /** Replaces the block last drawn by `draw` (stderr; nothing when not live). */
  draw(lines: readonly string[]): void;
}

export interface View<Result> {
  event?(event: Event): void;
  result?(result: Result): void;
}

export interface CommandDeclaration<
  Parameters extends v.GenericSchema = v.GenericSchema,
  Result = unknown,
> {
  /** `run/start`; words joined by `/`. */
  readonly name: string;
  readonly summary: string;
  /** Without it: owner only. */
  readonly access?: Access;
  /** Under which heading of `--help` it stands; without it, the last. */
  readonly flow?: Flow;
  /** A strict object schema whose entries carry `v.description(...)`. */
  readonly parameters: Parameters;
  /** Which parameters bare words fill, in order; the last may be a list. */
  readonly positional?: readonly string[];
  readonly result?: v.GenericSchema;
  /** Example command lines for `--help`, each run by a test. */
  readonly examples?: readonly string[];
  /**
   * Refused to everyone but a local caller, whatever trust or token it has: for what hands out
   * authority.
   */
  readonly localOnly?: boolean;
  /**
   * Where it runs when a daemon has the home. `process`, the default: in the process that was asked,
   * over the shared store. `node`: in the daemon, which holds the home's lock; without a daemon in
   * the process that was asked. `daemon`: only in a daemon; without one it is refused with
   * `daemon_absent`.
   */
  readonly place?: "process" | "node" | "daemon";
  /** It loads kernels or computes for long: a daemon runs it in a child process of its own. */
  readonly computes?: boolean;
  /**
   * Parameters that name files of the caller's machine; a terminal makes them absolute. `words` are what
   * else may stand there.
   */
  readonly paths?: readonly (
    string | { readonly key: string; readonly words: readonly string[] }
  )[];
  /** Takes its parameters from the call alone: it must work where psionic.toml cannot be read. */
  readonly withoutSettings?: boolean;
  /** One-letter options at a terminal, by letter: `{ f: "follow" }`. */
  readonly letters?: Readonly<Record<string, string>>;
  /** It works until it is told to stop, so that a Ctrl-C or SIGTERM is its ordinary end: status 0. */
  readonly endsOnInterrupt?: boolean;
  /** Hidden commands are called by the program itself (child roles), never listed. */
  readonly hidden?: boolean;
  run(parameters: v.InferOutput<Parameters>, context: CommandContext): Promise<Result> | Result;
  /** How a terminal shows it; without it the result is printed as indented JSON. */
  readonly view?: (screen: Screen) => View<Awaited<Result>>;
}
