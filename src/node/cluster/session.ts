import { getLogger } from "@logtape/logtape";
import { nodeMessageBody, readNodeMessage } from "#src/cluster/read-node-message.ts";
import { nodeMessageKinds, type NodeMessage } from "#src/cluster/node-message.ts";
import { MeshFold } from "#src/cluster/mesh-fold.ts";
import { memberOf } from "#src/cluster/members.ts";
import { reduce } from "#src/cluster/reduce.ts";
import { ClusterNode } from "#src/cluster/node.ts";
import { defaultVoterMaximum } from "#src/cluster/placing.ts";
import type { Command, Contact, Scope } from "#src/cluster/event.ts";
import type { ClusterStanding, Submitted } from "#src/cluster/services.ts";
import { isLive, type Member, type MeshState } from "#src/cluster/state.ts";
import type { Services } from "#src/command/define.ts";
import { LogStore } from "#src/log/log-store.ts";
import { defaultSessionMaximum } from "#src/log/sessions.ts";
import type { Tuning } from "#src/log/state.ts";
import type { LinkHandlers, Links, LinkView } from "#src/peer/link.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { tickMs } from "./beat.ts";
import { Engine, type Answer } from "./engine.ts";
import { emptyLog, sparesOf } from "./empty-log.ts";
import { logReached } from "./mesh-log.ts";
import { linkMember, withoutKey, type MeshBook, type MeshRow } from "./mesh-book.ts";
import { MemberWords, type NodeMeasure, type Word } from "./member-words.ts";
import type { ClusterRecords } from "./records.ts";
import { refusalOf } from "./refusal-of.ts";
import { ToldOut } from "./told-out.ts";
import { UnsoundWords } from "./unsound-words.ts";
import { unlessAborted } from "./unless-aborted.ts";

const log = getLogger(["psionic", "cluster"]);

/** For a local network: a leader's loss is noticed within two seconds. */
export const clusterTuning: Tuning = {
  heartbeatTicks: 5,
  electionTicks: 10,
  entriesPerMessage: 32,
};
const snapshotEvery = 2_000;
const keptEntries = 500;
/** How long a command waits for a coordinator. */
export const patienceMs = 10_000;
const patienceTicks = patienceMs / tickMs;
/** How often it is tried whether a disk that failed takes writes again. */
const healTicks = 20;
/** How often the node looks whether it has something to say of itself. */
const wordTicks = 2;
/** With less than this free the next write may not fit. */
const roomMinimumBytes = 1024 * 1024;

export interface SessionParts {
  readonly services: Services;
  readonly node: string;
  readonly epoch: number;
  readonly contact: Contact;
  readonly book: MeshBook;
  readonly row: MeshRow;
  readonly records: ClusterRecords;
  readonly tuning: Tuning;
  openLinks(mesh: string, handlers: LinkHandlers, kinds: readonly string[]): Promise<Links>;
  /** How this node is at the moment; null while nobody has looked. */
  measure(): NodeMeasure | null;
  /** Told after every step; the state may be another one. */
  looked?(): void;
}

/** This node's part in one mesh, from the moment it entered it: the log, the links, its own words. */
export class MeshSession {
  readonly #engine: Engine;
  readonly #words = new MemberWords();
  #links: Links | null = null;
  #row: MeshRow;
  #members: MeshState["members"] | null = null;
  #isBelieved = false;
  #othersText = "";
  #tickCount = 0;
  #failure: unknown = null;
  #isHealing = false;
  readonly #toldOut = new ToldOut();
  readonly #unsound = new UnsoundWords();
  readonly #watchers = new Set<() => void>();

  private constructor(readonly parts: SessionParts) {
    this.#row = parts.row;
    const { services, node, tuning } = parts;
    this.#engine = new Engine({
      log: new LogStore(services.store),
      founding: () => emptyLog(firstVoterOf(parts.row, node)),
      make: (durable) =>
        new ClusterNode(
          {
            ...{ id: node, tuning, snapshotEvery, keptEntries },
            ...{
              meaning: new MeshFold(reduce, { mesh: parts.row.mesh, founder: parts.row.founder }),
              sessionMaximum: defaultSessionMaximum,
            },
            ...{ voterMaximum: defaultVoterMaximum, committedIndex: this.#committedIndex() },
            draw: () => Buffer.from(services.random.bytes(4)).readUInt32LE() / 2 ** 32,
            wallMs: () => Math.floor(services.clock.wallMs()),
          },
          durable,
        ),
      send: (to, message) => this.#send(to, message),
      record: (applied) => this.#record(applied),
      changed: () => this.#changed(),
      led: () => this.#notify(),
      failed: (error) => this.#failed(error),
    });
  }

  /** Goes on where the disk says. Refused with `log_damaged`, or as the store refuses. */
  static async open(parts: SessionParts): Promise<MeshSession> {
    const session = new MeshSession(parts);
    const handlers: LinkHandlers = {
      message(from, kind, body) {
        const message = readNodeMessage(kind, body);
        const { refusedCount } = session.#engine.node;
        if (message !== null) session.#engine.feed({ kind: "heard", from: from.node, message });
        const isTaken = message !== null && session.#engine.node.refusedCount === refusedCount;
        if (!isTaken) session.#unsound.add(from.node, parts.services.clock.monotonicMs());
      },
      reached(node, isReached) {
        session.#notify();
        logReached(
          node,
          isReached,
          session.links.find((view) => view.node === node),
        );
      },
    };
    session.#links = await parts.openLinks(parts.row.mesh, handlers, nodeMessageKinds);
    // What it had applied before is applied at the first tick.
    session.#engine.feed({ kind: "tick" });
    session.#engine.hasten();
    return session;
  }

  get row(): MeshRow {
    return this.#row;
  }
  get state(): MeshState {
    return this.#engine.node.mesh;
  }
  get replica() {
    return this.#engine.node.replica;
  }
  get links(): readonly LinkView[] {
    return this.#links?.views() ?? [];
  }
  /** What the links are, for the door that hands connections in. */
  get openedLinks(): Links | null {
    return this.#links;
  }
  /** What members said that was not taken: no node says it that keeps to the protocol. */
  get unsoundCount(): number {
    return this.#unsound.count;
  }
  /** True once the state is as new as what was known before. */
  get isBelieved(): boolean {
    return this.#isBelieved;
  }
  /** Why the node cannot write; null while it can. */
  get failure(): unknown {
    return this.#failure;
  }
  get isLeader(): boolean {
    return this.replica.core.role === "leader";
  }
  /** True where others of the mesh are live. */
  get hasOthers(): boolean {
    return this.#liveOthers().length > 0;
  }

  /** Whether this node takes part, which costs nothing to ask. */
  get taking(): ClusterStanding["standing"] {
    return this.#standing();
  }

  standing(): ClusterStanding {
    const { core } = this.replica;
    const { voters, learners } = core.membership;
    return {
      ...{ mesh: this.#row.mesh, node: this.parts.node, epoch: this.parts.epoch },
      ...{ standing: this.#standing(), role: core.role, leader: core.leader || null },
      ...{ term: core.term, commitIndex: core.commitIndex },
      appliedIndex: this.replica.appliedIndex,
      snapshotIndex: core.history.snapshot.index,
      entryCount: core.lastIndex - core.history.snapshot.index,
      ...{ voters, learners, spareCount: sparesOf(voters.length) },
      digest: this.replica.digest(),
    };
  }

  tick(): void {
    this.#tickCount++;
    if (this.#row.standing === "out") return;
    if (this.#engine.hasFailed) {
      if (this.#tickCount % healTicks === 0) void this.heal();
      return;
    }
    this.#engine.feed({ kind: "tick" });
    if (this.#tickCount % wordTicks !== 0) return;
    this.#speak();
    this.#toldOut.look(this.links, this.parts.services.clock.monotonicMs());
  }

  async submit(scope: Scope, command: Command, signal?: AbortSignal): Promise<Submitted> {
    this.refuseOut();
    const request = { author: this.parts.node, scope, policy: null, command };
    const answer = await unlessAborted(this.#engine.ask(request, patienceTicks), signal);
    if (answer.kind === "done") return { index: answer.index, term: answer.term };
    throw refusalOf(answer, this.#failure);
  }

  async sync(signal: AbortSignal): Promise<number> {
    this.refuseOut();
    const answer: Answer = await unlessAborted(this.#engine.sync(patienceTicks), signal);
    if (answer.kind === "synced") return answer.index;
    throw refusalOf(answer, this.#failure);
  }

  /** Refused with `cluster_out` for who left its mesh or was evicted. */
  refuseOut(): void {
    if (this.#standing() !== "out") return;
    throw new Refusal(
      "cluster_out",
      `this node is no member of the mesh ${this.#row.mesh} any more`,
      "`psionic join HOST:PORT --token …` with a new token takes it in again",
      { mesh: this.#row.mesh },
    );
  }

  /** Waits until it holds, looking after every change; false where that takes too long. */
  async until(holds: () => boolean, withinMs: number, signal?: AbortSignal): Promise<boolean> {
    const over = new AbortController();
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const look = () => void (holds() && resolve(true));
    this.#watchers.add(look);
    look();
    const ended = signal === undefined ? over.signal : AbortSignal.any([signal, over.signal]);
    const late = this.parts.services.clock.sleep(withinMs, ended).then(
      () => resolve(false),
      () => resolve(false),
    );
    try {
      const isHeld = await promise;
      signal?.throwIfAborted();
      return isHeld;
    } finally {
      this.#watchers.delete(look);
      over.abort(new Error("nobody waits any more"));
      await late;
    }
  }

  /** Says that it goes, and lets another lead, so that nobody waits for its lease. Waits at most so long. */
  async farewell(withinMs: number): Promise<void> {
    const self = memberOf(this.state, this.parts.node);
    if (!this.hasOthers || self?.standing !== "ready" || this.#engine.hasFailed) return;
    const command = { kind: "node-draining" as const, node: this.parts.node };
    const over = AbortSignal.timeout(withinMs);
    try {
      await this.submit("self", command, over);
      await this.handOver(withinMs, over);
    } catch (error) {
      log.debug("nobody heard the farewell", { error });
    }
  }

  /** Has another member lead where this one does and another can; waits at most so long. */
  async handOver(withinMs: number, signal?: AbortSignal): Promise<void> {
    if (!this.isLeader || this.replica.core.membership.voters.length < 2) return;
    this.#engine.feed({ kind: "hand-over" });
    await this.until(() => !this.isLeader, withinMs, signal);
  }

  async stop(): Promise<void> {
    this.#engine.end();
    await this.#links?.stop();
    this.#links = null;
  }

  /** What this home itself has applied before. A newcomer's record begins where it has applied nothing yet. */
  #committedIndex(): number {
    const { recordedIndex, seenIndex } = this.#row;
    return recordedIndex >= seenIndex ? recordedIndex : 0;
  }

  #standing(): ClusterStanding["standing"] {
    const isToldOut = this.#toldOut.isOut(this.parts.services.clock.monotonicMs());
    if (this.#row.standing === "out" || isToldOut) return "out";
    const self = this.#isBelieved ? memberOf(this.state, this.parts.node) : undefined;
    return self === undefined || self.standing === "joining" ? "joining" : "member";
  }

  /** False where no way is open: then nobody has the message. */
  #send(to: string, message: NodeMessage): boolean {
    try {
      return this.#links?.send(to, message.kind, nodeMessageBody(message)) ?? false;
    } catch (error) {
      log.error("a message to {to} could not be sent", { to, error });
      return true;
    }
  }

  #record(applied: Parameters<ClusterRecords["record"]>[0]): void {
    const { recordedIndex, mesh } = this.#row;
    const { core } = this.replica;
    const recorded = this.parts.records.record(applied, recordedIndex, {
      ...{ mesh, isAlone: !this.hasOthers },
      leaderOf: (term) => (core.term === term ? core.leader : ""),
    });
    this.#row = { ...this.#row, recordedIndex: recorded };
  }

  #changed(): void {
    this.#believe();
    this.#notify();
  }

  #notify(): void {
    for (const look of [...this.#watchers]) look();
    this.parts.looked?.();
  }

  /** Takes over whom the state names, once it is no older than what was known. */
  #believe(): void {
    const { mesh, seenIndex, standing } = this.#row;
    if (this.#links === null || standing === "out") return;
    const { appliedIndex } = this.replica;
    const isCurrent = this.state.mesh === mesh && appliedIndex >= seenIndex;
    if (!isCurrent) {
      if (this.#members === null) this.#links.setMembers(this.parts.book.known());
      this.#members ??= [];
      return;
    }
    if (this.#isBelieved && this.#members === this.state.members) return;
    this.#isBelieved = true;
    this.#members = this.state.members;
    const self = memberOf(this.state, this.parts.node);
    // A lone founder's log is empty of members until it has founded.
    if (self === undefined || !isLive(self)) return this.#goOut();
    this.#know(appliedIndex);
  }

  #liveOthers(): readonly Member[] {
    const { members } = this.state;
    return members.filter((member) => isLive(member) && member.node !== this.parts.node);
  }

  /** Links follow the members, and so does what a home that starts again dials before it has read the log. */
  #know(appliedIndex: number): void {
    const others = this.#liveOthers().map(linkMember);
    // Members change with every renewal of a lease; where they are seldom does.
    const text = JSON.stringify(others);
    const isSame = text === this.#othersText;
    if (!isSame) this.#links?.setMembers(others);
    if (this.#engine.hasFailed) return;
    try {
      if (isSame) this.parts.book.recordTo(appliedIndex);
      else this.parts.book.know(others.map(withoutKey), appliedIndex);
      const seenIndex = isSame ? this.#row.seenIndex : appliedIndex;
      this.#othersText = text;
      this.#row = { ...this.#row, seenIndex, recordedIndex: appliedIndex };
    } catch (error) {
      log.warning("the mesh's members could not be written down", { error });
    }
  }

  #goOut(): void {
    this.#row = { ...this.#row, standing: "out" };
    log.warning("this node is no member of the mesh {mesh} any more", { mesh: this.#row.mesh });
    this.#links?.setMembers([]);
    try {
      this.parts.book.leave();
    } catch (error) {
      // The log says it again after a restart.
      log.warning("that could not be written down", { error });
    }
  }

  #speak(): void {
    if (!this.#isBelieved || this.#row.standing === "out") return;
    const { node, epoch, contact, services, measure } = this.parts;
    const key = services.receipts.opened().author.key.publicKey;
    const view = { node, epoch, contact, key, mesh: this.state, measure: measure() };
    const nowMs = services.clock.monotonicMs();
    for (const word of this.#words.due({ ...view, links: this.links, nowMs })) void this.#say(word);
  }

  async #say(word: Word): Promise<void> {
    const { clock } = this.parts.services;
    this.#words.begin(word);
    try {
      await this.submit(word.scope, word.command);
      this.#words.end(word, true, clock.monotonicMs());
    } catch (error) {
      this.#words.end(word, false, clock.monotonicMs());
      if (!(error instanceof Refusal)) throw error;
      log.debug("the mesh did not take {name}: {code}", { name: word.name, code: error.code });
    }
  }

  #failed(error: unknown): void {
    this.#failure = error;
    log.error("this node cannot write its log and takes no part in the mesh until it can", {
      error,
    });
  }

  /** Tries whether a disk that failed takes writes again; nothing where it did not fail. */
  async heal(): Promise<void> {
    if (this.#isHealing || !this.#engine.hasFailed || this.#links === null) return;
    this.#isHealing = true;
    const { disk, home, receipts } = this.parts.services;
    try {
      if ((await disk.freeBytes(home.root)) < roomMinimumBytes) return;
      // A key that was rotated meanwhile is read again.
      await receipts.open();
      this.#failure = null;
      this.#row = this.parts.book.row() ?? this.#row;
      this.#isBelieved = false;
      this.#engine.revive();
      if (!this.#engine.hasFailed) log.info("the log can be written again");
    } catch (error) {
      this.#failure = error;
    } finally {
      this.#isHealing = false;
    }
  }
}

/** Who founded a mesh and joins it again is not the one who decides there. */
function firstVoterOf({ founder, seenIndex }: MeshRow, node: string): string | null {
  return founder === node && seenIndex > 0 ? null : founder;
}
