import type { Write } from "#src/log/durable.ts";
import { quorum, type Entry, type Membership } from "#src/log/entry.ts";
import type { Message } from "#src/log/message.ts";
import type { Replica } from "#src/log/replica.ts";
import type { Event } from "#src/cluster/event.ts";
import type { Payload } from "#src/log/fold.ts";
import type { Asks } from "./asks.ts";
import type { Count } from "./count.ts";
import type { SimulatedDisk } from "./disk.ts";
import { ensure } from "./failure.ts";
import type { ProbeName } from "./probes.ts";
import { Reference } from "./reference.ts";
import type { RunChecks } from "./run-checks.ts";

/** What a checker sees of a node. */
export interface Seen {
  readonly id: string;
  readonly disk: SimulatedDisk;
  readonly replica: Replica | null;
}

interface Written {
  readonly entry: Entry;
  readonly previousTerm: number | null;
}

/** The checkers. They see every node, every disk and every message, as no node can. */
export class Checks {
  readonly reference: Reference;
  /** Every committed entry; its place is its index less 1. */
  readonly committed: Entry[] = [];
  /** The highest index that any node knew to be committed. */
  commitIndex = 0;
  /** For each committed entry a term that was not over when it was committed. */
  readonly #committedIn: number[] = [];
  #latestTerm = 0;
  readonly #leaders = new Map<number, string>();
  readonly #votes = new Map<string, string>();
  /** Every entry that was ever written, by index and term. */
  readonly #written = new Map<string, Written>();
  readonly #digests = new Map<number, string>();

  constructor(
    readonly sites: readonly Seen[],
    readonly probes: Count<ProbeName>,
    asks: Asks,
    { sessionMaximum, meshText }: { readonly sessionMaximum: number; readonly meshText: string },
    readonly runs: RunChecks | null,
  ) {
    this.reference = new Reference(sessionMaximum, probes, asks, meshText);
  }

  /** After a node took a step; `applied` where its state changed. */
  stepped(id: string, replica: Replica, disk: SimulatedDisk, applied: boolean): void {
    const { core } = replica;
    this.commitIndex = Math.max(this.commitIndex, core.commitIndex);
    this.#latestTerm = Math.max(this.#latestTerm, core.term);
    if (core.role === "leader") {
      const known = this.#leaders.get(core.term) ?? id;
      ensure(known === id, "one-leader", () => `${known} and ${id} led term ${core.term}`);
      if (!this.#leaders.has(core.term)) this.#isComplete(id, replica);
      this.#leaders.set(core.term, id);
    }
    if (replica.writeCount === 0) holdsBelief(id, replica, disk);
    if (applied && replica.appliedIndex % 3 === 0) this.compareDigest(id, replica);
  }

  #isComplete(id: string, { core }: Replica): void {
    const count = this.#committedIn.findLastIndex((term) => term < core.term) + 1;
    if (count <= core.history.snapshot.index) return;
    const isHeld = core.history.termAt(count) === this.committed[count - 1]!.term;
    ensure(isHeld, "leader-complete", () => `${id} leads term ${core.term} without ${count}`);
  }

  /** Two nodes that stand at one index have one state. */
  compareDigest(id: string, replica: Replica): void {
    const digest = replica.digest();
    const { appliedIndex } = replica;
    const known = this.#digests.get(appliedIndex) ?? digest;
    ensure(known === digest, "equal-digests", () => `${id} differs at index ${appliedIndex}`);
    this.#digests.set(appliedIndex, digest);
  }

  /** Before a write goes to the disk. */
  writing(id: string, replica: Replica, { entries }: Write): void {
    const { history } = replica.core;
    for (const entry of entries) {
      const previousTerm = history.termAt(entry.index - 1);
      this.#matches(id, entry, previousTerm);
      if (replica.core.role === "leader") isFencedNow(id, entry, replica.core.commitIndex);
      if (entry.kind !== "membership" || previousTerm === null) continue;
      const before = history.membershipAt(entry.index - 1);
      const isOne = changeCount(before, entry.membership) === 1;
      ensure(isOne, "one-member-change", () => `entry ${entry.index} of ${id} changes several`);
      const open = history
        .from(history.snapshot.index + 1, history.lastIndex)
        .filter(({ kind, index }) => kind === "membership" && index > this.commitIndex);
      const isAlone = open.length <= 1;
      ensure(isAlone, "one-member-change", () => `${id} has ${open.length} under way`);
    }
  }

  #matches(id: string, entry: Entry, previousTerm: number | null): void {
    const key = `${entry.index}:${entry.term}`;
    const known = this.#written.get(key);
    if (known === undefined) return void this.#written.set(key, { entry, previousTerm });
    ensure(isSame(known.entry, entry), "log-matching", () => `${id} has another entry ${key}`);
    const fits =
      known.previousTerm === null || previousTerm === null || known.previousTerm === previousTerm;
    ensure(fits, "log-matching", () => `${id} has another entry before ${key}`);
  }

  /** Before a message leaves. */
  sending(disk: SimulatedDisk, message: Message): void {
    const { from, term, kind } = message;
    if (kind === "pre-vote" || kind === "pre-vote-reply") return;
    const said = () => `${from} sends ${kind} in term ${term}`;
    ensure(disk.ballot.term >= term, "durable-first", said);
    const isPresent = disk.ballot.term === term;
    const vote =
      kind === "vote" ? from : kind === "vote-reply" && message.granted ? message.to : null;
    if (vote !== null) {
      ensure(!isPresent || disk.ballot.vote === vote, "durable-first", said);
      const key = `${from}:${term}`;
      const known = this.#votes.get(key) ?? vote;
      ensure(known === vote, "one-vote", () => `${from}: ${known} and ${vote} in term ${term}`);
      this.#votes.set(key, vote);
    }
    if (!isPresent) return;
    if (kind === "append-reply" && message.accepted)
      ensure(disk.lastIndex >= message.index, "durable-first", said);
    const last = kind === "append" ? message.entries.at(-1) : undefined;
    if (last !== undefined) ensure(disk.holds(last.index, last.term), "durable-first", said);
  }

  /** A node made an entry part of its state, in a term of its own. */
  applied(id: string, entry: Entry, term: number): void {
    this.#latestTerm = Math.max(this.#latestTerm, term);
    const known = this.committed[entry.index - 1];
    if (known !== undefined) {
      const isKept = isSame(known, entry);
      return ensure(isKept, "committed-stays", () => `${id} applies another ${entry.index}`);
    }
    const isNext = entry.index === this.committed.length + 1;
    ensure(isNext, "committed-stays", () => `${id} leaps to entry ${entry.index}`);
    this.#isSafe(entry);
    this.committed.push(entry);
    this.#committedIn.push(this.#latestTerm);
    if (this.reference.commit(entry)) this.probes.add("command-repeated");
    if (entry.kind === "membership") this.probes.add("member-changed");
  }

  /** Whoever lacks a committed entry must find no quorum, were all nodes to start anew this moment. */
  #isSafe(entry: Entry): void {
    for (const { id, disk } of this.sites) {
      if (disk.holds(entry.index, entry.term)) continue;
      const { voters } = disk.membership;
      if (!voters.includes(id)) continue;
      const friends = this.sites.filter(
        (site) => voters.includes(site.id) && !isBetter(site.disk, disk),
      );
      const isHarmless = friends.length < quorum(voters.length);
      ensure(isHarmless, "committed-is-safe", () => `${id} could win without ${entry.index}`);
    }
  }
}

/** Whether a log refuses its vote to another. */
function isBetter(log: SimulatedDisk, other: SimulatedDisk): boolean {
  if (log.lastTerm !== other.lastTerm) return log.lastTerm > other.lastTerm;
  return log.lastIndex > other.lastIndex;
}

function holdsBelief(id: string, { core }: Replica, disk: SimulatedDisk): void {
  const { history } = core;
  const holds =
    disk.ballot.term === core.term &&
    disk.ballot.vote === core.vote &&
    disk.snapshot.index === history.snapshot.index &&
    disk.lastIndex === history.lastIndex &&
    disk.lastTerm === history.lastTerm;
  ensure(holds, "disk-is-belief", () => `${id} believes other than it would remember`);
}

/** Of what a leader writes down: a duty, known by having no policy, was ordered in this very term. */
function isFencedNow(id: string, { kind, term, ...entry }: Entry, commitIndex: number): void {
  if (kind !== "event" || !("payload" in entry) || !entry.payload.includes("fence")) return;
  const payload = JSON.parse(entry.payload) as Payload;
  if (payload.kind !== "command") return;
  const { policy, author, command } = JSON.parse(payload.body) as Event;
  if (policy !== null || !("fence" in command)) return;
  const { fence } = command;
  const isFresh = author === id && fence.term === term && fence.index <= commitIndex;
  ensure(
    isFresh,
    "fence-fresh",
    () => `${id} orders in term ${term} with ${JSON.stringify(fence)}`,
  );
}

function isSame(a: Entry, b: Entry): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}

/** How many nodes have another place in one membership than in the other. */
function changeCount(a: Membership, b: Membership): number {
  const placeIn = ({ voters, learners }: Membership, id: string) =>
    voters.includes(id) ? "voter" : learners.includes(id) ? "learner" : "out";
  const ids = new Set([...a.voters, ...a.learners, ...b.voters, ...b.learners]);
  return [...ids].filter((id) => placeIn(a, id) !== placeIn(b, id)).length;
}
