import { digestJson } from "#src/codec/digest.ts";
import type { Durable, Write } from "#src/log/durable.ts";
import type { Entry } from "#src/log/entry.ts";
import type { Flaw } from "#src/log/flaw.ts";
import type { Meaning } from "#src/log/fold.ts";
import type { Message } from "#src/log/message.ts";
import { Replica, type Effect, type Input, type Outcome } from "#src/log/replica.ts";
import type { Tuning } from "#src/log/state.ts";
import { Coordinator, type Reply } from "./coordinator.ts";
import { dutiesOf, heirOf, type Duties, type DutyView } from "./duties.ts";
import type { Command, Event, Request } from "./event.ts";
import { Lanes, type AskOutcome, type Leader } from "./lanes.ts";
import type { MeshOutcome } from "./mesh-fold.ts";
import type { NodeFlaw } from "./node-flaw.ts";
import type { NodeMessage, NodeOutcome } from "./node-message.ts";
import { Overheard } from "./overheard.ts";
import { judgeParting } from "./parting.ts";
import { Reads, type SyncOutcome } from "./reads.ts";
import { memberOf } from "./members.ts";
import { isLive, type Member, type MeshState } from "./state.ts";

/** What the log's events add up to, with the mesh in it. */
export interface ClusterMeaning extends Meaning {
  readonly mesh: MeshState;
}

export interface ClusterNodeOptions {
  readonly id: string;
  readonly tuning: Tuning;
  /** A number in [0, 1), drawn anew each time. */
  readonly draw: () => number;
  /** Results of the mesh's events are texts of a `MeshResult`. */
  readonly meaning: ClusterMeaning;
  readonly sessionMaximum: number;
  readonly snapshotEvery: number;
  readonly keptEntries: number;
  /** See `ReplicaOptions`. */
  readonly committedIndex?: number;
  /** Those who decide; see `defaultVoterMaximum`. */
  readonly voterMaximum: number;
  /** This node's clock. It counts for the whole mesh while the node leads. */
  readonly wallMs: () => number;
  /** For the simulator alone. */
  readonly flaw?: NodeFlaw | null;
  readonly logFlaw?: Flaw | null;
}

export type NodeInput =
  | { readonly kind: "tick" }
  /** `from` is proven by whatever carried the message, which brings each message at most once. */
  | { readonly kind: "heard"; readonly from: string; readonly message: NodeMessage }
  | { readonly kind: "stored" | "failed"; readonly token: number }
  /** A message this node wanted sent found no way: surely nobody has it. */
  | { readonly kind: "unsent"; readonly to: string; readonly message: NodeMessage }
  /** A command of this node's own for the mesh. `request` is the caller's number, 1 or higher. */
  | {
      readonly kind: "ask";
      readonly request: number;
      readonly command: Request;
      readonly patienceTicks: number;
    }
  /** Waits until the state holds everything that was acknowledged anywhere before. */
  | { readonly kind: "sync"; readonly request: number; readonly patienceTicks: number }
  /** A leader has the best of the other voters lead instead. Whether it came about shows in `led`. */
  | { readonly kind: "hand-over" }
  /** For who speaks to this node's log itself, such as clients of the simulator. */
  | { readonly kind: "direct"; readonly input: Input };

export type NodeEffect =
  | { readonly kind: "store"; readonly token: number; readonly write: Write }
  | { readonly kind: "send"; readonly to: string; readonly message: NodeMessage }
  | {
      readonly kind: "answer";
      readonly request: number;
      readonly outcome: AskOutcome | SyncOutcome;
    }
  /** An entry became part of the state. */
  | {
      readonly kind: "applied";
      readonly index: number;
      readonly term: number;
      readonly entry: Entry;
      /** Null for what is no event of the mesh, or was applied before and is not again. */
      readonly event: Event | null;
      readonly outcome: MeshOutcome | null;
      /** The state before it and after it; null as `event` is. */
      readonly mesh: { readonly before: MeshState; readonly after: MeshState } | null;
    }
  /** The state was replaced by a leader's, at this index. */
  | { readonly kind: "restored"; readonly index: number }
  /** Whom this node follows changed; `leader` is empty while it knows nobody. */
  | { readonly kind: "led"; readonly term: number; readonly leader: string }
  /** What became of a `direct` request. */
  | { readonly kind: "passed"; readonly request: number; readonly outcome: Outcome };

/** Ticks between two looks of a leader at its duties; it looks at once after what may have made one. */
export const dutyTicks = 5;

/** Ticks between two attempts of a leader that goes to have another lead: meanwhile nothing is written. */
export const heirTicks = 100;

/** Between two ticks no clock goes further by itself; one that does was set, or stood still. */
const clockJumpMs = 5_000;

/** Events after which a leader looks at its duties with its next tick. */
const makesDuty: readonly Command["kind"][] = [
  ...(["mesh-founded", "node-admitted", "node-ready", "node-draining"] as const),
  ...(["node-left", "node-evicted"] as const),
];
/** Events after which it looks at once: all who work on a run wait for what it orders next. */
const makesOrders: readonly Command["kind"][] = [
  ...(["run-created", "run-wished", "run-stated", "window-opened", "window-sealed"] as const),
  ...(["validators-redrawn", "contribution-lost"] as const),
];

/**
 * One node of a mesh: the log below, its own commands on their way to whoever leads, and what it owes the
 * others while it leads itself. Pure like the log: inputs go in, effects come out, in their order.
 */
export class ClusterNode {
  readonly replica: Replica;
  readonly #options: ClusterNodeOptions;
  readonly #heard: Overheard;
  readonly #lanes: Lanes;
  readonly #reads: Reads;
  readonly #coordinator: Coordinator;
  #effects: NodeEffect[] = [];
  #leader: Leader = { id: "", term: 0 };
  /** Since when it leads, or since its clock was set; by that clock. */
  #ledSinceMs = 0;
  #tickedMs = 0;
  /** When each node was last heard by this one as the leader. */
  #heardMs: ReadonlyMap<string, number> = new Map();
  #tick = 0;
  #isDutyDue = false;
  #areOrdersDue = false;
  #lastHeir = "";
  #heirTick = 0;
  /** Until this tick the leader looks for another to lead, because it is to go itself. */
  #partingTick = 0;
  /** Orders under way, by the negative number under which they were asked. */
  readonly #orders = new Map<number, string>();
  #orderCount = 0;
  #refusedCount = 0;
  #fenced: DutyView | null = null;
  /** The first number drawn, for a planted mistake. */
  #drawn: string | null = null;

  constructor(options: ClusterNodeOptions, durable: Durable) {
    const { id, tuning, draw, meaning, flaw = null, logFlaw = null } = options;
    this.#options = options;
    this.#heard = new Overheard(meaning);
    this.replica = new Replica({ ...options, meaning: this.#heard, flaw: logFlaw }, durable);
    // Another life's tickets are others: an answer to one of them may still be on its way.
    let ticket = Math.floor(draw() * 2 ** 30) * 2 ** 20;
    const nextTicket = () => ++ticket;
    const silenceTicks = 2 * tuning.electionTicks;
    this.#lanes = new Lanes({ id, silenceTicks, nextTicket, flaw });
    this.#reads = new Reads(silenceTicks, nextTicket);
    this.#coordinator = new Coordinator({
      ...{ id, wallMs: options.wallMs, flaw, core: this.replica.core },
      judge: (event) => this.#judge(event),
      step: (input) => this.#absorb(this.replica.step(input)),
      reply: (reply) => this.#reply(reply),
    });
  }

  get mesh(): MeshState {
    return this.#options.meaning.mesh;
  }

  /** Commands of this node and reads that are not answered yet. */
  get askedCount(): number {
    return this.#lanes.count + this.#reads.count;
  }

  /** Messages of the log that no node which keeps to the protocol sends, and that were not taken. */
  get refusedCount(): number {
    return this.#refusedCount;
  }

  /** What this node would have to do now if it led. */
  duties(): Duties {
    const duties = dutiesOf(this.#withFlaw(this.#view()));
    const { flaw = null } = this.#options;
    const isKept = flaw === "voters-stay" && duties.placing?.place === "learner";
    return isKept ? { ...duties, placing: null } : duties;
  }

  step(input: NodeInput): readonly NodeEffect[] {
    if (this.replica.hasFailed) return [];
    this.#take(input);
    if (this.#areOrdersDue) this.#giveOrders();
    this.#settle();
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  #take(input: NodeInput): void {
    switch (input.kind) {
      case "tick":
        return this.#ticked();
      case "heard":
        return this.#hear(input.from, input.message);
      case "unsent":
        return this.#takeBack(input.to, input.message);
      case "stored":
      case "failed":
        return this.#absorb(this.replica.step(input));
      case "ask":
        return this.#lanes.ask(input.request, input.command, input.patienceTicks);
      case "sync":
        return this.#reads.ask(input.request, input.patienceTicks);
      case "hand-over":
        return this.#handOver(this.#view());
      case "direct":
        return this.#absorb(this.replica.step(input.input));
    }
  }

  #ticked(): void {
    this.#tick++;
    this.#watchClock();
    this.#lanes.tick();
    this.#reads.tick();
    this.#coordinator.tick();
    this.#absorb(this.replica.step({ kind: "tick" }));
    if (this.#isDutyDue || this.#tick % dutyTicks === 0) this.#doDuties();
  }

  /** By a clock that was put ahead all leases are over at once: the others renew first, as under a new leader. */
  #watchClock(): void {
    const nowMs = this.#options.wallMs();
    if (Math.abs(nowMs - this.#tickedMs) > clockJumpMs) this.#ledSinceMs = nowMs;
    this.#tickedMs = nowMs;
  }

  #hear(from: string, message: NodeMessage): void {
    switch (message.kind) {
      case "log": {
        // Nobody speaks for another, and what is for another is not for this node.
        const { message: inner } = message;
        if (inner.from !== from || inner.to !== this.#options.id) return;
        if (!this.#isTaken(inner)) return void this.#refusedCount++;
        return this.#absorb(this.replica.step({ kind: "message", message: inner }));
      }
      case "submit":
        return this.#coordinator.submit(from, message);
      case "read":
        return this.#coordinator.read(from, message.ticket);
      case "outcome":
        return this.#hearOutcome(from, message.ticket, message.outcome);
    }
  }

  /**
   * What a planted mistake leads to is for the checkers to see. Elsewhere who has not the role coordinator is
   * heard as a follower alone, who knows of no later term than its leader.
   */
  #isTaken(message: Message): boolean {
    if ((this.#options.logFlaw ?? null) !== null) return true;
    const { core } = this.replica;
    const member = memberOf(this.mesh, message.from);
    const isFollower = member !== undefined && isLive(member) && !isCoordinator(member);
    if (isFollower && (message.kind !== "append-reply" || message.term > core.term)) return false;
    return this.replica.accepts(message);
  }

  #hearOutcome(from: string, ticket: number, outcome: NodeOutcome): void {
    if (!this.#lanes.outcome(from, ticket, outcome)) this.#reads.outcome(from, ticket, outcome);
  }

  /** What was not sent was not taken, so its fate is known. What the log lost it sends again by itself. */
  #takeBack(to: string, message: NodeMessage): void {
    if (message.kind !== "submit" && message.kind !== "read") return;
    const outcome = { kind: "refused", reason: "not_leader", leader: "" } as const;
    this.#hearOutcome(to, message.ticket, outcome);
  }

  /** What the coordinator here has to say to who asked, which may be this node. */
  #reply({ to, ticket, outcome }: Reply): void {
    if (to === this.#options.id) return this.#hearOutcome(to, ticket, outcome);
    this.#effects.push({ kind: "send", to, message: { kind: "outcome", ticket, outcome } });
  }

  /** Takes over what the log wants, and hands its answers on. */
  #absorb(effects: readonly Effect[]): void {
    for (const effect of effects) {
      switch (effect.kind) {
        case "store":
        case "restored":
          this.#effects.push(effect);
          break;
        case "send": {
          const { message } = effect;
          this.#effects.push({ kind: "send", to: message.to, message: { kind: "log", message } });
          break;
        }
        case "applied":
          this.#applied(effect.entry);
          break;
        case "answer":
          if (this.#coordinator.answered(effect.request, effect.outcome)) break;
          this.#effects.push({ ...effect, kind: "passed" });
      }
    }
  }

  #applied(entry: Entry): void {
    const { index, term } = entry;
    const { event, outcome, mesh } = this.#heard.take(index);
    this.#effects.push({ kind: "applied", index, term, entry, event, outcome, mesh });
    const isDuty = event !== null && makesDuty.includes(event.command.kind);
    if (isDuty || entry.kind === "membership") this.#isDutyDue = true;
    if (event !== null && makesOrders.includes(event.command.kind)) this.#areOrdersDue = true;
  }

  /** Sends what can be sent and gives the answers that are known, until nothing changes any more. */
  #settle(): void {
    this.#follow();
    for (;;) {
      const leader = this.#leader.id === "" ? null : this.#leader;
      const attempts = this.#lanes.attempts(leader);
      const read = this.#reads.attempt(leader);
      for (const { to, ...attempt } of attempts) {
        const message = { kind: "submit" as const, ...attempt };
        if (to === this.#options.id) this.#coordinator.submit(to, message);
        else this.#effects.push({ kind: "send", to, message });
      }
      if (read !== null) this.#sendRead(read);
      this.#answer();
      if (attempts.length === 0 && read === null) break;
      this.#follow();
    }
  }

  #sendRead({ to, ticket }: { readonly to: string; readonly ticket: number }): void {
    if (to === this.#options.id) this.#coordinator.read(to, ticket);
    else this.#effects.push({ kind: "send", to, message: { kind: "read", ticket } });
  }

  #answer(): void {
    for (const [request, outcome] of this.#lanes.takeAnswers()) {
      if (this.#orders.delete(request)) continue;
      this.#effects.push({ kind: "answer", request, outcome });
    }
    for (const [request, outcome] of this.#reads.takeAnswers(this.replica.appliedIndex))
      this.#effects.push({ kind: "answer", request, outcome });
  }

  #follow(): void {
    const { leader: id, term } = this.replica.core;
    if (this.#leader.id === id && this.#leader.term === term) return;
    this.#leader = { id, term };
    if (id === this.#options.id) this.#ledSinceMs = this.#options.wallMs();
    this.#partingTick = 0;
    this.#heardMs = new Map();
    this.#effects.push({ kind: "led", term, leader: id });
  }

  #view(): DutyView {
    const { id, voterMaximum } = this.#options;
    const { core } = this.replica;
    const { term, commitIndex, membership } = core;
    const known = { term, commitIndex, membership, matches: core.matches(), heard: core.heard() };
    const clock = { nowMs: this.#options.wallMs(), ledSinceMs: this.#ledSinceMs };
    const heirs = { isParting: this.#tick < this.#partingTick, lastHeir: this.#lastHeir };
    const ears = { heardMs: this.#heardMs, draw: () => this.#drawDigest() };
    return { id, voterMaximum, mesh: this.mesh, ...heirs, ...known, ...clock, ...ears };
  }

  /** Out of as many drawn numbers of 32 bits as a digest has. */
  #drawDigest(): string {
    const { draw, flaw } = this.#options;
    const drawn = digestJson(Array.from({ length: 8 }, () => Math.floor(draw() * 2 ** 32)));
    this.#drawn ??= drawn;
    return flaw === "draw-of-once" ? this.#drawn : drawn;
  }

  #listen(): void {
    const nowMs = this.#options.wallMs();
    const heard = [...this.replica.core.heard()].map((id) => [id, nowMs] as const);
    this.#heardMs = new Map([...this.#heardMs, ...heard]);
  }

  /** Before its first commit a leader does not know what was decided before it. */
  get #isCoordinating(): boolean {
    const { core } = this.replica;
    return core.role === "leader" && core.history.termAt(core.commitIndex) === core.term;
  }

  #giveOrders(): void {
    this.#areOrdersDue = false;
    if (!this.#isCoordinating) return;
    this.#listen();
    const { term } = this.replica.core;
    for (const order of this.duties().orders) this.#order(order, term);
  }

  #doDuties(): void {
    this.#isDutyDue = false;
    if (!this.#isCoordinating) return;
    this.#listen();
    const view = this.#view();
    const { orders, placing, isHandedOver } = this.duties();
    if (isHandedOver && this.#tick >= this.#heirTick) this.#handOver(view);
    for (const order of orders) this.#order(order, view.term);
    if (placing !== null) this.#coordinator.place(placing.id, placing.place);
  }

  #judge(event: Event): ReturnType<typeof judgeParting> {
    const { kind } = event.command;
    if (kind !== "node-evicted" && kind !== "node-left") return null;
    const judged = judgeParting(this.#view(), event);
    if (judged === "hand-over" && this.#tick >= this.#partingTick) {
      this.#partingTick = this.#tick + heirTicks;
      this.#heirTick = this.#tick;
      this.#isDutyDue = true;
    }
    return judged;
  }

  /** The first view ever is where a planted mistake has its fence from. */
  #withFlaw(view: DutyView): DutyView {
    if (this.#options.flaw !== "fence-of-once") return view;
    this.#fenced ??= view;
    const { term, commitIndex } = this.#fenced;
    return { ...view, term, commitIndex };
  }

  #handOver(view: DutyView): void {
    const to = heirOf(view);
    if (to === null) return;
    this.#lastHeir = to;
    this.#heirTick = this.#tick + heirTicks;
    this.#absorb(this.replica.step({ kind: "transfer", to }));
  }

  /** Orders are given in the term in which they were due, or not at all. */
  #order(command: Command, term: number): void {
    const name = orderName(command);
    if ([...this.#orders.values()].includes(name)) return;
    const number = -++this.#orderCount;
    this.#orders.set(number, name);
    const request: Request = {
      author: this.#options.id,
      scope: "coordinator",
      policy: null,
      command,
    };
    this.#lanes.ask(number, request, 4 * this.#options.tuning.electionTicks, term);
  }
}

/** What an order is about: while one is under way, the same is not given again. */
function orderName(command: Command): string {
  const about = [
    "node" in command ? command.node : "",
    "run" in command ? command.run : "",
    "window" in command ? command.window : "",
    "worker" in command ? command.worker : "",
  ];
  return [command.kind, ...about].join(" ");
}

function isCoordinator({ roles }: Member): boolean {
  return roles.includes("coordinator");
}
