import { LogCore } from "./core.ts";
import { founding, isEmptyWrite, type Write } from "./durable.ts";
import type { Ballot, Entry, Membership, Place, Snapshot } from "./entry.ts";
import type { Message } from "./message.ts";
import type { Effects } from "./state.ts";

/** Messages one command may deliver: more is two nodes that never finish talking. */
const deliveryMaximum = 400;
const tuning = { heartbeatTicks: 2, electionTicks: 10, entriesPerMessage: 64 };

interface Player {
  readonly id: string;
  durable: { ballot: Ballot; snapshot: Snapshot; entries: Entry[] };
  core: LogCore | null;
  /** Ticks of silence after which it asks for votes: 10 to 19. */
  timeoutTicks: number;
  /** What waits for a disk that was told to hold, in order. */
  held: { readonly write: Write; readonly durableIndex: number; readonly messages: Message[] }[];
  isHolding: boolean;
  shown: string;
}

/**
 * Plays scripts of the log: a few nodes, their disks and the messages between them, each step by command
 * and with its outcome below. Nothing moves but by a command.
 */
export class Stage {
  readonly #players = new Map<string, Player>();
  #queue: Message[] = [];
  #isolated = new Set<string>();
  readonly #kept = new Map<string, readonly Message[]>();
  #lines: string[] = [];

  /** Carries out a command and gives what came of it. */
  play(command: string): readonly string[] {
    this.#lines = [];
    const [verb = "", ...words] = command.split(/ +/);
    const work = this.#verbs[verb];
    if (work === undefined) throw new Error(`no such command: ${command}`);
    work(words);
    return this.#lines;
  }

  readonly #verbs: Record<string, (words: readonly string[]) => void> = {
    nodes: (words) => this.#found(words),
    timeout: ([id, ticks]) => void (this.#player(id).timeoutTicks = Number(ticks)),
    log: ([id, ...terms]) => this.#giveLog(this.#player(id), terms.map(Number)),
    ballot: ([id, term, vote = ""]) =>
      void (this.#player(id).durable.ballot = { term: Number(term), vote }),
    start: (ids) => (ids.length > 0 ? ids : this.#ids()).forEach((id) => this.#start(id)),
    restart: (ids) => ids.forEach((id) => this.#start(id)),
    crash: (ids) => ids.forEach((id) => this.#crash(this.#player(id))),
    tick: ([id, count = "1"]) => {
      const ids = id === "all" ? this.#ids() : [id!];
      for (let tick = 0; tick < Number(count); tick++)
        for (const each of ids) this.#step(each, (core) => core.tick());
    },
    elect: ([id]) => this.#elect(id!),
    propose: ([id, ...payload]) =>
      this.#step(id!, (core) => this.#say(core.propose(payload.join(" ")))),
    member: ([id, member, place]) =>
      this.#step(id!, (core) => this.#say(core.proposeMember(member!, place as Place))),
    transfer: ([id, to]) => this.#step(id!, (core) => this.#say(core.transfer(to!))),
    read: ([id, number]) => this.#step(id!, (core) => this.#say(core.read(Number(number)))),
    compact: ([id, index]) =>
      this.#step(id!, (core) => core.compact(Number(index), `state ${index}`)),
    disk: ([id, order]) => this.#disk(this.#player(id), order!),
    isolate: (ids) => ids.forEach((id) => this.#isolated.add(id)),
    heal: () => this.#isolated.clear(),
    deliver: (pattern) => this.#deliver(pattern, true),
    settle: (pattern) => this.#deliver(pattern, false),
    drop: (pattern) => {
      const dropped = this.#queue.filter((message) => matches(message, pattern));
      this.#queue = this.#queue.filter((message) => !dropped.includes(message));
      this.#lines.push(...dropped.map((message) => `lost ${messageText(message)}`));
    },
    keep: ([name, ...pattern]) => {
      const kept = this.#queue.filter((message) => matches(message, pattern));
      this.#kept.set(name!, kept);
      this.#lines.push(...kept.map(messageText));
    },
    late: ([name]) => void this.#queue.push(...this.#kept.get(name!)!),
    queue: () => void this.#lines.push(...this.#queue.map(messageText)),
    lease: (ids) => {
      for (const id of ids)
        this.#lines.push(`${id} ${this.#core(id)!.hasLease ? "has" : "has no"} lease`);
    },
    show: (ids) => {
      for (const id of ids.length > 0 ? ids : this.#ids()) this.#lines.push(this.#shown(id));
    },
  };

  #ids(): readonly string[] {
    return [...this.#players.keys()];
  }

  #player(id: string | undefined): Player {
    const player = this.#players.get(id ?? "");
    if (player === undefined) throw new Error(`no node is called ${id}`);
    return player;
  }

  #core(id: string): LogCore | null {
    return this.#player(id).core;
  }

  /** "nodes n1 n2 n3 | n4 | n5": voters, learners, and nodes that are not members yet. */
  #found(words: readonly string[]): void {
    const groups = words.join(" ").split("|");
    const [voters = [], learners = [], others = []] = groups.map((group) =>
      group.trim().split(" "),
    );
    const membership: Membership = { voters, learners: learners.filter((id) => id !== "") };
    for (const id of [...voters, ...learners, ...others].filter((id) => id !== "")) {
      const { ballot, snapshot } = founding(membership, "start");
      const durable = { ballot, snapshot, entries: [] };
      this.#players.set(id, {
        ...{ id, durable, core: null, timeoutTicks: 10 },
        ...{ held: [], isHolding: false, shown: "" },
      });
    }
  }

  /** A log by the terms of its entries, as a disk may hold it; the ballot is of the last term. */
  #giveLog({ durable }: Player, terms: readonly number[]): void {
    durable.entries = terms.map((term, place) => ({
      ...{ index: place + 1, term, kind: "event" },
      payload: `${place + 1}:${term}`,
    }));
    durable.ballot = { term: terms.at(-1) ?? 0, vote: "" };
  }

  #start(id: string): void {
    const player = this.#player(id);
    const { ballot, snapshot, entries } = player.durable;
    const appliedIndex = snapshot.index;
    const draw = () => (player.timeoutTicks - 10 + 0.5) / 10;
    player.core = new LogCore(id, tuning, { ballot, snapshot, entries, appliedIndex }, draw);
    player.shown = roleText(player.core);
  }

  #crash(player: Player): void {
    player.core = null;
    player.held = [];
    player.isHolding = false;
  }

  #elect(id: string): void {
    for (let tick = 0; tick < 20 && this.#core(id)?.role === "follower"; tick++)
      this.#step(id, (core) => core.tick());
  }

  #step(id: string, work: (core: LogCore) => void): void {
    const player = this.#player(id);
    if (player.core === null) return void this.#lines.push(`${id} is down`);
    const { commitIndex } = player.core;
    work(player.core);
    this.#carryOut(player, player.core, commitIndex);
  }

  #carryOut(player: Player, core: LogCore, commitIndex: number): void {
    const effects = core.takeEffects();
    const { ballot, truncateFrom, snapshot, entries } = effects;
    const write = { ballot, truncateFrom, snapshot, entries };
    const messages = [...effects.messages];
    this.#tell(player, core, effects, commitIndex);
    if (player.isHolding) {
      if (truncateFrom > 0) throw new Error("a held disk does not know truncation");
      player.held.push({ write, durableIndex: core.lastIndex, messages });
      return;
    }
    this.#keep(player, core, write, core.lastIndex, messages);
  }

  #keep(
    player: Player,
    core: LogCore,
    write: Write,
    durableIndex: number,
    messages: readonly Message[],
  ): void {
    carryOut(player.durable, write);
    const { commitIndex } = core;
    if (!isEmptyWrite(write)) core.persisted(durableIndex, core.term);
    const reachable = (message: Message) =>
      !this.#isolated.has(message.from) && !this.#isolated.has(message.to);
    this.#queue.push(...messages.filter(reachable));
    if (!isEmptyWrite(write)) this.#carryOut(player, core, commitIndex);
  }

  #disk(player: Player, order: string): void {
    player.isHolding = order === "hold";
    const held = player.held;
    player.held = [];
    for (const { write, durableIndex, messages } of held)
      if (player.core !== null) this.#keep(player, player.core, write, durableIndex, messages);
  }

  #tell({ id, shown }: Player, core: LogCore, effects: Effects, commitIndex: number): void {
    const now = roleText(core);
    if (now !== shown) this.#lines.push(`  ${id} ${now}`);
    this.#player(id).shown = now;
    const { truncateFrom, entries, snapshot, restored, committed, reads } = effects;
    if (truncateFrom > 0) this.#lines.push(`  ${id} drops ${truncateFrom} and after`);
    if (restored !== null) this.#lines.push(`  ${id} takes snapshot ${restored.index}`);
    else if (snapshot !== null) this.#lines.push(`  ${id} makes snapshot ${snapshot.index}`);
    if (entries.length > 0) this.#lines.push(`  ${id} writes ${entries.map(entryText).join(" ")}`);
    if (core.commitIndex > commitIndex) this.#lines.push(`  ${id} commits ${core.commitIndex}`);
    if (committed.length > 0) {
      const [first, last] = [committed[0]!.index, committed.at(-1)!.index];
      this.#lines.push(`  ${id} applies ${first === last ? first : `${first}-${last}`}`);
    }
    for (const read of reads)
      this.#lines.push(`  ${id} may serve read ${read.id} at ${read.index}`);
  }

  #say(answer: unknown): void {
    if (typeof answer === "string") this.#lines.push(`refused: ${answer}`);
  }

  #deliver(pattern: readonly string[], isTold: boolean): void {
    const isOnce = pattern[0] === "once";
    const words = isOnce ? pattern.slice(1) : pattern;
    let left = isOnce
      ? this.#queue.filter((message) => matches(message, words)).length
      : deliveryMaximum;
    while (left-- > 0) {
      const place = this.#queue.findIndex((message) => matches(message, words));
      if (place < 0) return;
      const [message] = this.#queue.splice(place, 1);
      this.#hand(message!, isTold);
    }
    if (!isOnce) throw new Error("the messages do not end");
  }

  #hand(message: Message, isTold: boolean): void {
    const { core } = this.#player(message.to);
    if (core === null) return;
    if (isTold) this.#lines.push(messageText(message));
    this.#step(message.to, () => core.receive(message));
  }

  #shown(id: string): string {
    const { core, durable } = this.#player(id);
    if (core === null)
      return `${id} down, on disk ${durable.entries.map(entryText).join(" ") || "nothing"}`;
    const { history, membership } = core;
    const entries = history.from(history.snapshot.index + 1, history.lastIndex);
    const snapshot = history.snapshot.index > 0 ? [`[${history.snapshot.index}]`] : [];
    const log = [...snapshot, ...entries.map(entryText)].join(" ");
    const members = [membership.voters.join(" "), membership.learners.join(" ")];
    const facts = [roleText(core), `log ${log || "empty"}`, `commit ${core.commitIndex}`];
    return `${id} ${facts.join(", ")}, members ${members.filter((each) => each !== "").join(" | ")}`;
  }
}

function carryOut(durable: Player["durable"], write: Write): void {
  if (write.ballot !== null) durable.ballot = write.ballot;
  if (write.truncateFrom > 0)
    durable.entries = durable.entries.filter(({ index }) => index < write.truncateFrom);
  const { snapshot } = write;
  if (snapshot !== null) {
    durable.snapshot = snapshot;
    durable.entries = durable.entries.filter(({ index }) => index > snapshot.index);
  }
  durable.entries.push(...write.entries);
}

function roleText(core: LogCore): string {
  const leader = core.leader !== "" && core.leader !== core.id ? ` of ${core.leader}` : "";
  const vote = core.vote === "" ? "" : `, vote ${core.vote}`;
  return `${core.role}${leader} t${core.term}${vote}`;
}

function entryText(entry: Entry): string {
  const mark = entry.kind === "membership" ? "m" : "";
  return `${entry.index}:${entry.term}${mark}`;
}

/** "n1>n2", "n1", "append", "to n2": every word must fit. */
function matches(message: Message, words: readonly string[]): boolean {
  return words.every((word) => {
    if (word.includes(">")) return word === `${message.from}>${message.to}`;
    if (word.startsWith("to:")) return word.slice(3) === message.to;
    return word === message.kind || word === message.from || word === message.to;
  });
}

function messageText(message: Message): string {
  const { from, to, term, kind } = message;
  return `${from}>${to} ${kind} t${term}${bodyText(message)}`;
}

function bodyText(message: Message): string {
  switch (message.kind) {
    case "pre-vote":
    case "vote":
      return ` last ${message.lastIndex}:${message.lastTerm}`;
    case "pre-vote-reply":
    case "vote-reply":
      return message.granted ? " yes" : " no";
    case "append": {
      const entries = message.entries.map(entryText).join(" ");
      const after = ` after ${message.previousIndex}:${message.previousTerm}`;
      return `${after}${entries === "" ? "" : ` ${entries}`} commit ${message.commitIndex}`;
    }
    case "append-reply":
      return message.accepted
        ? ` has ${message.index}`
        : ` lacks it, try ${message.index}:${message.indexTerm}`;
    case "snapshot":
      return ` ${message.snapshot.index}:${message.snapshot.term}`;
    case "elect-now":
      return "";
  }
}

/** Plays a script and gives it back with what came of each command below it. */
export function playScript(text: string): string {
  const stage = new Stage();
  const lines: string[] = [];
  for (const line of text.trimEnd().split("\n")) {
    const isKept = line === "" || line.startsWith("#") || line.startsWith("> ");
    if (!isKept) continue;
    lines.push(line);
    if (line.startsWith("> ")) lines.push(...stage.play(line.slice(2)).map((each) => `  ${each}`));
  }
  return `${lines.join("\n")}\n`;
}
