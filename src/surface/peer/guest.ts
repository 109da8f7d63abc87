import type { Clock } from "#src/port/clock.ts";
import type { PeerLimits } from "./limits.ts";
import type { Proven, Wire, WireReceiver } from "./wire.ts";

/** What the listener needs of a WebSocket. */
export interface GuestSocket {
  sendBinary(bytes: Uint8Array): number;
  /** Bytes that wait to be sent. */
  getBufferedAmount(): number;
  close(code?: number, reason?: string): void;
  terminate(): void;
}

/** One connection of another node, as the door keeps book on it. */
export class Guest {
  /** Aborted when the connection or the door ends; its commands stop. */
  readonly gone = new AbortController();
  socket: GuestSocket | null = null;
  /** Node id of who is there; null until it is proved. */
  nodeId: string | null = null;
  /** The key it proved that with. */
  key = "";
  /** The keys it had before that one. */
  earlierKeys: readonly string[] = [];
  isStranger = true;
  isMember = false;
  callCount = 0;
  /** False until a document came after it had proved who it is: the first one tells a link from calls. */
  hasSpoken = false;
  /** Takes everything that comes, once the connection is a link; null for one that calls. */
  receiver: WireReceiver | null = null;
  usedMs: number;
  readonly openedMs: number;
  #allowance: number;
  #refilledMs: number;

  constructor(
    /** What this node asked the other end to sign. */
    readonly challenge: string,
    private readonly limits: PeerLimits,
    private readonly clock: Pick<Clock, "monotonicMs">,
  ) {
    this.openedMs = this.usedMs = this.#refilledMs = clock.monotonicMs();
    this.#allowance = limits.callBurst;
  }

  /** True while the other end keeps to its rate. */
  spendCall(): boolean {
    const nowMs = this.clock.monotonicMs();
    const refill = ((nowMs - this.#refilledMs) / 1000) * this.limits.callsPerSecond;
    this.#allowance = Math.min(this.limits.callBurst, this.#allowance + refill) - 1;
    this.#refilledMs = this.usedMs = nowMs;
    return this.#allowance >= 0;
  }

  /** True when it has been silent for longer than it may. */
  isOverdue(): boolean {
    const nowMs = this.clock.monotonicMs();
    if (this.nodeId === null) return nowMs - this.openedMs > this.limits.handshakeMs;
    // A link looks after itself.
    if (this.receiver !== null) return false;
    return this.callCount === 0 && nowMs - this.usedMs > this.limits.idleMs;
  }

  send(document: Uint8Array): void {
    this.socket?.sendBinary(document);
  }
}

/** A connection that another node dialled, as a wire. */
export function wireOfGuest(guest: Guest, { node, key, earlierKeys }: Proven): Wire {
  return {
    earlierKeys,
    ...{ node, key, place: null, path: "direct", relay: null, session: null, isDialled: false },
    get waitingBytes() {
      return guest.socket?.getBufferedAmount() ?? 0;
    },
    send: (document) => guest.send(document),
    close: (code, reason) => guest.socket?.close(code, reason),
    drop: () => guest.socket?.terminate(),
  };
}
