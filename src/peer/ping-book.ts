/**
 * What pings tell of a link: round trip, how far the clocks are apart, loss and bandwidth. Only this
 * node's clocks are compared with themselves, but for the skew, which is what it compares.
 */

/** Pings that a loss is counted over. */
export const lossWindow = 100;
/** Answers that medians are of. */
const medianWindow = 15;
/** Pings of the latest that show whether a link is lossy now. */
const recentWindow = 10;
/** Of those, how many may be lost before it is. */
const recentLossMaximum = 1;
/** Pings that may wait for their answers. */
const waitingMaximum = 16;

interface Ping {
  readonly sentMs: number;
  readonly sentWallMs: number;
  /** Bytes of padding; 0 for an ordinary ping. */
  readonly sizeBytes: number;
}

/** Book of one link's pings, as the node keeps it that sends them. */
export class PingBook {
  readonly #waiting = new Map<number, Ping>();
  /** True for each that was answered in time, the latest last. */
  readonly #answers: boolean[] = [];
  readonly #roundTripsUs: number[] = [];
  readonly #skewsMs: number[] = [];
  #bytesPerSecond: number | null = null;
  #number = 0;

  constructor(
    /** A ping that waits longer is lost. */
    private readonly patienceMs: number,
  ) {}

  /** Notes a ping that goes out now and gives its number; `sizeBytes` of padding make it a probe. */
  send(nowMs: number, wallMs: number, sizeBytes = 0): number {
    const number = ++this.#number;
    this.#waiting.set(number, { sentMs: nowMs, sentWallMs: wallMs, sizeBytes });
    if (this.#waiting.size > waitingMaximum) this.#lose(this.#waiting.keys().next().value!);
    return number;
  }

  /** Notes an answer; one that nobody waits for, late or twice, tells nothing. */
  answer(number: number, nowMs: number, theirWallMs: number): void {
    const ping = this.#waiting.get(number);
    if (ping === undefined) return;
    this.#waiting.delete(number);
    const roundTripMs = Math.max(nowMs - ping.sentMs, 0.001);
    this.#note(true);
    if (ping.sizeBytes > 0) {
      const carryMs = Math.max(roundTripMs - (this.roundTripUs ?? 0) / 1000, roundTripMs / 100);
      this.#bytesPerSecond = Math.round((ping.sizeBytes * 1000) / carryMs);
      return;
    }
    keep(this.#roundTripsUs, Math.round(roundTripMs * 1000), medianWindow);
    const skewMs = theirWallMs - (ping.sentWallMs + roundTripMs / 2);
    keep(this.#skewsMs, Math.round(skewMs), medianWindow);
  }

  /** Counts as lost what has waited too long. A probe is slow where the line is, and not lost by that. */
  expire(nowMs: number): void {
    for (const [number, { sentMs, sizeBytes }] of this.#waiting)
      if (nowMs - sentMs > this.patienceMs * (sizeBytes > 0 ? 5 : 1)) this.#lose(number);
  }

  /** Forgets what is on the way: the connection that carried it has ended. */
  forget(): void {
    this.#waiting.clear();
  }

  get roundTripUs(): number | null {
    return median(this.#roundTripsUs);
  }

  /** How far the other clock is ahead of this one. */
  get clockSkewMs(): number | null {
    return median(this.#skewsMs);
  }

  /** Of the latest probe: what one message got through, so a lower bound of what the line can. */
  get bytesPerSecond(): number | null {
    return this.#bytesPerSecond;
  }

  get lossPerMillion(): number {
    const { length } = this.#answers;
    if (length === 0) return 0;
    return Math.round((this.#answers.filter((each) => !each).length * 1_000_000) / length);
  }

  get isLossy(): boolean {
    const recent = this.#answers.slice(-recentWindow);
    return recent.at(-1) === false || recent.filter((each) => !each).length > recentLossMaximum;
  }

  #lose(number: number): void {
    this.#waiting.delete(number);
    this.#note(false);
  }

  #note(isAnswered: boolean): void {
    keep(this.#answers, isAnswered, lossWindow);
  }
}

function keep<T>(list: T[], value: T, maximum: number): void {
  list.push(value);
  if (list.length > maximum) list.shift();
}

function median(values: readonly number[]): number | null {
  if (values.length === 0) return null;
  return values.toSorted((a, b) => a - b)[values.length >> 1]!;
}
