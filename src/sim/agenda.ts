import { assert } from "#src/refusal/refusal.ts";

interface Appointment {
  readonly atMs: number;
  /** Decides among those of the same time: first made, first met. */
  readonly sequence: number;
  readonly work: () => void;
}

/** Things that may be planned at once; far above what a simulation needs, so more is a runaway. */
const appointmentMaximum = 200_000;

/** Simulated time: what happens when. A binary heap, so ties have one order. */
export class Agenda {
  #heap: Appointment[] = [];
  #sequence = 0;
  #nowMs = 0;

  get nowMs(): number {
    return this.#nowMs;
  }

  /** Plans work for later. */
  after(delayMs: number, work: () => void): void {
    assert(delayMs >= 0 && this.#heap.length < appointmentMaximum, "a plan has bounds");
    const added = { atMs: this.#nowMs + delayMs, sequence: this.#sequence++, work };
    const heap = this.#heap;
    let place = heap.length;
    heap.push(added);
    while (place > 0) {
      const parent = (place - 1) >> 1;
      if (isBefore(heap[parent]!, added)) break;
      heap[place] = heap[parent]!;
      place = parent;
    }
    heap[place] = added;
  }

  /** Does what comes next, unless that is later than `untilMs`. False where nothing was done. */
  step(untilMs: number): boolean {
    const next = this.#heap[0];
    if (next === undefined || next.atMs > untilMs) {
      this.#nowMs = Math.max(this.#nowMs, untilMs);
      return false;
    }
    this.#removeFirst();
    this.#nowMs = next.atMs;
    next.work();
    return true;
  }

  #removeFirst(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let place = 0;
    for (;;) {
      const left = 2 * place + 1;
      if (left >= heap.length) break;
      const right = left + 1;
      const child = right < heap.length && isBefore(heap[right]!, heap[left]!) ? right : left;
      if (isBefore(last, heap[child]!)) break;
      heap[place] = heap[child]!;
      place = child;
    }
    heap[place] = last;
  }
}

function isBefore(a: Appointment, b: Appointment): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.sequence < b.sequence);
}
