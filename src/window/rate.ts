const rateMaximum = 2 ** 40;

/** Tokens per second. A worker that lies about its time gets more or less work, and no credit. `timeMs` is not 0. */
export function rateOf(tokens: number, timeMs: number): number {
  return Math.min(rateMaximum, Number((BigInt(tokens) * 1_000n) / BigInt(timeMs)));
}
