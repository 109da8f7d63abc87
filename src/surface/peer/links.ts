import type { Services } from "#src/command/define.ts";
import { parseAddress } from "#src/peer/address.ts";
import { makeClaims } from "#src/peer/claims.ts";
import { ReceiveWindows, SendCounters } from "#src/peer/counters.ts";
import type { LinkReason } from "#src/peer/health.ts";
import type { ClaimsPolicy, LinkHandlers, LinkMember, Links, LinkView } from "#src/peer/link.ts";
import { keysBefore } from "#src/peer/key-in-use.ts";
import { RelayBook, relayLimits, type RelayLimits } from "#src/peer/relay.ts";
import type { BoxKey } from "#src/peer/sealed-box.ts";
import type { JsonObject } from "#src/peer/signed-document.ts";
import type { RuntimeManifest } from "#src/receipt/runtime-manifest.ts";
import { PartBox } from "#src/peer/parts.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { wireOfConnection } from "./connection.ts";
import { dialUntil } from "./dial.ts";
import { closeCodes } from "./limits.ts";
import { Tally, type LinkPost } from "./link-post.ts";
import { cutOff, ownCopy, unknownMember, dialReason } from "./link-reasons.ts";
import { linkTuning, type LinkTuning } from "./link-tuning.ts";
import { MemberLink, type MemberLinkParts } from "./member-link.ts";
import { RelayWires } from "./relay-wires.ts";
import { Strand } from "./strand.ts";
import { claimsPath, type Wire, type WireDoor, type WireReceiver } from "./wire.ts";

/** What links are made of. */
export interface LinksParts {
  readonly services: Services;
  readonly mesh: string;
  /** Which start of this node this is. */
  readonly epoch: number;
  /** Drawn by this process when it started, 32 hexadecimal digits: the same for all links it opens. */
  readonly instance: string;
  readonly handlers: LinkHandlers;
  /** Kinds of messages that the handlers read; others are counted and answered by nothing. */
  readonly kinds: readonly string[];
  /** What this process is; without it, no claims are attached. */
  readonly manifest?: RuntimeManifest;
  /** What is asked of the claims of others: `best_effort` where nothing is said. */
  readonly policy?: ClaimsPolicy;
  /** Opens what comes through others; without it, no member is reached through another. */
  readonly box?: BoxKey;
  onBug(error: unknown): void;
  readonly tuning?: Partial<LinkTuning>;
  readonly relaying?: Partial<RelayLimits>;
}

/** Links, and the door for connections that others dialled. */
export interface OpenLinks extends Links, WireDoor {}

/** How long stopping links wait for their farewells to leave. */
const stopMs = 500;

/** Refusals that say that nobody was reached; with any other one, somebody answered. */
const unreachedCodes: ReadonlySet<string> = new Set([
  ...["peer_name_unknown", "peer_port_closed", "peer_silent", "peer_not_tls", "peer_not_psionic"],
  ...["peer_unreachable", "peer_busy", "interrupted"],
]);

/**
 * Opens this node's links: from now on it dials the members it is told of and takes the connections that
 * the door hands in. Each connection is TLS pinned to the certificate that the mesh names; both ends have
 * proved their keys before the first message. The receipts of the node must be open.
 */
export async function openLinks(parts: LinksParts): Promise<OpenLinks> {
  await parts.services.receipts.open();
  return new LinkSet(parts);
}

class LinkSet implements OpenLinks {
  readonly #links = new Map<string, MemberLink>();
  /** Wires of who is no member: each is told so, and ends. */
  readonly #strangers = new Set<Strand>();
  /** Who reaches whom; the wires that go through others, where there are any. */
  readonly #ways: RelayBook;
  readonly #relays: RelayWires | null;
  readonly #post: LinkPost;
  readonly #linkParts: MemberLinkParts;
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #stopped = new AbortController();
  #lookedMs: number;
  #dialCount = 0;
  #streamCount = 0;
  #isStopped = false;
  /** The key this node signed with when it looked last. */
  #key: string;

  constructor(private readonly parts: LinksParts) {
    const { services, mesh, epoch, instance } = parts;
    const tuning = { ...linkTuning, ...parts.tuning };
    const log = services.receipts.opened();
    this.#post = {
      ...{ mesh, epoch, instance, tuning, node: log.author.nodeId, clock: services.clock },
      home: services.home.root,
      signer: () => log.author,
      counters: new SendCounters(),
      windows: new ReceiveWindows(services.store),
      tally: new Tally(),
      parts: new PartBox(),
      nextStream: () => ++this.#streamCount,
      onBug: (error) => parts.onBug(error),
    };
    this.#linkParts = {
      post: this.#post,
      handlers: guarded(parts.handlers, parts.onBug),
      kinds: new Set(parts.kinds),
      policy: parts.policy ?? "best_effort",
      claims: (wire) =>
        parts.manifest === undefined
          ? null
          : makeClaims(log.author, parts.manifest, claimsPath(wire)),
      draw: () => Buffer.from(services.random.bytes(4)).readUInt32LE() / 2 ** 32,
      dial: (link) => this.#dial(link),
      relay: (from, kind, body) => this.#relays?.take(from, kind, body),
      direct: (node, isUp) => this.#ways.setLinked(node, isUp, services.clock.monotonicMs()),
    };
    this.#ways = new RelayBook(log.author.nodeId, services.random, {
      ...relayLimits,
      ...parts.relaying,
    });
    this.#relays = parts.box === undefined ? null : this.#openRelays(parts.box);
    this.#key = log.author.key.publicKey;
    this.#lookedMs = services.clock.monotonicMs();
    this.#timer = setInterval(() => this.#look(), tuning.lookMs);
  }

  setMembers(members: readonly LinkMember[]): void {
    if (this.#isStopped) return;
    const { node, windows } = this.#post;
    const others = members.filter((member) => member.node !== node);
    windows.retain(others.map((member) => member.node));
    const ids = new Set(others.map((member) => member.node));
    for (const link of [...this.#links.values()])
      if (!ids.has(link.node)) {
        this.#links.delete(link.node);
        // A node that is out of its mesh itself does not tell the others that they are.
        void link.end(others.length === 0 ? "stopping" : "removed");
      }
    for (const member of others) {
      const link = this.#links.get(member.node);
      if (link === undefined) this.#links.set(member.node, new MemberLink(member, this.#linkParts));
      else link.update(member);
    }
    this.#ways.setMembers([...ids], this.#post.clock.monotonicMs());
    this.#relays?.retain(ids);
    this.#look();
  }

  send(to: string, kind: string, body: JsonObject): boolean {
    return this.#links.get(to)?.send(kind, body) ?? false;
  }

  views(): readonly LinkView[] {
    const views = [...this.#links.values()].map((link) => link.view());
    return views.toSorted((a, b) => (a.node < b.node ? -1 : 1));
  }

  refusals(): Readonly<Record<string, number>> {
    return this.#post.tally.counts;
  }

  isMember(node: string, keys: readonly string[]): boolean {
    const key = this.#links.get(node)?.member.key;
    return this.#links.has(node) && (key === undefined || keys.includes(key));
  }

  accept(wire: Wire): WireReceiver {
    if (this.#isStopped) {
      wire.close(closeCodes.stopping, "the node is stopping");
      return { take() {}, ended() {} };
    }
    const link = this.#links.get(wire.node);
    if (link !== undefined) return link.attach(wire);
    const isSelf = wire.node === this.#post.node;
    const strand = new Strand(wire, this.#post, {
      judge() {
        throw isSelf ? ownCopy(wire.node) : unknownMember(wire.node);
      },
      claims: () => null,
      judgeClaims() {},
      up() {},
      message() {},
      over: (each) => void this.#strangers.delete(each),
    });
    this.#strangers.add(strand);
    return strand;
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#isStopped = true;
    this.#stopped.abort(new Refusal("interrupted", "the links end", "call again"));
    const links = [...this.#links.values()];
    const relayed = links.filter((link) => link.view().path === "relayed");
    // What goes through others leaves while the links to them stand.
    if (relayed.length > 0) await this.#end(relayed);
    this.#relays?.stop();
    this.#links.clear();
    for (const strand of this.#strangers) strand.refuse(unknownMember(strand.wire.node));
    await this.#end(links.filter((link) => !relayed.includes(link)));
  }

  async #end(links: readonly MemberLink[]): Promise<void> {
    const ends = links.map((link) => link.end("stopping"));
    const late = new AbortController();
    const patience = this.parts.services.clock.sleep(stopMs, late.signal).catch(() => {});
    await Promise.race([Promise.all(ends), patience]);
    late.abort(new Error("the links have ended"));
  }

  #look(): void {
    const nowMs = this.#post.clock.monotonicMs();
    const { lookMs, silentMs } = this.#post.tuning;
    // This process slept or was kept busy: what came meanwhile has not been read yet.
    const wasStalled = nowMs - this.#lookedMs > lookMs + silentMs / 3;
    this.#lookedMs = nowMs;
    const key = this.#post.signer().key.publicKey;
    const isRotated = key !== this.#key;
    this.#key = key;
    for (const link of this.#links.values()) {
      if (isRotated) link.renew();
      link.look(nowMs, wasStalled);
    }
    for (const strand of this.#strangers) strand.look(nowMs, wasStalled);
    this.#relays?.look(this.#links.keys());
  }

  #openRelays(box: BoxKey): RelayWires {
    const { node, mesh, clock, tally, onBug } = this.#post;
    return new RelayWires({
      ...{ node, mesh, box, onBug, book: this.#ways },
      nowMs: () => clock.monotonicMs(),
      sleep: (delayMs) => this.parts.services.clock.sleep(delayMs),
      member: (id) => this.#links.get(id)?.member ?? null,
      isReached: (id) => this.#links.get(id)?.isReached ?? false,
      send: (to, kind, body) => this.#links.get(to)?.sendDirectly(kind, body) ?? false,
      attach: (wire) => this.accept(wire),
      count: (code) => tally.add(code),
    });
  }

  /** Dials a member in the background, where fewer are dialled than may be at once. */
  #dial(link: MemberLink): void {
    if (this.#dialCount >= this.#post.tuning.dialMaximum) return;
    this.#dialCount++;
    link.isDialling = true;
    void this.#dialPlaces(link)
      .catch((error: unknown) => this.parts.onBug(error))
      .finally(() => {
        this.#dialCount--;
        link.isDialling = false;
      });
  }

  /** Tries the addresses in order, from the one that led to the member last. */
  async #dialPlaces(link: MemberLink): Promise<void> {
    const { places } = link.member;
    const from = Math.max(places.indexOf(link.place ?? ""), 0);
    let worst: { readonly reason: LinkReason; readonly isRefused: boolean } | null = null;
    for (const place of [...places.slice(from), ...places.slice(0, from)]) {
      try {
        return await this.#dialPlace(link, place);
      } catch (error) {
        if (link.isEnded || this.#stopped.signal.aborted) return;
        const reason = reasonOf(error, place, this.parts.onBug);
        const isRefused = !unreachedCodes.has(reason.code);
        // That somebody answered tells more than that nobody did.
        if (worst === null || isRefused || !worst.isRefused) worst = { reason, isRefused };
        link.place = place;
      }
    }
    if (worst !== null) link.dialFailed(worst.reason, worst.isRefused);
  }

  async #dialPlace(link: MemberLink, place: string): Promise<void> {
    const { node, certificate } = link.member;
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(tooSlow(place)), this.#post.tuning.dialMs);
    try {
      const request = { place: parseAddress(place), certificate, to: node, again: null };
      const signal = AbortSignal.any([late.signal, this.#stopped.signal]);
      const { connection, peer } = await dialUntil(signal, this.parts.services, request);
      if (link.isEnded) return connection.close();
      const wire = wireOfConnection(
        connection,
        { node, key: peer.key, earlierKeys: keysBefore(peer) },
        place,
      );
      connection.handOver(link.attach(wire));
    } finally {
      clearTimeout(timer);
    }
  }
}

/** Handlers whose bugs end nothing here. */
function guarded(handlers: LinkHandlers, onBug: (error: unknown) => void): LinkHandlers {
  const guard = (work: () => void) => {
    try {
      work();
    } catch (error) {
      onBug(error);
    }
  };
  return {
    message: (...words) => guard(() => handlers.message(...words)),
    reached: (...words) => guard(() => handlers.reached(...words)),
  };
}

function reasonOf(error: unknown, place: string, onBug: (error: unknown) => void): LinkReason {
  if (error instanceof Refusal) return dialReason(parseAddress(place), error);
  onBug(error);
  return cutOff;
}

const tooSlow = (place: string) =>
  new Refusal(
    "peer_silent",
    `${place} did not come to the point in time`,
    "look whether that machine is overloaded, or what stands in between",
    { place },
  );
