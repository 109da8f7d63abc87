import type { Clock } from "#src/port/clock.ts";
import type { Disk } from "#src/port/disk.ts";
import type { Processes, Programs } from "#src/port/process.ts";
import type { Random } from "#src/port/random.ts";
import type { Store } from "#src/port/store.ts";
import type { NodeIdentity } from "#src/receipt/identity.ts";
import type { ReceiptLog } from "#src/receipt/receipt-log.ts";
import type { RuntimeManifest } from "#src/receipt/runtime-manifest.ts";
import type { Grants } from "./grants.ts";
import type { Journal } from "./journal.ts";
import type { Registry } from "./registry.ts";

/** Absolute paths inside one node home. */
export interface HomePaths {
  readonly root: string;
  readonly identity: string;
  readonly database: string;
  readonly artifacts: string;
  readonly runs: string;
  readonly configuration: string;
}

/** Held by the one process that may change a home; the system drops it when the process ends. */
export interface HomeLock {
  release(): void;
}

/** Opening the node's identity heals its descriptor (I-1). */
export interface IdentityService {
  /** The identity of this home; refused with `identity_absent` where there is none yet. */
  open(): Promise<NodeIdentity>;
  /** As `open`, but makes the identity of a new home. Hold the lock. */
  openOrCreate(): Promise<NodeIdentity & { readonly created: boolean }>;
}

/** The receipts of this home, signed with the node's key. */
export interface ReceiptService {
  /** Reads the key once; later calls give the same log. Refused with `identity_absent`. */
  open(): Promise<ReceiptLog>;
  /**
   * The log where `open` has succeeded before, for code that may not wait; else it is refused with
   * `identity_absent`. Doors that admit peers open it first.
   */
  opened(): ReceiptLog;
}

/** Where a setting got its value. */
export type SettingSource = "flag" | "environment" | "file" | "default";

export interface SettingValue {
  /** `train.threads`: the command, then the parameter. */
  readonly name: string;
  readonly value: unknown;
  readonly source: SettingSource;
  /** The environment variable or file and line it came from. */
  readonly origin: string | null;
}

export interface Configuration {
  /** What the environment and psionic.toml say, parameters by name, for one command. */
  defaultsFor(commandName: string): Readonly<Record<string, unknown>>;
  /** Every setting with where its value came from. */
  settings(): readonly SettingValue[];
}

/** What this machine is, without touching it: safe to ask at any time. */
export interface MachineFacts {
  readonly operatingSystem: string;
  readonly architecture: string;
  readonly processor: string;
  readonly coreCount: number;
  readonly memoryBytes: number;
  readonly freeMemoryBytes: number;
}

export interface Machine {
  facts(): Promise<MachineFacts>;
  /**
   * Kernel lanes this machine can run, best first: `avx512`, `avx2`, `neon`, `baseline`. Loads
   * the kernel library; refused with `backend_unavailable` where that fails.
   */
  lanes(): Promise<readonly string[]>;
}

/** What the caller knows of an execution that the node does not. */
export interface Execution {
  /** `avx2`, `reference`…; the best of this machine when absent. */
  readonly lane?: string;
  /** What it works on, by digest: model, tokenizer, data, plan. */
  readonly artifactBindings?: RuntimeManifest["execution"]["artifactBindings"];
  readonly staticConfiguration?: RuntimeManifest["execution"]["staticConfiguration"];
  /** Settings that may change without changing a bit: threads, intervals. */
  readonly knobs?: RuntimeManifest["mutable"]["knobs"];
}

export interface Runtime {
  /** What this process really runs (I-3); its digests: src/receipt/runtime-manifest.ts. */
  manifest(execution?: Execution): Promise<RuntimeManifest>;
}

/** A way a command is called, for measuring what a call costs. */
export interface CallPath {
  readonly name: "call-process" | "call-socket";
  call(): Promise<unknown>;
  close(): Promise<void>;
}

/** How the terminal was asked to behave; a command that prompts must ask this first. */
export interface Interaction {
  /** False with --no-input or where nobody can answer. */
  readonly canAsk: boolean;
  /** True with --verbose. */
  readonly verbose: boolean;
  /** Asks on the terminal without echo; refused with `input_needed` when nobody can answer. */
  askSecret(question: string): Promise<string>;
  /** The next line of standard input, after a prompt where somebody sees it; null at its end. */
  readLine(prompt: string): Promise<string | null>;
  /** The process's own streams; absent where the caller does not sit at them (a page, a peer). */
  readonly pipe?: StandardPipe;
}

/** Standard input and output as bytes, for a command that speaks to a program. */
export interface StandardPipe {
  /** Pieces as they come, until the end of input. */
  readonly input: AsyncIterable<Uint8Array>;
  /** Writes all of it before it returns; nothing once the reader has gone. */
  write(bytes: Uint8Array): void;
}

declare module "./define.ts" {
  interface Services {
    readonly clock: Clock;
    readonly random: Random;
    readonly disk: Disk;
    readonly processes: Processes;
    /** Programs that are not this executable. */
    readonly programs: Programs;
    /** Opened, and migrated, when first used. */
    readonly store: Store;
    readonly home: HomePaths;
    readonly identity: IdentityService;
    readonly configuration: Configuration;
    readonly machine: Machine;
    readonly runtime: Runtime;
    /** The ways to measure; each is opened, with a daemon of its own where it needs one, when asked. */
    readonly callPaths: Readonly<Record<CallPath["name"], () => Promise<CallPath>>>;
    readonly interaction: Interaction;
    readonly registry: Registry;
    /** What peers were granted; asked by the gate. */
    readonly grants: Grants;
    readonly receipts: ReceiptService;
    /** What happens on this node, for whoever watches it. */
    readonly journal: Journal;
    /** Environment variables as the process was started with. */
    readonly environment: Readonly<Record<string, string | undefined>>;
    /** Takes the home for this process; refused with `home_locked` while another has it. */
    lock(): HomeLock;
  }
}
