import { Refusal } from "#src/refusal/refusal.ts";
import type { Wire, WireReceiver } from "./wire.ts";

/** Documents that wait to be sealed or opened for one wire; further ones are lost, as on any line. */
const queueMaximum = 256;

/** Work that is done one after the other, so that what it yields keeps its order. */
export class WorkQueue {
  #tail: Promise<void> = Promise.resolve();
  #count = 0;

  constructor(
    private readonly onRefusal: (refusal: Refusal) => void,
    private readonly onBug: (error: unknown) => void,
  ) {}

  /** True within work after which nothing waits. */
  get isLast(): boolean {
    return this.#count === 1;
  }

  /** False where too much waits; nothing is done then. */
  push(work: () => Promise<void>): boolean {
    if (this.#count >= queueMaximum) return false;
    this.#count++;
    this.#tail = this.#tail.then(work).then(
      () => this.#end(null),
      (error: unknown) => this.#end(error),
    );
    return true;
  }

  #end(error: unknown): void {
    this.#count--;
    if (error instanceof Refusal) this.onRefusal(error);
    else if (error !== null) this.onBug(error);
  }
}

/** Whom a wire through a relay joins, and under which session. */
export interface RelayWay {
  readonly node: string;
  readonly relay: string;
  readonly session: string;
}

/** What a wire through a relay asks of who carries it. */
export interface RelayCarrier {
  /** Seals a document and gives it to the relay; an empty one says that the wire has ended. */
  carry(way: RelayWay, document: Uint8Array): Promise<void>;
  /** The wire has ended, whoever ended it; `isFailed` where the relay or what is behind it did not answer. */
  over(wire: RelayWire, isFailed: boolean): void;
  count(code: string): void;
  onBug(error: unknown): void;
}

/** A way to a member through another one, for as long as one session of it lasts. */
export class RelayWire implements Wire {
  readonly path = "relayed";
  /** The key is the one the mesh knows. */
  readonly earlierKeys = [];
  readonly place = null;
  /** Who takes what comes over it; set once by who made it. */
  receiver: WireReceiver | null = null;
  #waitingBytes = 0;
  #isOver = false;
  readonly #sealing: WorkQueue;

  constructor(
    private readonly way: RelayWay,
    readonly key: string,
    readonly isDialled: boolean,
    readonly openedMs: number,
    private readonly carrier: RelayCarrier,
  ) {
    this.#sealing = new WorkQueue(({ code }) => carrier.count(code), carrier.onBug);
  }

  get node(): string {
    return this.way.node;
  }

  get relay(): string {
    return this.way.relay;
  }

  get session(): string {
    return this.way.session;
  }

  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  send(document: Uint8Array): void {
    if (!this.#isOver) this.#carry(document);
  }

  /** Sends what waits, and after it the word that the wire has ended. */
  close(): void {
    if (this.#isOver) return;
    this.#carry(new Uint8Array(0));
    this.#finish(false);
    const isQueued = this.#sealing.push(async () => this.receiver?.ended());
    if (!isQueued) this.receiver?.ended();
  }

  /** The other end does not answer: the relay is left out for a while. */
  drop(): void {
    if (this.#isOver) return;
    this.#finish(true);
    this.receiver?.ended();
  }

  /** The relay is gone, the other end has ended it, or what came was not what it sent. */
  lose(isFailed = false): void {
    if (this.#isOver) return;
    this.#finish(isFailed);
    this.receiver?.ended();
  }

  #carry(document: Uint8Array): void {
    const { length } = document;
    const isQueued = this.#sealing.push(async () => {
      try {
        await this.carrier.carry(this.way, document);
      } finally {
        this.#waitingBytes -= length;
      }
    });
    if (isQueued) this.#waitingBytes += length;
    else this.carrier.count("peer_busy");
  }

  #finish(isFailed: boolean): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.carrier.over(this, isFailed);
  }
}
