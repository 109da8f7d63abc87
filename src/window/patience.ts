/** How long what failed rests: longer each time, up to a bound. */
const firstMs = 500;
const longestMs = 30_000;

interface Rest {
  readonly failureCount: number;
  readonly untilMs: number;
}

/** What failed or was refused, by name, and when it may be tried again. */
export class Patience {
  readonly #rests = new Map<string, Rest>();

  /** It failed once more. */
  lose(name: string, nowMs: number): void {
    const failureCount = (this.#rests.get(name)?.failureCount ?? 0) + 1;
    const restMs = Math.min(longestMs, firstMs * 2 ** Math.min(failureCount - 1, 16));
    this.#rests.set(name, { failureCount, untilMs: nowMs + restMs });
  }

  /** It went well: the next failure is the first. */
  win(name: string): void {
    this.#rests.delete(name);
  }

  isWaiting(name: string, nowMs: number): boolean {
    return nowMs < (this.#rests.get(name)?.untilMs ?? 0);
  }

  /** Forgets all others. */
  keep(isKept: (name: string) => boolean): void {
    for (const name of this.#rests.keys()) if (!isKept(name)) this.#rests.delete(name);
  }
}
