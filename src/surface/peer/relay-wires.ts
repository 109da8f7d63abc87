import type { LinkMember } from "#src/peer/link.ts";
import { type Arrival, relayBody, type RelayBook, relayLimits } from "#src/peer/relay.ts";
import { type BoxKey, openBox, sealBox } from "#src/peer/sealed-box.ts";
import type { JsonObject } from "#src/peer/signed-document.ts";
import { RelayWire, type RelayCarrier, type RelayWay, WorkQueue } from "./relay-wire.ts";
import type { Wire, WireReceiver } from "./wire.ts";

/** Kinds of messages that concern ways through others; they are heard over direct ways alone. */
export const relayKinds: ReadonlySet<string> = new Set(["reaches", "relay", "relayed"]);

/** Documents larger than this are sent no faster than that: half of what a relay passes on. */
const pacedBytes = 16 * 1024;
const bytesPerMs = relayLimits.bytesPerSecond / 2 / 1000;
/** Wires through others that are open at the same time. */
const wireMaximum = 1_024;
/** Sessions that ended of late: what still comes of them is dropped without a word. */
const endedMaximum = 1_024;
/** The end with the greater id leaves it to the other to take a way, for so long after it lost the member. */
const graceMs = 2_500;
/** Pause before a member is tried again whose wire did not hold, doubled each time up to the longest. */
const firstPauseMs = 500;
const longestPauseMs = 30_000;
/** A member that no neighbour reaches is looked for so often. */
const searchMs = 250;
/** A wire that held for so long makes earlier failures forgotten. */
const steadyMs = 10_000;

export interface RelayWiresParts {
  readonly node: string;
  readonly mesh: string;
  readonly box: BoxKey;
  readonly book: RelayBook;
  nowMs(): number;
  sleep(delayMs: number): Promise<void>;
  member(node: string): LinkMember | null;
  /** True where some way to the member carries messages. */
  isReached(node: string): boolean;
  /** Sends a message over a direct way alone; false where none is open. */
  send(to: string, kind: string, body: JsonObject): boolean;
  /** Takes over a wire that this node or another opened. */
  attach(wire: Wire): WireReceiver;
  /** Counts what was refused or dropped, by its code. */
  count(code: string): void;
  onBug(error: unknown): void;
}

interface Retry {
  readonly failureCount: number;
  readonly notBeforeMs: number;
}

/**
 * Wires through other members: opened where a member is not reached directly, taken where another opened
 * one, and passed on for two who reach this node. What travels is sealed for its reader, so that who passes
 * it on can lose it and do nothing else with it.
 */
export class RelayWires implements RelayCarrier {
  /** By relay and far end, of which each pair has one. */
  readonly #wires = new Map<string, RelayWire>();
  readonly #ended = new Set<string>();
  /** What came and is not opened yet, by relay and sender. */
  readonly #openings = new Map<string, WorkQueue>();
  readonly #retries = new Map<string, Retry>();
  /** Since when a member is not reached in any way. */
  readonly #lostMs = new Map<string, number>();
  #isStopped = false;

  constructor(private readonly parts: RelayWiresParts) {}

  /** Tells neighbours whom this node reaches, and takes ways to members that it does not. */
  look(nodes: Iterable<string>): void {
    const { book, send, isReached, nowMs } = this.parts;
    const reaches = book.takeReaches(nowMs());
    for (const to of reaches?.to ?? []) send(to, "reaches", reaches!.body);
    for (const wire of this.#wires.values()) if (!book.isLinked(wire.relay)) wire.lose();
    for (const node of nodes) {
      if (isReached(node)) this.#lostMs.delete(node);
      else if (this.#isDue(node)) this.#open(node);
    }
  }

  /** Takes a message of one of `relayKinds` that came over a direct way. Refused with `envelope_malformed`. */
  take(from: string, kind: string, body: JsonObject): void {
    const { book, send, nowMs } = this.parts;
    if (kind === "reaches") return book.heardReaches(from, body);
    if (kind === "relayed") {
      const arrival = book.arrive(from, body, nowMs());
      return arrival === null ? this.count("relay_dropped") : this.#arrived(from, arrival);
    }
    const passed = book.pass(from, body, nowMs());
    if (passed === null || !send(passed.to, "relayed", passed.body)) this.count("relay_dropped");
  }

  /** Ends the wires to who is no member any more. */
  retain(nodes: ReadonlySet<string>): void {
    for (const wire of this.#wires.values()) if (!nodes.has(wire.node)) wire.lose();
    for (const known of [this.#retries, this.#lostMs])
      for (const node of known.keys()) if (!nodes.has(node)) known.delete(node);
  }

  /** Ends all wires; what they still had to say has been given to the relays or is lost. */
  stop(): void {
    this.#isStopped = true;
    for (const wire of this.#wires.values()) wire.lose();
  }

  async carry(way: RelayWay, document: Uint8Array): Promise<void> {
    const { mesh, node, member, send } = this.parts;
    const box = member(way.node)?.box;
    if (box === undefined) return;
    const { relay, session } = way;
    const sealed = await sealBox(
      box,
      { mesh, sender: node, recipient: way.node, relay, session },
      document,
    );
    if (!send(relay, "relay", relayBody(way.node, way, sealed))) this.count("relay_dropped");
    // A relay passes on so much and drops the rest: what is large waits here rather than being lost there.
    if (document.length > pacedBytes) await this.parts.sleep(document.length / bytesPerMs);
  }

  over(wire: RelayWire, isFailed: boolean): void {
    const { node, relay, session, isDialled, openedMs } = wire;
    const name = `${relay} ${node}`;
    if (this.#wires.get(name) === wire) this.#wires.delete(name);
    this.#ended.add(session);
    if (this.#ended.size > endedMaximum) this.#ended.delete(this.#ended.values().next().value!);
    const nowMs = this.parts.nowMs();
    if (isFailed) this.parts.book.avoid(node, relay, nowMs);
    if (!isDialled) return;
    this.parts.book.leave(node, session);
    const isSteady = nowMs - openedMs >= steadyMs;
    const failureCount = isSteady ? 0 : (this.#retries.get(node)?.failureCount ?? 0) + 1;
    const pauseMs = isSteady ? 0 : Math.min(longestPauseMs, firstPauseMs * 2 ** failureCount);
    this.#retries.set(node, { failureCount, notBeforeMs: nowMs + pauseMs });
  }

  count(code: string): void {
    this.parts.count(code);
  }

  onBug(error: unknown): void {
    this.parts.onBug(error);
  }

  #isDue(node: string): boolean {
    const nowMs = this.parts.nowMs();
    const lostMs = this.#lostMs.get(node) ?? nowMs;
    this.#lostMs.set(node, lostMs);
    const isEarly = nowMs - lostMs < (this.parts.node < node ? 0 : graceMs);
    if (isEarly || nowMs < (this.#retries.get(node)?.notBeforeMs ?? 0)) return false;
    return ![...this.#wires.values()].some((wire) => wire.node === node);
  }

  #open(node: string): void {
    const nowMs = this.parts.nowMs();
    const route = this.parts.book.routeTo(node, nowMs);
    if (route !== null) return void this.#attach({ node, ...route }, true);
    // In a large mesh that fell apart, many are looked for that nobody reaches.
    const failureCount = this.#retries.get(node)?.failureCount ?? 0;
    this.#retries.set(node, { failureCount, notBeforeMs: nowMs + searchMs });
  }

  /** Null where the mesh does not say by which key the member is known, or too many wires are open. */
  #attach(way: RelayWay, isDialled: boolean): RelayWire | null {
    const key = this.parts.member(way.node)?.key;
    if (key === undefined) return null;
    const name = `${way.relay} ${way.node}`;
    this.#wires.get(name)?.lose();
    if (this.#wires.size >= wireMaximum) {
      this.count("peer_busy");
      return null;
    }
    const wire = new RelayWire(way, key, isDialled, this.parts.nowMs(), this);
    this.#wires.set(name, wire);
    wire.receiver = this.parts.attach(wire);
    return wire;
  }

  #arrived(relay: string, { from, session, box }: Arrival): void {
    if (this.#ended.has(session) || this.#isStopped) return;
    const name = `${relay} ${from}`;
    const queue =
      this.#openings.get(name) ?? new WorkQueue(({ code }) => this.count(code), this.parts.onBug);
    this.#openings.set(name, queue);
    const isQueued = queue.push(async () => {
      try {
        await this.#opened({ relay, node: from, session }, box);
      } finally {
        if (queue.isLast) this.#openings.delete(name);
      }
    });
    if (!isQueued) this.count("peer_busy");
  }

  /** Opens a box and hands on what is in it; a first one of a session opens a wire. */
  async #opened(way: RelayWay, box: Uint8Array): Promise<void> {
    const { mesh, node: recipient } = this.parts;
    const { relay, session, node: sender } = way;
    const current = () => {
      const wire = this.#wires.get(`${relay} ${sender}`);
      return wire?.session === session ? wire : null;
    };
    try {
      const plain = await openBox(this.parts.box, { mesh, sender, recipient, relay, session }, box);
      if (this.#ended.has(session) || this.#isStopped) return;
      if (plain.length === 0) return current()?.lose();
      (current() ?? this.#attach(way, false))?.receiver?.take(plain);
    } catch (error) {
      // What was changed on the way ends the way: another relay is taken.
      current()?.lose(true);
      throw error;
    }
  }
}
