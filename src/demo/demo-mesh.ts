import type { Event } from "#src/command/define.ts";
import type { Clock } from "#src/port/clock.ts";
import type { Disk } from "#src/port/disk.ts";
import type { Programs } from "#src/port/process.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { DemoNode, type Row } from "./demo-node.ts";

/** Makes a node lie about its work; src/node/windows/sabotage.ts reads it. */
const lying = { PSIONIC_SABOTAGE: "commitments:lie-about-my-work" };
const lookMs = 250;
/** How long anything the demonstration waits for may take. */
export const patienceMs = 10 * 60_000;

export interface MeshParts {
  readonly clock: Clock;
  readonly disk: Disk;
  readonly programs: Programs;
  /** Where the homes of the nodes lie. */
  readonly folder: string;
  readonly signal: AbortSignal;
  readonly emit: (event: Event) => void;
}

/** What of `run status` the demonstration looks at. */
export interface RunLook {
  readonly phase: string;
  readonly reason: string;
  readonly slots: number;
  readonly acceptedSlots: number;
  readonly windowCount: number;
  readonly revision: number;
  readonly movedBytes: number;
  readonly denseBytes: number | null;
  readonly tokensPerSecond: number | null;
  readonly slotTokens: number;
  readonly participants: readonly {
    readonly node: string;
    readonly standing: string;
    readonly strikes: number;
    readonly isQuarantined: boolean;
    readonly rejectedCount: number;
  }[];
  readonly loss: {
    readonly revision: number;
    readonly loss: number;
    readonly isFull: boolean;
    readonly exactMatch: number;
  } | null;
}

/** The nodes of the demonstration, each a daemon with a home of its own, on this machine's loopback device. */
export class DemoMesh {
  readonly nodes: DemoNode[] = [];

  constructor(readonly parts: MeshParts) {}

  /** The first node, which founds the mesh. Gives the page's address. */
  async found(): Promise<string | null> {
    const first = this.#add(false);
    await first.start("up", "--port", "0", "--peer-port", "0");
    const up = await first.call("up");
    await this.#know(first);
    this.parts.emit({ type: "node", number: 1, id: first.id, lies: false });
    return typeof up["page"] === "string" ? up["page"] : null;
  }

  /** One more node, by a token of a node that is there. */
  async join(lies = false): Promise<DemoNode> {
    const host = this.live()[0]!;
    const { line } = await host.call("token", "create");
    const node = this.#add(lies);
    const words = String(line).split(" ").slice(1);
    await node.start(...words, "--port", "0", "--peer-port", "0");
    await this.#know(node);
    await this.until(`node ${node.number} is a member`, async () => {
      const status = await node.ask("cluster", "status");
      return (status?.["node"] as Row | undefined)?.["taking"] === "member";
    });
    this.parts.emit({ type: "node", number: node.number, id: node.id, lies });
    return node;
  }

  /** Starts a node again that was killed. */
  async back(node: DemoNode): Promise<void> {
    await node.start("up", "--port", "0", "--peer-port", "0");
    this.parts.emit({ type: "back", number: node.number, id: node.id });
  }

  live(): readonly DemoNode[] {
    return this.nodes.filter((node) => node.isUp);
  }

  byId(id: string): DemoNode | undefined {
    return this.nodes.find((node) => node.id === id);
  }

  /** Who leads, as those who are up say; null while they do not agree or know nobody. */
  async leader(): Promise<DemoNode | null> {
    for (const node of this.live()) {
      const status = await node.ask("cluster", "status");
      const leader = status?.["leader"];
      const found = typeof leader === "string" ? this.byId(leader) : undefined;
      if (found?.isUp === true) return found;
    }
    return null;
  }

  /** How the run stands, as any node that is up says. */
  async look(run: string): Promise<RunLook | null> {
    for (const node of this.live()) {
      const status = await node.ask("run", "status", run);
      if (status === null || status["type"] === "refusal") continue;
      const mesh = (status["mesh"] ?? status) as Partial<RunLook>;
      if (mesh.acceptedSlots !== undefined) return mesh as RunLook;
    }
    return null;
  }

  /** Waits until it holds. Refused with `demo_failed`, and with the signal's reason. */
  async until<T>(
    what: string,
    look: () => Promise<T | null | false>,
    withinMs = patienceMs,
  ): Promise<T> {
    const { clock, signal } = this.parts;
    const deadlineMs = clock.monotonicMs() + withinMs;
    for (;;) {
      signal.throwIfAborted();
      const found = await look();
      if (found !== null && found !== false) return found;
      if (clock.monotonicMs() > deadlineMs)
        throw new Refusal(
          "demo_failed",
          `The demonstration waited ${Math.round(withinMs / 1000)} s in vain: ${what}.`,
          `the homes of its nodes lie in ${this.parts.folder}; \`psionic logs --home\` shows what each said`,
        );
      await clock.sleep(lookMs, signal);
    }
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.stop().catch(() => {})));
  }

  #add(lies: boolean): DemoNode {
    const { programs, clock, folder } = this.parts;
    const number = this.nodes.length + 1;
    const node = new DemoNode({
      ...{ programs, clock, number, home: `${folder}/node-${number}` },
      // All nodes share one machine: each computes with one thread.
      environment: { PSIONIC_TRAIN_THREADS: "1", ...(lies ? lying : {}) },
    });
    this.nodes.push(node);
    return node;
  }

  async #know(node: DemoNode): Promise<void> {
    const status = await node.call("cluster", "status");
    node.id = String((status["node"] as Row)["node"]);
  }
}
