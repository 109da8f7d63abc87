/** At most so many within a stretch of time, and no more than that at once. */
export class RateBound {
  #left: number;
  #atMs: number | null = null;

  constructor(
    readonly maximum: number,
    readonly windowMs: number,
  ) {
    this.#left = maximum;
  }

  /** Takes one; false where none is left. */
  take(nowMs: number): boolean {
    const passedMs = nowMs - (this.#atMs ?? nowMs);
    this.#atMs = nowMs;
    this.#left = Math.min(this.maximum, this.#left + (passedMs / this.windowMs) * this.maximum);
    if (this.#left < 1) return false;
    this.#left -= 1;
    return true;
  }
}
