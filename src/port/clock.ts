/** Time as a room may see it. Only `node` (real) and `sim` (simulated) implement it. */
export interface Clock {
  /** Wall-clock milliseconds since the Unix epoch; may jump. */
  wallMs(): number;
  /** Monotonic milliseconds from an arbitrary origin, with fractions. */
  monotonicMs(): number;
  /** Resolves after at least `delayMs`; rejects with the signal's reason when aborted. */
  sleep(delayMs: number, signal?: AbortSignal): Promise<void>;
}
