import type { Clock } from "#src/port/clock.ts";
import { Refusal } from "#src/refusal/refusal.ts";

/**
 * A clock that ends the work under way: whoever computes in stretches lets others in by a sleep between two of them,
 * and that sleep refuses with `interrupted` once the task is given up. What the work had in memory is spoilt then.
 */
export class InterruptibleClock implements Clock {
  signal: AbortSignal | null = null;

  constructor(readonly clock: Clock) {}

  wallMs(): number {
    return this.clock.wallMs();
  }

  monotonicMs(): number {
    return this.clock.monotonicMs();
  }

  async sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    await this.clock.sleep(delayMs, signal);
    this.check();
  }

  /** Refuses with `interrupted` where the task was given up. */
  check(): void {
    if (!this.signal?.aborted) return;
    throw new Refusal("interrupted", "The task was given up.", "Ask again: it goes on from there.");
  }
}
