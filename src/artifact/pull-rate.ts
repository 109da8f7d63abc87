import type { Clock } from "#src/port/clock.ts";
import type { PullProgress } from "./pull-request.ts";

/** How far a pull is and how fast it goes, told now and then. */
export class PullRate {
  readonly #startedMs: number;
  #toldMs = -Infinity;
  #firstBytes: number | null = null;

  constructor(
    readonly clock: Pick<Clock, "monotonicMs">,
    readonly intervalMs: number,
    readonly tell: ((progress: PullProgress) => void) | undefined,
    readonly isJoined: boolean,
  ) {
    this.#startedMs = clock.monotonicMs();
  }

  /** Bytes that were here when this began count as done but not as speed. */
  at(doneBytes: number, totalBytes: number, isLast = false): void {
    this.#firstBytes ??= doneBytes;
    const nowMs = this.clock.monotonicMs();
    if (!isLast && nowMs - this.#toldMs < this.intervalMs) return;
    this.#toldMs = nowMs;
    const seconds = (nowMs - this.#startedMs) / 1_000;
    const bytesPerSecond = seconds > 0 ? (doneBytes - this.#firstBytes) / seconds : 0;
    const restBytes = totalBytes - doneBytes;
    this.tell?.({
      ...{ doneBytes, totalBytes, bytesPerSecond, isJoined: this.isJoined },
      etaSeconds: restBytes === 0 ? 0 : bytesPerSecond > 0 ? restBytes / bytesPerSecond : null,
    });
  }
}
