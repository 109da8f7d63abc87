import { LinkHealth, type LinkReason } from "#src/peer/health.ts";
import { judgeClaims, refusedClaims } from "#src/peer/claims.ts";
import type {
  ClaimsPolicy,
  ClaimsStanding,
  LinkHandlers,
  LinkMember,
  LinkView,
} from "#src/peer/link.ts";
import { judgeMeet, type Meet, type NodeProcess } from "#src/peer/meeting.ts";
import type { MessageEnvelope } from "#src/peer/message.ts";
import { partKind, splitBody, type Part, type Said } from "#src/peer/parts.ts";
import type { JsonObject } from "#src/peer/signed-document.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { closeCodes } from "./limits.ts";
import { LinkPings } from "./link-pings.ts";
import type { LinkPost } from "./link-post.ts";
import {
  noLongerMember,
  placeless,
  retiredKey,
  saidFarewell,
  stopping,
  superseded,
} from "./link-reasons.ts";
import { relayKinds } from "./relay-wires.ts";
import { Strand, type StrandOwner } from "./strand.ts";
import { claimsPath, type Wire, type WireReceiver } from "./wire.ts";

/** What a link needs besides its member. */
export interface MemberLinkParts {
  readonly post: LinkPost;
  readonly handlers: LinkHandlers;
  /** Kinds of messages that anybody here reads; others are counted and go no further. */
  readonly kinds: ReadonlySet<string>;
  /** What this node says of itself over a wire; null for nothing. */
  claims(wire: Wire): JsonObject | null;
  /** What this node asks of the claims of others. */
  readonly policy: ClaimsPolicy;
  /** From 0 to less than 1. */
  draw(): number;
  /** Opens a connection to the member; null where one is under way as it is. */
  dial(link: MemberLink): void;
  /** Takes one of `relayKinds`, which came over a direct way. Refused with `envelope_malformed`. */
  relay(from: string, kind: string, body: JsonObject): void;
  /** A direct way to a member opened, or the last one of them ended. */
  direct(node: string, isUp: boolean): void;
}

/** Two processes say they are one node. */
const copyCodes: ReadonlySet<string> = new Set(["home_copied", "epoch_stale"]);

/**
 * The link to one member: its strands, of which the best carries what is sent, and what is known of how
 * well it is reached. A relay adds strands of its own kind through `attach`.
 */
export class MemberLink implements StrandOwner {
  readonly health: LinkHealth;
  readonly #strands = new Set<Strand>();
  readonly #pings: LinkPings;
  #live: NodeProcess | null = null;
  /** The one whose place it took. */
  #previous: NodeProcess | null = null;
  #heardMs: number | null = null;
  #claims: ClaimsStanding | null = null;
  /** Another process came as this node while one was linked. */
  #copy: { readonly reason: LinkReason; readonly untilMs: number } | null = null;
  /** What is left of a message that goes in parts. */
  readonly #outgoing: Part[] = [];
  #isReached = false;
  #isDirect = false;
  #isEnded = false;
  #sentBytes = 0;
  #receivedBytes = 0;
  /** Addresses are tried from this one on: the one that led to it last. */
  place: string | null = null;
  isDialling = false;

  constructor(
    public member: LinkMember,
    private readonly parts: MemberLinkParts,
  ) {
    const { clock, tuning } = parts.post;
    this.#pings = new LinkPings(parts.post);
    this.health = new LinkHealth(tuning.backOff, parts.draw, clock.monotonicMs());
  }

  get node(): string {
    return this.member.node;
  }

  /** True while some way carries messages. */
  get isReached(): boolean {
    return this.#isReached;
  }

  get isEnded(): boolean {
    return this.#isEnded;
  }

  /** What the mesh says of the member now; whoever moved is dialled at once. */
  update(member: LinkMember): void {
    const before = this.member;
    this.member = member;
    const { clock } = this.parts.post;
    const isMoved =
      before.certificate !== member.certificate ||
      before.epoch !== member.epoch ||
      before.places.join() !== member.places.join();
    if (isMoved) this.health.hurry(clock.monotonicMs());
    for (const strand of this.#strands) {
      if (strand.epoch > 0 && strand.epoch < member.epoch)
        strand.close(closeCodes.superseded, superseded);
      else this.#dropRetired(strand);
    }
  }

  /** Ends a strand whose key the mesh has seen rotated away. */
  #dropRetired(strand: Strand): void {
    try {
      this.#judgeKey(strand.wire);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      strand.refuse(error);
    }
  }

  /** Takes a wire over. The end that dialled speaks first. */
  attach(wire: Wire): WireReceiver {
    const strand = new Strand(wire, this.parts.post, this);
    this.#strands.add(strand);
    if (wire.isDialled) strand.meet();
    return strand;
  }

  /** False where no way is open or too much waits already; the message is dropped then. */
  send(kind: string, body: JsonObject): boolean {
    const best = this.#best();
    if (best === null) return false;
    const length = JSON.stringify(body).length;
    if (length <= this.parts.post.tuning.wholeBytes) return best.send(kind, body);
    return this.#sendParts(best, { kind, body });
  }

  /** As `send`, over a direct way alone: what goes through others concerns two ends and one relay. */
  sendDirectly(kind: string, body: JsonObject): boolean {
    const best = this.#best();
    return best?.wire.path === "direct" && best.send(kind, body);
  }

  /** One large message at a time: the log sends a snapshot again where it was dropped. */
  #sendParts(best: Strand, said: Said): boolean {
    const { tally } = this.parts.post;
    if (this.#outgoing.length > 0) {
      tally.add("peer_busy");
      return false;
    }
    try {
      this.#outgoing.push(...splitBody(said, this.parts.post.nextStream()));
      this.#feed(best);
      return true;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      tally.add(error.code);
      return false;
    }
  }

  /** Sends parts while little waits, so that heartbeats pass between them. */
  #feed(best: Strand): void {
    const { pacedBytes } = this.parts.post.tuning;
    while (best.wire.waitingBytes < pacedBytes) {
      const part = this.#outgoing.shift();
      if (part === undefined) return;
      best.send(partKind, part);
    }
  }

  /** Looks after times: dials, pings, ends what is silent. */
  look(nowMs: number, wasStalled: boolean): void {
    for (const strand of this.#strands) strand.look(nowMs, wasStalled);
    // After a stall the answers are there and have not been read.
    if (!wasStalled) this.#pings.book.expire(nowMs);
    const best = this.#best();
    if (best !== null) this.#tend(best, nowMs);
    if (this.#isDialDue(nowMs)) this.parts.dial(this);
  }

  /** A dial led nowhere; nothing to tell where the member has come by itself meanwhile. */
  dialFailed(reason: LinkReason, isRefused: boolean): void {
    if (!this.#isDirect) this.health.failed(this.#nowMs(), reason, isRefused);
  }

  /** Meets anew, as when this node signs with another key: what it signs over these wires is not taken. */
  renew(): void {
    for (const strand of this.#strands) strand.close(closeCodes.superseded, superseded);
    this.health.hurry(this.#nowMs());
  }

  /** Ends the link: the other end is told why. Resolves when all its wires have ended. */
  async end(why: "stopping" | "removed"): Promise<void> {
    this.#isEnded = true;
    const strands = [...this.#strands];
    for (const strand of strands)
      if (why === "removed") strand.refuse(noLongerMember(this.node));
      else {
        strand.send("farewell", {});
        strand.close(closeCodes.farewell, stopping);
      }
    await Promise.all(strands.map(({ closed }) => closed));
  }

  judge(strand: Strand, meet: Meet, envelope: MessageEnvelope): void {
    const { post } = this.parts;
    const { node, member } = this;
    const epoch = Math.max(member.epoch, post.windows.epoch(node), this.#live?.epoch ?? 0);
    const live = this.#isLive() ? this.#live : null;
    try {
      this.#judgeKey(strand.wire);
      judgeMeet(meet, { node, epoch, live, previous: this.#previous });
      this.judgeClaims(strand, envelope);
    } catch (error) {
      const isCopy = error instanceof Refusal && copyCodes.has(error.code);
      if (isCopy && this.#isReached) this.#noteCopy(error);
      throw error;
    }
    if (this.#live !== null && this.#live.epoch < meet.epoch) this.#previous = this.#live;
    this.#live = { epoch: meet.epoch, instance: meet.instance };
    // A later start takes the place of the earlier one, whose connections may look open for long.
    for (const other of this.#strands)
      if (other !== strand && other.epoch > 0 && other.epoch < meet.epoch)
        other.close(closeCodes.superseded, superseded);
  }

  /**
   * Who comes with another key than the mesh knows has it from that one by rotations. Refused with
   * `key_retired`: a key that was rotated away speaks for the node no more, in whatever epoch it comes.
   */
  #judgeKey({ key, earlierKeys }: Wire): void {
    const known = this.member.key;
    if (known === undefined || known === key || earlierKeys.includes(known)) return;
    throw retiredKey(this.node, key);
  }

  claims(wire: Wire): JsonObject | null {
    return this.parts.claims(wire);
  }

  judgeClaims({ wire }: Strand, { sender, key, claims }: MessageEnvelope): void {
    const { policy } = this.parts;
    try {
      this.#claims = judgeClaims(policy, claims, { sender, key, path: claimsPath(wire) });
    } catch (error) {
      if (error instanceof Refusal) this.#claims = refusedClaims(policy, error);
      throw error;
    }
  }

  up(strand: Strand): void {
    const nowMs = this.#nowMs();
    const { path, isDialled, place } = strand.wire;
    if (path === "direct") this.health.met(nowMs);
    if (place !== null) this.place = place;
    // Who dials the same way again has given the connection before up.
    for (const other of this.#strands)
      if (other !== strand && other.wire.path === path && other.wire.isDialled === isDialled)
        other.close(closeCodes.superseded, superseded);
    // The end that was dialled is sure of the other one at this first message.
    this.#pings.begin(strand, nowMs);
    this.#setReached();
  }

  message(strand: Strand, { kind, body, epoch }: MessageEnvelope): void {
    const { post, kinds, handlers } = this.parts;
    this.#heardMs = this.#nowMs();
    if (kind === "ping") return this.#pings.pong(strand, body);
    if (kind === "pong") return this.#pings.answered(body);
    if (kind === "farewell") {
      this.#live = null;
      return strand.close(closeCodes.farewell, saidFarewell);
    }
    if (relayKinds.has(kind) && strand.wire.path === "direct")
      return this.parts.relay(this.node, kind, body);
    const said =
      kind === partKind ? post.parts.take(this.node, body, this.#heardMs) : { kind, body };
    if (said === null) return;
    if (!kinds.has(said.kind)) return post.tally.add("message_unknown");
    const from = { node: this.node, epoch, path: strand.wire.path };
    handlers.message(from, said.kind, said.body);
  }

  over(
    strand: Strand,
    end: { readonly reason: LinkReason; readonly isRefused: boolean; readonly wasUp: boolean },
  ): void {
    this.#strands.delete(strand);
    this.#sentBytes += strand.sentBytes;
    this.#receivedBytes += strand.receivedBytes;
    const { path, isDialled } = strand.wire;
    const isDirectUp = [...this.#strands].some((each) => each.isUp && each.wire.path === "direct");
    if (path === "direct" && !isDirectUp) this.#fall(end, isDialled);
    if (this.#best() === null) {
      this.#pings.book.forget();
      this.#outgoing.length = 0;
      this.parts.post.parts.forget(this.node);
    }
    this.#setReached();
  }

  view(): LinkView {
    const { health, member } = this;
    const nowMs = this.#nowMs();
    const { staleMs } = this.parts.post.tuning;
    const best = this.#best();
    const signs = { isUp: best !== null, silentMs: this.#silentMs(nowMs), staleMs };
    const copy = this.#copy !== null && this.#copy.untilMs > nowMs ? this.#copy.reason : null;
    const isLossy = this.#pings.book.isLossy || copy !== null;
    const isPlaceless = best === null && health.reason === null && member.places.length === 0;
    const total = (own: number, of: (strand: Strand) => number) =>
      [...this.#strands].reduce((sum, strand) => sum + of(strand), own);
    return {
      node: this.node,
      state: isPlaceless ? "unreachable" : health.state({ ...signs, isLossy }),
      path: best?.wire.path ?? null,
      relay: best?.wire.relay ?? null,
      place: best?.wire.place ?? this.place,
      reason: copy ?? (isPlaceless ? placeless : this.#isDirect ? null : health.reason),
      epoch: this.#live?.epoch ?? null,
      silentMs: signs.silentMs === null ? null : Math.round(signs.silentMs),
      failureCount: health.failureCount,
      nextDialMs: this.#isDialWanted() ? this.#untilDialMs(nowMs) : null,
      roundTripUs: this.#pings.book.roundTripUs,
      clockSkewMs: this.#pings.book.clockSkewMs,
      bytesPerSecond: this.#pings.book.bytesPerSecond,
      lossPerMillion: this.#pings.book.lossPerMillion,
      sentBytes: total(this.#sentBytes, ({ sentBytes }) => sentBytes),
      receivedBytes: total(this.#receivedBytes, ({ receivedBytes }) => receivedBytes),
      claims: this.#claims,
    };
  }

  /** The strand that carries what is sent: a direct one that the smaller id dialled, where there is a choice. */
  #best(): Strand | null {
    const isSmaller = this.parts.post.node < this.node;
    const worth = ({ wire }: Strand) =>
      (wire.path === "direct" ? 2 : 0) + (wire.isDialled === isSmaller ? 1 : 0);
    let best: Strand | null = null;
    for (const strand of this.#strands)
      if (strand.isUp && (best === null || worth(strand) >= worth(best))) best = strand;
    return best;
  }

  #tend(best: Strand, nowMs: number): void {
    const { lingerMs } = this.parts.post.tuning;
    for (const strand of this.#strands)
      if (strand !== best && strand.isUp && strand.wire.isDialled && nowMs - best.upMs > lingerMs)
        strand.close(closeCodes.superseded, superseded);
    this.#feed(best);
    this.#pings.tend(best, nowMs);
  }

  /** The direct way was lost, or did not come to be. */
  #fall(
    end: { readonly reason: LinkReason; readonly isRefused: boolean; readonly wasUp: boolean },
    isDialled: boolean,
  ): void {
    const nowMs = this.#nowMs();
    if (end.isRefused) this.health.failed(nowMs, end.reason, true);
    else if (end.wasUp) this.health.lost(nowMs, end.reason);
    else if (isDialled) this.health.failed(nowMs, end.reason, false);
  }

  #setReached(): void {
    // Where there is a direct way, it is the best.
    const best = this.#best();
    const isDirect = best?.wire.path === "direct";
    if (isDirect !== this.#isDirect) {
      this.#isDirect = isDirect;
      this.parts.direct(this.node, isDirect);
    }
    const isReached = best !== null;
    if (isReached === this.#isReached) return;
    this.#isReached = isReached;
    this.parts.handlers.reached(this.node, isReached);
  }

  #noteCopy({ code, message, hint }: Refusal): void {
    const untilMs = this.#nowMs() + this.parts.post.tuning.copyShownMs;
    this.#copy = { reason: { code, message, hint }, untilMs };
  }

  #isLive(): boolean {
    const silentMs = this.#silentMs(this.#nowMs());
    return this.#isReached || (silentMs !== null && silentMs < this.parts.post.tuning.instanceMs);
  }

  #silentMs(nowMs: number): number | null {
    return this.#heardMs === null ? null : nowMs - this.#heardMs;
  }

  /** Whether a direct way is to be dialled, now or later. */
  #isDialWanted(): boolean {
    const hasDirect = [...this.#strands].some(({ wire }) => wire.path === "direct");
    return !hasDirect && !this.#isEnded && this.member.places.length > 0;
  }

  /** 0 while it is dialled. */
  #untilDialMs(nowMs: number): number {
    return this.isDialling ? 0 : Math.max(Math.round(this.#dialMs() - nowMs), 0);
  }

  #dialMs(): number {
    const { post } = this.parts;
    return this.health.nextDialMs + (post.node < this.node ? 0 : post.tuning.graceMs);
  }

  #isDialDue(nowMs: number): boolean {
    return !this.isDialling && this.#isDialWanted() && nowMs >= this.#dialMs();
  }

  #nowMs(): number {
    return this.parts.post.clock.monotonicMs();
  }
}
