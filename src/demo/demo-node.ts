import type { Clock } from "#src/port/clock.ts";
import type { OwnCommand, Programs } from "#src/port/process.ts";
import { Refusal } from "#src/refusal/refusal.ts";

/** How long a daemon may take until it answers. */
const upMs = 60_000;
const lookMs = 100;
/** How long a daemon that was asked to go may take. */
const downMs = 15_000;

export type Row = Readonly<Record<string, unknown>>;

export interface DemoNodeParts {
  readonly programs: Programs;
  readonly clock: Clock;
  /** 1 and up; for people. */
  readonly number: number;
  /** Its home: a folder that nobody else uses. */
  readonly home: string;
  readonly environment?: Readonly<Record<string, string>>;
}

/**
 * One node of the demonstration: a home of its own and this executable as its daemon, spoken to as a person would
 * by the commands everybody has. It is a child of the demonstration and dies with it.
 */
export class DemoNode {
  #daemon: OwnCommand | null = null;
  /** Its node id, once it has been asked. */
  id = "";

  constructor(readonly parts: DemoNodeParts) {}

  get number(): number {
    return this.parts.number;
  }

  get pid(): number {
    return this.#daemon?.pid ?? 0;
  }

  get isUp(): boolean {
    return this.#daemon !== null;
  }

  /** Starts the daemon with the words of `up` or `join` and waits until it answers. */
  async start(...words: string[]): Promise<void> {
    const { programs, clock, home, environment } = this.parts;
    const all = [...words, "--home", home, "--json", "--no-input"];
    const daemon = programs.spawnCommand(all, environment);
    this.#daemon = daemon;
    let isOver = false;
    void daemon.exited.then(() => {
      isOver = true;
      if (this.#daemon === daemon) this.#daemon = null;
    });
    const deadlineMs = clock.monotonicMs() + upMs;
    for (;;) {
      if (isOver) throw broken(this, `it ended: ${daemon.talk().trim()}`);
      const status = await this.ask("cluster", "status");
      if (status !== null && status["type"] !== "refusal") break;
      if (clock.monotonicMs() > deadlineMs) throw broken(this, "it did not answer in time");
      await clock.sleep(lookMs);
    }
  }

  /** The last record of a command at this node. Refused with `demo_failed` where the command is. */
  async call(...words: string[]): Promise<Row> {
    const last = await this.ask(...words);
    if (last === null) throw broken(this, `psionic ${words.join(" ")} said nothing`);
    if (last["type"] === "refusal")
      throw broken(this, `psionic ${words.join(" ")}: ${String(last["message"])}`);
    return last;
  }

  /** As `call`; a refusal is given like any other record, and null where nothing was said. */
  async ask(...words: string[]): Promise<Row | null> {
    const { programs, home } = this.parts;
    const child = programs.spawnCommand([...words, "--home", home, "--json", "--no-input"]);
    const [output] = await Promise.all([child.output, child.exited]);
    const last = output.trimEnd().split("\n").at(-1) ?? "";
    try {
      return JSON.parse(last) as Row;
    } catch {
      return null;
    }
  }

  /** kill -9 of the daemon, and so of what computes for it. */
  async kill(): Promise<void> {
    const daemon = this.#daemon;
    if (daemon === null) return;
    daemon.kill("SIGKILL");
    await daemon.exited;
    this.#daemon = null;
  }

  /** The daemon, and what computes for it, stand still until `resume`. */
  pause(): void {
    this.#daemon?.kill("SIGSTOP");
  }

  resume(): void {
    this.#daemon?.kill("SIGCONT");
  }

  /** Asks the daemon to go, and ends it where it does not. */
  async stop(): Promise<void> {
    const daemon = this.#daemon;
    if (daemon === null) return;
    daemon.kill("SIGTERM");
    const late = this.parts.clock.sleep(downMs).then(() => daemon.kill("SIGKILL"));
    await Promise.race([daemon.exited, late]);
    this.#daemon = null;
  }
}

function broken(node: DemoNode, why: string): Refusal {
  return new Refusal(
    "demo_failed",
    `Node ${node.number} of the demonstration failed: ${why}`,
    `its home is ${node.parts.home}; \`psionic logs --home ${node.parts.home}\` shows what its daemon said`,
    { node: node.number },
  );
}
