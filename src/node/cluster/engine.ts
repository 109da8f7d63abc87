import type { NodeMessage } from "#src/cluster/node-message.ts";
import type { ClusterNode, NodeEffect, NodeInput } from "#src/cluster/node.ts";
import type { Request } from "#src/cluster/event.ts";
import type { Durable } from "#src/log/durable.ts";
import type { LogStore } from "#src/log/log-store.ts";

export type Applied = Extract<NodeEffect, { readonly kind: "applied" }>;
export type Answer = Extract<NodeEffect, { readonly kind: "answer" }>["outcome"];

export interface EngineParts {
  readonly log: LogStore;
  /** With what the log began, where nothing of it is on the disk yet. */
  founding(): Durable;
  make(durable: Durable): ClusterNode;
  /** False where it surely did not go out. */
  send(to: string, message: NodeMessage): boolean;
  /** Makes a record of what was applied. Durable when it returns; a throw is a failed write. */
  record(applied: readonly Applied[]): void;
  /** The state may be another one now. */
  changed(): void;
  led(term: number, leader: string): void;
  /** A write failed: the node says nothing from here on, until `revive`. */
  failed(error: unknown): void;
}

/** Ticks a lonely voter is given at once, so that it need not wait for others who do not exist. */
const lonelyTickMaximum = 64;

/**
 * Carries out what the pure node wants, in its order: writes go to the disk before anything that relies on
 * them leaves. Synchronous, so that a step is done when `feed` returns.
 */
export class Engine {
  #node: ClusterNode;
  readonly #inputs: NodeInput[] = [];
  #isFeeding = false;
  #hasFailed = false;
  #applied: Applied[] = [];
  #nextRequest = 1;
  readonly #waiting = new Map<number, (answer: Answer) => void>();

  /** Refused with `log_damaged`, or as the store refuses. */
  constructor(readonly parts: EngineParts) {
    this.#node = this.#open();
  }

  get node(): ClusterNode {
    return this.#node;
  }
  /** True after a write failed. */
  get hasFailed(): boolean {
    return this.#hasFailed;
  }

  feed(input: NodeInput): void {
    if (this.#hasFailed) return;
    this.#inputs.push(input);
    if (this.#isFeeding) return;
    this.#isFeeding = true;
    try {
      for (let next = this.#inputs.shift(); next !== undefined; next = this.#inputs.shift()) {
        for (const effect of this.#node.step(next)) this.#carryOut(effect);
        this.#record();
        if (this.#hasFailed) break;
      }
    } catch (error) {
      // A bug: what the node holds is not what it thinks, so nothing of it may be said any more.
      this.end();
      queueMicrotask(() => {
        throw error;
      });
      return;
    } finally {
      this.#isFeeding = false;
    }
    this.parts.changed();
  }

  /** Has a command written and applied; gives what became of it. */
  ask(command: Request, patienceTicks: number): Promise<Answer> {
    return this.#asking((request) => ({ kind: "ask", request, command, patienceTicks }));
  }

  sync(patienceTicks: number): Promise<Answer> {
    return this.#asking((request) => ({ kind: "sync", request, patienceTicks }));
  }

  /** Where nobody else votes nobody else is waited for. */
  hasten(): void {
    for (let count = 0; count < lonelyTickMaximum && this.#isLonely(); count++)
      this.feed({ kind: "tick" });
  }

  /** Starts the node again from what is on the disk. Throws where the disk still does not do. */
  revive(): void {
    this.#node = this.#open();
    this.#hasFailed = false;
    this.hasten();
  }

  /** Tells everybody who waits that nothing will come. */
  end(): void {
    this.#hasFailed = true;
    this.#giveUp();
  }

  #open(): ClusterNode {
    const { log, make, founding } = this.parts;
    return make(log.open(founding()));
  }

  #isLonely(): boolean {
    const { core } = this.#node.replica;
    const { voters } = core.membership;
    return core.role !== "leader" && voters.length === 1 && voters[0] === core.id;
  }

  #asking(input: (request: number) => NodeInput): Promise<Answer> {
    if (this.#hasFailed) return Promise.resolve({ kind: "leaderless" });
    const { promise, resolve } = Promise.withResolvers<Answer>();
    const request = this.#nextRequest++;
    this.#waiting.set(request, resolve);
    this.feed(input(request));
    return promise;
  }

  #carryOut(effect: NodeEffect): void {
    if (this.#hasFailed) return;
    switch (effect.kind) {
      case "store":
        return this.#store(effect);
      case "send":
        if (!this.parts.send(effect.to, effect.message)) this.feed({ ...effect, kind: "unsent" });
        return;
      case "answer":
        this.#waiting.get(effect.request)?.(effect.outcome);
        this.#waiting.delete(effect.request);
        return;
      case "applied":
        this.#applied.push(effect);
        return;
      case "restored":
      case "passed":
        return;
      case "led":
        return this.parts.led(effect.term, effect.leader);
    }
  }

  #store({ token, write }: Extract<NodeEffect, { readonly kind: "store" }>): void {
    // A snapshot takes the place of entries, so what they say is recorded first.
    this.#record();
    if (this.#hasFailed) return;
    if (this.#tried(() => this.parts.log.write(write)))
      this.#inputs.push({ kind: "stored", token });
    else this.#node.step({ kind: "failed", token });
  }

  #record(): void {
    if (this.#applied.length === 0 || this.#hasFailed) return;
    const applied = this.#applied;
    this.#applied = [];
    this.#tried(() => this.parts.record(applied));
  }

  /** What of a failed write is on the disk nobody knows, so nothing goes on from here. */
  #tried(write: () => void): boolean {
    try {
      write();
      return true;
    } catch (error) {
      this.#hasFailed = true;
      this.#inputs.length = 0;
      this.#applied = [];
      this.#giveUp();
      this.parts.failed(error);
      return false;
    }
  }

  #giveUp(): void {
    for (const resolve of this.#waiting.values()) resolve({ kind: "uncertain" });
    this.#waiting.clear();
  }
}
