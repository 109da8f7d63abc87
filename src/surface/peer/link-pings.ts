import { PingBook } from "#src/peer/ping-book.ts";
import type { JsonObject } from "#src/peer/signed-document.ts";
import type { LinkPost } from "./link-post.ts";
import type { Strand } from "./strand.ts";

/** The pings of one link: when they go, what they ask, and what the answers tell. */
export class LinkPings {
  readonly book: PingBook;
  #sentMs = 0;
  #nextProbeMs = 0;

  constructor(private readonly post: LinkPost) {
    this.book = new PingBook(post.tuning.pingPatienceMs);
  }

  /** Pings at once over a way that has just come to be, and probes it soon where that is due. */
  begin(strand: Strand, nowMs: number): void {
    this.#nextProbeMs = Math.max(this.#nextProbeMs, nowMs + this.post.tuning.probeDelayMs);
    this.#ping(strand, nowMs);
  }

  /** Pings and probes in their time. */
  tend(strand: Strand, nowMs: number): void {
    if (nowMs - this.#sentMs >= this.post.tuning.pingMs) this.#ping(strand, nowMs);
    else if (nowMs >= this.#nextProbeMs) this.#probe(strand, nowMs);
  }

  /** Answers the other end; padding is not sent back. */
  pong(strand: Strand, { number }: JsonObject): void {
    const wallMs = Math.round(this.post.clock.wallMs());
    if (Number.isSafeInteger(number)) strand.send("pong", { number, wallMs });
  }

  answered({ number, wallMs }: JsonObject): void {
    if (Number.isSafeInteger(number) && Number.isSafeInteger(wallMs))
      this.book.answer(Number(number), this.post.clock.monotonicMs(), Number(wallMs));
  }

  #ping(strand: Strand, nowMs: number): void {
    this.#sentMs = nowMs;
    strand.send("ping", { number: this.book.send(nowMs, this.post.clock.wallMs()) });
  }

  /** A ping with padding: what the line carries shows in how long it takes. */
  #probe(strand: Strand, nowMs: number): void {
    const { tuning, clock } = this.post;
    const [small, large] = tuning.probeBytes;
    const known = this.book.bytesPerSecond;
    const sizeBytes = known !== null && known >= tuning.probeLineBytes ? large : small;
    // The first, small one tells whether the line is worth a large one soon after.
    this.#nextProbeMs = nowMs + (known === null ? tuning.probeDelayMs : tuning.probeMs);
    const number = this.book.send(nowMs, clock.wallMs(), sizeBytes);
    strand.send("ping", { number, padding: "0".repeat(sizeBytes) });
  }
}
