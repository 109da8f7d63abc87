/** What a leader knows of one follower's log. */
export class Progress {
  /** Last index known to be equal and durable there. */
  matchIndex = 0;
  /** Latest round of heartbeats it answered. */
  round = -1;
  /** It answered since the leader last looked. */
  isHeard = false;
  /** Probing sends one message and waits; after a match entries stream without waiting. */
  #mode: "probe" | "stream" | "snapshot" = "probe";
  #inFlight = 0;
  #snapshotIndex = 0;
  #beatsSinceSnapshot = 0;

  constructor(public nextIndex: number) {}

  /** True while nothing more should be sent but heartbeats. */
  get isPaused(): boolean {
    if (this.#mode === "probe") return this.#inFlight > 0;
    return this.#mode === "snapshot" || this.#inFlight >= messagesInFlight;
  }

  get mode(): "probe" | "stream" | "snapshot" {
    return this.#mode;
  }

  sent(entryCount: number): void {
    if (this.#mode === "probe") this.#inFlight = 1;
    else if (entryCount > 0) {
      this.#inFlight++;
      this.nextIndex += entryCount;
    }
  }

  /** Counts heartbeats while a snapshot is on its way; it is sent again after so many. */
  isAwaitingSnapshot(isBeat: boolean): boolean {
    if (this.#mode !== "snapshot") return false;
    if (isBeat) this.#beatsSinceSnapshot++;
    return this.#beatsSinceSnapshot < beatsPerSnapshot;
  }

  sentSnapshot(index: number): void {
    this.#mode = "snapshot";
    this.#snapshotIndex = index;
    this.#beatsSinceSnapshot = 0;
  }

  /** The follower has everything up to an index. True when that is news. */
  accepted(index: number): boolean {
    const isNew = index > this.matchIndex;
    this.matchIndex = Math.max(this.matchIndex, index);
    if (this.#mode === "snapshot" && this.matchIndex < this.#snapshotIndex) return isNew;
    this.nextIndex = Math.max(this.nextIndex, this.matchIndex + 1);
    if (this.#mode !== "stream") this.nextIndex = this.matchIndex + 1;
    this.#mode = "stream";
    this.#inFlight = Math.max(0, this.#inFlight - 1);
    return isNew;
  }

  /** The follower lacks what came before: go back and probe. */
  refused(nextIndex: number): void {
    this.#mode = "probe";
    this.#inFlight = 0;
    this.nextIndex = Math.max(this.matchIndex + 1, nextIndex);
  }
}

/** Messages with entries that may be on their way to one follower. */
const messagesInFlight = 16;
/** Heartbeats after which a snapshot nobody acknowledged is sent again. */
const beatsPerSnapshot = 10;
