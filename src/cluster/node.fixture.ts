import { founding as foundingOf, type Durable, type Write } from "#src/log/durable.ts";
import { Fold } from "#src/log/fold.ts";
import { SimulatedDisk } from "#src/sim/disk.ts";
import type { Command, Scope } from "./event.ts";
import type { AskOutcome } from "./lanes.ts";
import { admission, founding, readiness, tokenCommand } from "./mesh.fixture.ts";
import { MeshFold } from "./mesh-fold.ts";
import { ClusterNode, type NodeEffect, type NodeInput } from "./node.ts";
import type { NodeMessage } from "./node-message.ts";
import type { SyncOutcome } from "./reads.ts";

interface Carried {
  readonly from: string;
  readonly to: string;
  readonly message: NodeMessage;
}

export const sessionMaximum = 64;

export const startOf = (voters: readonly string[]): Durable =>
  foundingOf({ voters, learners: [] }, new Fold(new MeshFold(), sessionMaximum, null).save());

/** One node of a test: its machine, its disk and all that came out of it. */
export class TestNode {
  node: ClusterNode;
  readonly disk: SimulatedDisk;
  readonly effects: NodeEffect[] = [];

  constructor(
    readonly bus: Bus,
    readonly id: string,
    durable: Durable,
  ) {
    this.disk = new SimulatedDisk(durable);
    this.node = this.#made();
  }

  #made(): ClusterNode {
    const { bus, id, disk } = this;
    return new ClusterNode(
      {
        ...{ id, draw: () => bus.draw(), meaning: new MeshFold(), sessionMaximum },
        tuning: { heartbeatTicks: 2, electionTicks: 10, entriesPerMessage: 64 },
        ...{ snapshotEvery: 1000, keptEntries: 10, voterMaximum: bus.voterMaximum },
        wallMs: () => bus.nowMs,
      },
      { ballot: disk.ballot, snapshot: disk.snapshot, entries: [...disk.entries] },
    );
  }

  /** Loses everything but the disk. */
  restart(): void {
    this.node = this.#made();
  }

  step(input: NodeInput): void {
    const writes: { readonly token: number; readonly write: Write }[] = [];
    for (const effect of this.node.step(input)) {
      this.effects.push(effect);
      if (effect.kind === "store") writes.push(effect);
      if (effect.kind === "send") this.#send(effect);
    }
    for (const { token, write } of writes) {
      this.disk.carryOut(write);
      this.step({ kind: "stored", token });
    }
  }

  #send({ to, message }: NodeEffect & { readonly kind: "send" }): void {
    if (this.bus.isUnreachable(to)) this.step({ kind: "unsent", to, message });
    else this.bus.send({ from: this.id, to, message });
  }

  outcome(request: number): AskOutcome | SyncOutcome | undefined {
    for (const effect of this.effects)
      if (effect.kind === "answer" && effect.request === request) return effect.outcome;
    return undefined;
  }
}

/** Several nodes with a wire between them, on which a test may lose what it likes. */
export class Bus {
  readonly nodes = new Map<string, TestNode>();
  nowMs = 1_000_000;
  /** What is lost. */
  isLost: (carried: Carried) => boolean = () => false;
  /** To whom no way is open, which the sender sees. */
  isUnreachable: (to: string) => boolean = () => false;
  /** Nodes that stand still. */
  readonly still = new Set<string>();
  readonly carried: Carried[] = [];
  #waiting: Carried[] = [];
  #request = 0;
  #draws = 0;

  constructor(
    ids: readonly string[],
    readonly founders: readonly string[] = ids,
    readonly voterMaximum = 7,
  ) {
    for (const id of ids) this.nodes.set(id, new TestNode(this, id, startOf(founders)));
  }

  /** Different for each that asks, so that elections end. */
  draw(): number {
    return (this.#draws++ * 0.37) % 1;
  }

  of(id: string): TestNode {
    return this.nodes.get(id)!;
  }

  send(carried: Carried): void {
    this.carried.push(carried);
    if (!this.isLost(carried)) this.#waiting.push(carried);
  }

  /** Carries what is on its way until nothing is. */
  settle(): void {
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      const { from, to, message } = next;
      if (!this.still.has(to)) this.nodes.get(to)?.step({ kind: "heard", from, message });
    }
  }

  tick(count = 1): void {
    for (let left = count; left > 0; left--) {
      this.nowMs += 100;
      for (const [id, node] of this.nodes) if (!this.still.has(id)) node.step({ kind: "tick" });
      this.settle();
    }
  }

  /** Waits for what must come to pass within a number of ticks. */
  until(what: string, isSo: () => boolean, ticks = 200): void {
    for (let left = ticks; left > 0 && !isSo(); left--) this.tick();
    if (!isSo()) throw new Error(`not within ${ticks} ticks: ${what}`);
  }

  get leader(): TestNode | undefined {
    return [...this.nodes.values()]
      .filter(({ id, node }) => !this.still.has(id) && node.replica.core.role === "leader")
      .toSorted((a, b) => b.node.replica.core.term - a.node.replica.core.term)[0];
  }

  /** Waits for a leader that everybody follows, and gives it. */
  led(): TestNode {
    const follows = ({ id, node }: TestNode) =>
      this.still.has(id) || node.replica.core.leader === this.leader?.id;
    this.until("all follow one leader", () => [...this.nodes.values()].every(follows));
    return this.leader!;
  }

  begin(node: string, scope: Scope, command: Command, patienceTicks = 100, author = node): number {
    const request = ++this.#request;
    const asked = { author, scope, policy: null, command };
    this.of(node).step({ kind: "ask", request, command: asked, patienceTicks });
    this.settle();
    return request;
  }

  end(node: string, request: number, ticks = 200): AskOutcome | SyncOutcome {
    this.until("an answer", () => this.of(node).outcome(request) !== undefined, ticks);
    return this.of(node).outcome(request)!;
  }

  ask(node: string, scope: Scope, command: Command, patienceTicks = 100, author = node) {
    return this.end(node, this.begin(node, scope, command, patienceTicks, author));
  }

  /** Events of the mesh that a node applied, by kind. */
  applied(node: string, kind: Command["kind"]) {
    return this.of(node).effects.filter(
      (effect) => effect.kind === "applied" && effect.event?.command.kind === kind,
    );
  }

  /** The mesh of `a`, and all others admitted and ready. */
  found(others: readonly string[]): void {
    this.ask("a", "owner", founding);
    this.ask("a", "owner", tokenCommand("many", true));
    for (const node of others) {
      const newcomer = { ...admission(node, "many"), roles: ["coordinator" as const] };
      this.ask("a", "membership", { ...newcomer, clockMs: this.nowMs });
      this.ask(node, "self", readiness(node));
    }
  }
}
