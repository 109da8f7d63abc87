import type { Store } from "#src/port/store.ts";
import { assert, Refusal } from "#src/refusal/refusal.ts";

/**
 * Which messages came before (C-2). A sender counts its messages to each recipient from 1 in each epoch,
 * and no epoch comes twice, so a sender needs no disk for that. A recipient remembers the latest counters
 * of a sender in memory, and on the disk only a ceiling ahead of them: after a restart everything up to
 * the ceiling counts as seen. The recipient says its ceiling when the two meet, and the sender goes on
 * above it; the words with which they meet therefore stand below the counters.
 */

/** Counters behind the highest one that may still come: messages overtake each other on two paths. */
export const windowCount = 1024;
/** Counters reserved on the disk at once: one write for so many messages. */
export const blockCount = 4096;
/** Senders that are remembered: all that a mesh may have, and as many that left. */
export const senderMaximum = 2048;

/** Where a message stands among those of its sender. */
export interface Position {
  readonly epoch: number;
  readonly counter: number;
}

/** The counters of what this process sends, one row for each recipient. */
export class SendCounters {
  readonly #last = new Map<string, number>();
  /** The highest that was used for anybody who is forgotten: who is new begins above it. */
  #forgotten = 0;

  constructor(private readonly maximum = senderMaximum) {}

  /** The counter of the next message; none is given out twice for a recipient. */
  next(recipient: string): number {
    const next = (this.#last.get(recipient) ?? this.#forgotten) + 1;
    assert(Number.isSafeInteger(next), "a counter stays exact");
    this.#set(recipient, next);
    return next;
  }

  /**
   * Goes on above what the recipient says it has reserved. A ceiling that no count of this process could
   * have led to is refused with `envelope_malformed`, so that it cannot use the numbers up.
   */
  continueAbove(recipient: string, ceiling: number): void {
    const last = this.#last.get(recipient) ?? this.#forgotten;
    if (ceiling <= last) return;
    if (!Number.isSafeInteger(ceiling) || ceiling > ceilingMaximum)
      throw new Refusal(
        "envelope_malformed",
        `${recipient} names a ceiling of ${ceiling}, which nobody counts up to`,
        "both nodes must run a psionic that speaks version 1 of docs/FORMATS.md, Messages between members",
        { recipient, ceiling, maximum: ceilingMaximum },
      );
    this.#set(recipient, ceiling);
  }

  /** The last counter that was used for a recipient, or named by it; 0 before the first. */
  last(recipient: string): number {
    return this.#last.get(recipient) ?? this.#forgotten;
  }

  #set(recipient: string, last: number): void {
    this.#last.set(recipient, last);
    if (this.#last.size <= this.maximum) return;
    const [oldest, count] = this.#last.entries().next().value!;
    this.#last.delete(oldest);
    this.#forgotten = Math.max(this.#forgotten, count);
  }
}

/** A ceiling beyond it is a lie: at a million messages a second it takes 140 years. */
const ceilingMaximum = 2 ** 52;

/** The latest counters of one sender in one epoch, as bits of a ring. */
class ReceiveWindow {
  readonly #seen: Uint32Array;

  private constructor(
    readonly epoch: number,
    /** The highest counter that was admitted. */
    public highest: number,
    /** What the disk says: higher ones are written before they are admitted. */
    public ceiling: number,
    private readonly size: number,
    isSeen: boolean,
  ) {
    this.#seen = new Uint32Array(Math.ceil(size / 32)).fill(isSeen ? 0xffffffff : 0);
  }

  /** Nothing of the epoch came yet. */
  static fresh(epoch: number, size: number): ReceiveWindow {
    return new ReceiveWindow(epoch, 0, 0, size, false);
  }

  /** After a restart: nobody knows which came, so all up to the ceiling did. */
  static restored(epoch: number, ceiling: number, size: number): ReceiveWindow {
    return new ReceiveWindow(epoch, ceiling, ceiling, size, true);
  }

  isSeen(counter: number): boolean {
    if (counter > this.highest) return false;
    return counter <= this.highest - this.size || this.#bit(counter);
  }

  add(counter: number): void {
    const from = Math.max(this.highest, counter - this.size);
    for (let passed = from + 1; passed <= counter; passed++) this.#setBit(passed, false);
    this.#setBit(counter, true);
    this.highest = Math.max(this.highest, counter);
  }

  #bit(counter: number): boolean {
    const place = counter % this.size;
    return (this.#seen[place >>> 5]! & (1 << (place & 31))) !== 0;
  }

  #setBit(counter: number, isSet: boolean): void {
    const place = counter % this.size;
    if (isSet) this.#seen[place >>> 5]! |= 1 << (place & 31);
    else this.#seen[place >>> 5]! &= ~(1 << (place & 31));
  }
}

/** What came of each sender: the windows in memory, their ceilings in the table `peer_window`. */
export class ReceiveWindows {
  readonly #windows = new Map<string, ReceiveWindow>();
  #members: ReadonlySet<string> = new Set();

  constructor(
    private readonly store: Store,
    private readonly bounds = { windowCount, blockCount, senderMaximum },
  ) {}

  /**
   * Admits a message once, or refuses it: `epoch_stale` where a later start of the sender was heard or
   * `floorEpoch` names one, `envelope_replayed` where it came before, or so long after its followers that
   * nobody knows, `peer_busy` where more senders are remembered than may be. A store that fails refuses,
   * and the message may come again.
   */
  admit(sender: string, { epoch, counter }: Position, floorEpoch = 0): void {
    const known = this.#window(sender);
    const seenEpoch = Math.max(floorEpoch, known?.epoch ?? 0);
    if (epoch < seenEpoch) throw stale(sender, epoch, seenEpoch);
    const isNext = known === null || known.epoch < epoch;
    const window = isNext ? ReceiveWindow.fresh(epoch, this.bounds.windowCount) : known;
    if (window.isSeen(counter)) throw replayed(sender, { epoch, counter }, window.highest);
    if (counter > window.ceiling) window.ceiling = this.#reserve(sender, { epoch, counter }, known);
    window.add(counter);
    this.#windows.set(sender, window);
  }

  /** What this node tells a sender when they meet: it goes on above it. 0 where nothing ever came. */
  ceiling(sender: string): number {
    return this.#window(sender)?.highest ?? 0;
  }

  /** The latest epoch that was heard of a sender; 0 before the first. */
  epoch(sender: string): number {
    return this.#window(sender)?.epoch ?? 0;
  }

  /**
   * Says who belongs to the mesh. Others are remembered too while there is room: who comes back does so in
   * a later epoch, which the mesh's state knows.
   */
  retain(members: Iterable<string>): void {
    this.#members = new Set(members);
  }

  #window(sender: string): ReceiveWindow | null {
    const open = this.#windows.get(sender);
    if (open !== undefined) return open;
    const row = this.store.get("SELECT epoch, ceiling FROM peer_window WHERE node_id = ?", sender);
    if (row === null) return null;
    const [epoch, ceiling] = [Number(row["epoch"]), Number(row["ceiling"])];
    const restored = ReceiveWindow.restored(epoch, ceiling, this.bounds.windowCount);
    this.#windows.set(sender, restored);
    return restored;
  }

  /** Writes a ceiling above the counter, durable when it returns. */
  #reserve(sender: string, { epoch, counter }: Position, known: ReceiveWindow | null): number {
    const ceiling = Math.min(counter + this.bounds.blockCount, Number.MAX_SAFE_INTEGER);
    this.store.transaction(() => {
      if (known === null) this.#makeRoom();
      this.store.run(
        `INSERT INTO peer_window (node_id, epoch, ceiling) VALUES (?1, ?2, ?3)
         ON CONFLICT (node_id) DO UPDATE SET epoch = ?2, ceiling = ?3`,
        ...[sender, epoch, ceiling],
      );
    });
    return ceiling;
  }

  #makeRoom(): void {
    const { senderMaximum } = this.bounds;
    const rows = this.store.all("SELECT node_id FROM peer_window ORDER BY id");
    if (rows.length < senderMaximum) return;
    const gone = rows.map((row) => String(row["node_id"])).find((node) => !this.#members.has(node));
    if (gone === undefined)
      throw new Refusal(
        "peer_busy",
        `messages of ${senderMaximum} members are remembered, and there is no room for another`,
        "evict members that are gone for good",
        { maximum: senderMaximum },
      );
    this.store.run("DELETE FROM peer_window WHERE node_id = ?", gone);
    this.#windows.delete(gone);
  }
}

function stale(sender: string, epoch: number, seenEpoch: number): Refusal {
  return new Refusal(
    "epoch_stale",
    `${sender} speaks in epoch ${epoch}, and was heard in epoch ${seenEpoch}`,
    "end the older process; a home restored from an old copy catches up by starting until its epoch is higher",
    { node: sender, epoch, seenEpoch },
  );
}

function replayed(sender: string, { epoch, counter }: Position, highest: number): Refusal {
  return new Refusal(
    "envelope_replayed",
    `message ${counter} of ${sender} in its epoch ${epoch} came before, or is too old to tell`,
    "send a new message; each has a counter of its own, above the ceiling the other end names",
    { node: sender, epoch, counter, ceiling: highest },
  );
}
