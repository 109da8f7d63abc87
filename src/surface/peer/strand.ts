import { Allowance } from "#src/peer/allowance.ts";
import type { LinkReason } from "#src/peer/health.ts";
import { linkVersion, readMeet, readRefuse, refuseBody, type Meet } from "#src/peer/meeting.ts";
import { admitMessage, readMessage, type MessageEnvelope } from "#src/peer/message.ts";
import { malformed, type JsonObject } from "#src/peer/signed-document.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { closeCodes } from "./limits.ts";
import { seal, type LinkPost } from "./link-post.ts";
import { cutOff, earlier, forged, silent, tooMuch } from "./link-reasons.ts";
import type { Wire, WireReceiver } from "./wire.ts";

/** What a strand asks and tells the link that it belongs to. */
export interface StrandOwner {
  /** Checks who meets; throws the refusal with which that one is sent away. */
  judge(strand: Strand, meet: Meet, envelope: MessageEnvelope): void;
  /** What the sender says of itself to the other end of this wire. */
  claims(wire: Wire): JsonObject | null;
  /** Judges what came with a message; throws where this node does not let it pass. */
  judgeClaims(strand: Strand, envelope: MessageEnvelope): void;
  /** Both ends have taken each other's word. */
  up(strand: Strand): void;
  /** A message that was admitted, other than those that a strand sees to itself. */
  message(strand: Strand, envelope: MessageEnvelope): void;
  /** It has ended; `isRefused` where one of the two refused the other, `wasUp` where they had met. */
  over(
    strand: Strand,
    end: { readonly reason: LinkReason; readonly isRefused: boolean; readonly wasUp: boolean },
  ): void;
}

/**
 * One wire of a link, from the first word to the last. The end that dialled says who it is, the other answers
 * in kind once it has taken that, and is sure of it at the first message after. Whatever comes is signed by
 * who is at the other end, of the epoch that met, and admitted once.
 */
export class Strand implements WireReceiver {
  /** `met`: the other end was told that it is taken, and has not spoken since. */
  #standing: "meeting" | "met" | "up" | "over" = "meeting";
  readonly openedMs: number;
  upMs = 0;
  epoch = 0;
  instance = "";
  heardMs: number | null = null;
  receivedBytes = 0;
  sentBytes = 0;
  /** Since when something was sent and nothing came. */
  #unansweredMs: number | null = null;
  /** Since when something came and nothing was sent. */
  #owingMs: number | null = null;
  #waitingBytes = 0;
  readonly #allowance: Allowance;
  readonly #closed = Promise.withResolvers<void>();

  constructor(
    readonly wire: Wire,
    private readonly post: LinkPost,
    private readonly owner: StrandOwner,
  ) {
    const { messageRate, byteRate } = post.tuning;
    this.openedMs = post.clock.monotonicMs();
    this.#allowance = new Allowance(messageRate, byteRate, this.openedMs);
  }

  get isUp(): boolean {
    return this.#standing === "up";
  }

  /** Resolves when the wire itself has ended, which is a while after the strand was closed. */
  get closed(): Promise<void> {
    return this.#closed.promise;
  }

  /** Says who this node is: at once where it dialled, in answer where it was dialled. */
  meet(): void {
    const { epoch, instance, windows } = this.post;
    const ceiling = windows.ceiling(this.wire.node);
    const body = { version: linkVersion, epoch, instance, ceiling };
    this.#write("meet", body, this.owner.claims(this.wire));
  }

  /** Sends a message, or drops and counts it where too much waits; false then. */
  send(kind: string, body: JsonObject): boolean {
    return this.#write(kind, body, null);
  }

  take(document: Uint8Array): void {
    if (this.#standing === "over") return;
    this.receivedBytes += document.length;
    try {
      this.#read(document);
    } catch (error) {
      if (!(error instanceof Refusal)) return this.post.onBug(error);
      // Two that have met go on over what is refused; the log does without it.
      if (this.#standing === "meeting") this.refuse(error);
      else this.post.tally.add(error.code);
    }
  }

  ended(): void {
    this.#closed.resolve();
    this.#finish(cutOff, false);
  }

  /** Tells the other end why it is sent away, and closes. */
  refuse(refusal: LinkReason): void {
    if (this.#standing === "over") return;
    this.post.tally.add(refusal.code);
    // Where this node keeps its files is not for others.
    const bare = (text: string) => text.replaceAll(this.post.home, "HOME");
    const { code, message, hint } = refusal;
    const told = { code, message: bare(message), hint: bare(hint) };
    this.#write("refuse", refuseBody(told), null);
    this.close(closeCodes.refused, refusal, true);
  }

  /** Closes after what waits was sent. */
  close(code: number, reason: LinkReason, isRefused = false): void {
    if (this.#standing === "over") return;
    this.#finish(reason, isRefused);
    this.wire.close(code, reason.code);
  }

  /** Closes where the other end shows no life, and says what there is to say without being asked. */
  look(nowMs: number, wasStalled: boolean): void {
    const { silentMs, meetMs, acknowledgeMs } = this.post.tuning;
    if (this.#standing === "over") return;
    const { waitingBytes } = this.wire;
    // What leaves a direct wire is taken by the other end's machine; and this process may have slept, not
    // the other. What leaves for a relay is taken by the relay.
    const isTaken = this.wire.path === "direct" && waitingBytes < this.#waitingBytes;
    const showsLife = wasStalled || isTaken;
    if (this.#unansweredMs !== null && showsLife) this.#unansweredMs = nowMs;
    this.#waitingBytes = waitingBytes;
    const isLate = this.#standing !== "up" && nowMs - this.openedMs > meetMs && !wasStalled;
    const isSilent = this.#unansweredMs !== null && nowMs - this.#unansweredMs > silentMs;
    if (isLate || (this.isUp && isSilent)) {
      this.#finish(silent, false);
      return this.wire.drop();
    }
    if (this.#owingMs !== null && nowMs - this.#owingMs > acknowledgeMs) this.send("ack", {});
  }

  #read(document: Uint8Array): void {
    const { post, wire } = this;
    const nowMs = post.clock.monotonicMs();
    if (!this.#allowance.spend(document.length, nowMs)) throw tooMuch(wire.node);
    const message = readMessage(document, { nodeId: post.node, mesh: post.mesh });
    const { envelope } = message;
    const { kind, body, sender, key, epoch } = envelope;
    if (kind === "meet" || kind === "refuse") {
      // These stand below the counters, which they are there to agree on: a recorded one proves nothing new.
      if (sender !== wire.node || key !== wire.key) throw forged(wire.node, sender);
      if (kind === "refuse") return this.#refused(readRefuse(body));
      return this.#meet(envelope, nowMs);
    }
    if (this.#standing === "meeting") throw malformed("it came before the two had met");
    if (epoch < this.epoch) throw earlier(sender, epoch, this.epoch);
    const proven = { node: wire.node, key: wire.key, epoch: this.epoch };
    admitMessage(message, { proven, windows: post.windows });
    if (envelope.claims !== undefined) this.owner.judgeClaims(this, envelope);
    this.#hear(kind, nowMs);
    if (this.#standing === "met") this.#rise(nowMs);
    if (kind !== "ack") this.owner.message(this, envelope);
  }

  #meet(envelope: MessageEnvelope, nowMs: number): void {
    if (this.#standing !== "meeting") throw malformed("the two have met already");
    const meet = readMeet(envelope.body);
    if (meet.epoch !== envelope.epoch) throw malformed("it names two epochs");
    this.owner.judge(this, meet, envelope);
    this.post.counters.continueAbove(this.wire.node, meet.ceiling);
    this.epoch = meet.epoch;
    this.instance = meet.instance;
    this.#hear("meet", nowMs);
    if (this.wire.isDialled) return this.#rise(nowMs);
    this.#standing = "met";
    this.meet();
  }

  #rise(nowMs: number): void {
    this.#standing = "up";
    this.upMs = nowMs;
    this.owner.up(this);
  }

  #refused(reason: LinkReason): void {
    this.#finish(reason, true);
    this.wire.close(closeCodes.refused, reason.code);
  }

  #hear(kind: string, nowMs: number): void {
    this.heardMs = nowMs;
    this.#unansweredMs = null;
    const asksNoAnswer = kind === "meet" || kind === "pong" || kind === "ack";
    if (!asksNoAnswer) this.#owingMs ??= nowMs;
  }

  #write(kind: string, body: JsonObject, claims: JsonObject | null): boolean {
    if (this.#standing === "over") return false;
    const { post, wire } = this;
    const document = seal(post, wire.node, kind, body, claims);
    if (wire.waitingBytes + document.length > post.tuning.queueBytes) {
      post.tally.add("peer_busy");
      return false;
    }
    this.sentBytes += document.length;
    // What a bare sign of life says needs no answer.
    if (kind !== "ack" && kind !== "pong") this.#unansweredMs ??= post.clock.monotonicMs();
    this.#owingMs = null;
    wire.send(document);
    return true;
  }

  #finish(reason: LinkReason, isRefused: boolean): void {
    if (this.#standing === "over") return;
    const wasUp = this.isUp;
    this.#standing = "over";
    this.owner.over(this, { reason, isRefused, wasUp });
  }
}
