/** What one other node may put into the log, or ask of it: at once, and each tick after that. */
export const writeAllowance = { burst: 512, perTick: 4 } as const;
export const readAllowance = { burst: 512, perTick: 32 } as const;

interface Left {
  left: number;
  tick: number;
}

/**
 * How much each sender has left. Every entry is written by every member, so one of them alone does not keep
 * all disks busy; who is beyond it is told to come again, and loses nothing.
 */
export class SenderAllowance {
  readonly #senders = new Map<string, Left>();
  #tick = 0;

  constructor(private readonly rate: { readonly burst: number; readonly perTick: number }) {}

  tick(): void {
    this.#tick++;
    // Who asked nothing for so long has all of it again.
    const { burst, perTick } = this.rate;
    const fullTicks = Math.ceil(burst / perTick);
    if (this.#tick % fullTicks !== 0) return;
    for (const [sender, { tick }] of this.#senders)
      if (this.#tick - tick >= fullTicks) this.#senders.delete(sender);
  }

  /** Takes one; false where the sender has none left. */
  spend(sender: string): boolean {
    const { burst, perTick } = this.rate;
    const known = this.#senders.get(sender) ?? { left: burst, tick: this.#tick };
    const left = Math.min(burst, known.left + (this.#tick - known.tick) * perTick);
    this.#senders.set(sender, { left: Math.max(0, left - 1), tick: this.#tick });
    return left >= 1;
  }
}
