/** So much each second, and so much at once after a pause. */
export interface Rate {
  readonly perSecond: number;
  readonly burst: number;
}

/** What may pass now: a number of messages and a number of bytes, both refilled as time goes by. */
export class Allowance {
  #messages: number;
  #bytes: number;

  constructor(
    private readonly messageRate: Rate,
    private readonly byteRate: Rate,
    private refilledMs: number,
  ) {
    this.#messages = messageRate.burst;
    this.#bytes = byteRate.burst;
  }

  /** True where a message of that size may pass; it is counted then. */
  spend(sizeBytes: number, nowMs: number): boolean {
    this.#refill(nowMs);
    if (this.#messages < 1 || this.#bytes < sizeBytes) return false;
    this.#messages -= 1;
    this.#bytes -= sizeBytes;
    return true;
  }

  /** True where nothing was spent of late. */
  isFull(nowMs: number): boolean {
    this.#refill(nowMs);
    return this.#messages >= this.messageRate.burst && this.#bytes >= this.byteRate.burst;
  }

  #refill(nowMs: number): void {
    const seconds = Math.max(nowMs - this.refilledMs, 0) / 1000;
    this.refilledMs = nowMs;
    const { messageRate, byteRate } = this;
    this.#messages = Math.min(messageRate.burst, this.#messages + seconds * messageRate.perSecond);
    this.#bytes = Math.min(byteRate.burst, this.#bytes + seconds * byteRate.perSecond);
  }
}
