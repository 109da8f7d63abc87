import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { binaryPath, jsonLines, type Outcome, start } from "./binary.ts";
import type { MachineNetwork } from "./cluster-network.fixture.ts";
import { type DaemonFile, until } from "./daemon.fixture.ts";
import { type Answer, askSocket } from "./storm-doors.fixture.ts";

/** A test's longest life; a daemon that outlives it is killed. */
const lifetimeMs = 3_600_000;

/** A node of a cluster: a home on a machine of its own, whose daemon is started and killed at will. */
export class ClusterMachine {
  readonly home: string;
  readonly #temporary: string;
  #child: Bun.Subprocess | null = null;
  #isPaused = false;
  #stderr = "";

  constructor(
    readonly network: MachineNetwork,
    readonly index: number,
    readonly environment: Readonly<Record<string, string>> = {},
  ) {
    this.home = join(network.folder, `home-${index}`);
    this.#temporary = join(network.folder, `temporary-${index}`);
    mkdirSync(this.#temporary);
  }

  get pid(): number {
    return this.#child!.pid;
  }

  get isRunning(): boolean {
    return this.#child?.exitCode === null && this.#child.signalCode === null;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** What the daemon said on the error channel in its lives. */
  get stderr(): string {
    return this.#stderr;
  }

  get #file(): DaemonFile | null {
    try {
      return JSON.parse(readFileSync(join(this.home, "daemon.json"), "utf8")) as DaemonFile;
    } catch {
      return null;
    }
  }

  /** Starts its daemon; resolves when it answers. */
  async up(...words: string[]): Promise<void> {
    const child = await this.#start("up", "--port", "0", ...this.#hostWords, ...words);
    this.#child = child;
    void this.#gather(child.stderr);
    await until(`machine ${this.index} answers`, async () => {
      // Killed while it started is no fault of its own.
      if (child.signalCode !== null) return true;
      if (child.exitCode !== null)
        throw new Error(`machine ${this.index}: up ended with ${child.exitCode}: ${this.#stderr}`);
      if (this.#file?.pid !== child.pid) return false;
      return (await this.ask("GET /healthz")).kind === "result";
    });
  }

  /** A door that other machines reach is opened on purpose. */
  get #hostWords(): string[] {
    return ["--peer-host", this.network.address(this.index)];
  }

  /** Ends its daemon without a chance to say anything; resolves when it is gone. */
  async kill(): Promise<void> {
    this.#child?.kill("SIGKILL");
    await this.#child?.exited;
    this.#isPaused = false;
  }

  /** Its daemon stands still, as a machine under too much load does. */
  pause(): void {
    this.#isPaused = true;
    if (this.isRunning) process.kill(this.pid, "SIGSTOP");
  }

  resume(): void {
    this.#isPaused = false;
    if (this.isRunning) process.kill(this.pid, "SIGCONT");
  }

  /** Calls a command, or asks `GET /path`, at its socket. */
  ask(name: string, parameters: object = {}, signal?: AbortSignal): Promise<Answer> {
    return askSocket(this.home, name, parameters, signal);
  }

  /** The result of a command at its socket; a refusal or a broken answer is thrown. */
  async result<T = Record<string, unknown>>(name: string, parameters: object = {}): Promise<T> {
    const answer = await this.ask(name, parameters, AbortSignal.timeout(30_000));
    if (answer.kind === "result") return answer.result as T;
    throw new Error(`machine ${this.index}, ${name}: ${JSON.stringify(answer)}`);
  }

  /** Runs the executable on this machine to its end. */
  async run(...words: string[]): Promise<Outcome> {
    const startedMs = performance.now();
    const child = await this.#start(...words);
    const [stdout, stderr] = await Promise.all([
      new Response(child.stdout as ReadableStream).text(),
      new Response(child.stderr as ReadableStream).text(),
      child.exited,
    ]);
    const signal = child.signalCode === null ? null : String(child.signalCode);
    const durationMs = performance.now() - startedMs;
    return { status: child.exitCode, signal, stdout, stderr, durationMs };
  }

  /** The last record of a command with --json. */
  async json(...words: string[]): Promise<Record<string, unknown>> {
    const { stdout, stderr } = await this.run(...words, "--json");
    const last = jsonLines(stdout).at(-1);
    if (last === undefined) throw new Error(`machine ${this.index}, ${words.join(" ")}: ${stderr}`);
    return last;
  }

  /** Fills the disk of its home to the last byte; the home must be on one of its own. */
  fillDisk(): void {
    Bun.spawnSync(["sh", "-c", 'cat /dev/zero > "$0/filler"', this.home], { stderr: "ignore" });
  }

  freeDisk(): void {
    rmSync(join(this.home, "filler"), { force: true });
  }

  get hasHome(): boolean {
    return existsSync(join(this.home, "node.db"));
  }

  async #start(...words: string[]) {
    const command = this.network.command(this.index, [await binaryPath(), ...words]);
    return start(command, this.home, {
      environment: { TMPDIR: this.#temporary, ...this.environment },
      timeoutMs: lifetimeMs,
    });
  }

  async #gather(stream: ReadableStream<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    for await (const piece of stream)
      this.#stderr = (this.#stderr + decoder.decode(piece, { stream: true })).slice(-20_000);
  }
}

/** The machines of one cluster, which are stopped with the scope; the network is removed as well. */
export class Cluster implements AsyncDisposable {
  readonly machines: readonly ClusterMachine[];
  /** Node ids, once the cluster is formed. */
  nodes: readonly string[] = [];

  constructor(
    readonly network: MachineNetwork,
    environments: readonly Readonly<Record<string, string>>[] = [],
  ) {
    this.machines = Array.from(
      { length: network.count },
      (_, index) => new ClusterMachine(network, index, environments[index]),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.machines.map((machine) => machine.kill()));
    this.network[Symbol.dispose]();
  }

  /** The first machine founds, the others join with one token; resolves when as many decide as can. */
  async form(machines = this.machines): Promise<void> {
    const [founder, ...others] = machines as [ClusterMachine, ...ClusterMachine[]];
    await founder.up();
    const { line } = await founder.result<{ line: string }>("token/create", { reusable: true });
    const [, ...words] = line.split(" ");
    await Promise.all(others.map((machine) => machine.up()));
    for (const machine of others) {
      const { status, stderr } = await machine.run(...words);
      if (status !== 0) throw new Error(`machine ${machine.index} did not join: ${stderr}`);
    }
    this.nodes = await Promise.all(
      machines.map(async (machine) => {
        const { node } = await machine.result<{ node: string }>("nodes");
        return node;
      }),
    );
    // An even number never decides.
    const voterCount = machines.length - ((machines.length + 1) % 2);
    await until("as many decide as can", async () => {
      const { voters } = await founder.result<{ voters: unknown[] }>("cluster/status");
      return voters.length === voterCount;
    });
  }

  /** Waits until all hold the same state at the same place of the log, and gives both. */
  async agree(
    machines = this.machines,
  ): Promise<{ readonly index: number; readonly digest: string }> {
    return until("all are at one place with one state", async () => {
      const standings = await Promise.all(machines.map((machine) => standingOf(machine)));
      const [first] = standings;
      const isOne = standings.every((each) => each !== null && each.index === first!.index);
      if (!isOne) return null;
      const digests = new Set(standings.map((each) => each!.digest));
      if (digests.size > 1) throw new Error(`states differ: ${JSON.stringify(standings)}`);
      return first!;
    });
  }
}

export interface MachineStanding {
  readonly index: number;
  readonly commitIndex: number;
  readonly digest: string;
  readonly term: number;
  readonly leader: string | null;
  readonly isLeading: boolean;
}

/** What a machine says of itself now; null where it does not answer. */
export async function standingOf(machine: ClusterMachine): Promise<MachineStanding | null> {
  const answer = await machine.ask("cluster/status", {}, AbortSignal.timeout(3_000));
  if (answer.kind !== "result") return null;
  const { log, digest, term, leader, node } = answer.result as MachineStanding & {
    readonly log: { readonly appliedIndex: number; readonly commitIndex: number };
    readonly node: { readonly role: string };
  };
  const { appliedIndex: index, commitIndex } = log;
  return { index, commitIndex, digest, term, leader, isLeading: node.role === "leader" };
}
