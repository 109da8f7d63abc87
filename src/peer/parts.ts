import * as v from "valibot";
import { canonicalText, digestBytes, type Digest } from "#src/codec/digest.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { digestShape } from "./shapes.ts";
import { isObject, malformed, readCanonical, type JsonObject } from "./signed-document.ts";

/**
 * A body that does not fit one document goes as several messages of the kind `part`, each signed and
 * counted like any other: slices of the canonical text of what would have been said, in base64, which
 * grows by a third whatever stands in it.
 */

export const partKind = "part";

/**
 * Bytes of one slice. What else is said waits behind it, so on a line of a megabit a second it takes less than
 * one; in base64, with what stands around it, it fits a document.
 */
export const sliceBytes = 64 * 1024;
/** Slices of one body: 32 MiB. */
export const sliceMaximum = 512;
/** Bodies of one sender that may be incomplete at once; with more the oldest is given up. */
export const streamMaximum = 4;
/** Bytes of all incomplete bodies of all senders; one of them has at most half. */
export const heldMaximumBytes = 64 * 1024 * 1024;
/** A body of which nothing came for so long is given up. */
export const silenceMaximumMs = 30_000;
/** A body that is not whole after so long is given up, however it drips. */
export const ageMaximumMs = 120_000;

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

const partSchema = v.strictObject({
  /** The sender's own number for the whole; none comes twice in an epoch. */
  stream: count,
  place: v.pipe(count, v.maxValue(sliceMaximum - 1)),
  count: v.pipe(count, v.minValue(1), v.maxValue(sliceMaximum)),
  /** SHA-256 of the whole text. */
  digest: digestShape,
  slice: v.pipe(v.string(), v.maxLength(Math.ceil(sliceBytes / 3) * 4)),
});

export type Part = v.InferOutput<typeof partSchema>;

/** What was said, as if it had come in one message. */
export interface Said {
  readonly kind: string;
  readonly body: JsonObject;
}

/**
 * The bodies of the messages `part` that carry one too large for a document. `stream` is the sender's own
 * count. Refused with `message_too_large` beyond 32 MiB.
 */
export function splitBody({ kind, body }: Said, stream: number): readonly Part[] {
  const bytes = Buffer.from(canonicalText({ kind, body }));
  const maximumBytes = sliceBytes * sliceMaximum;
  if (bytes.length > maximumBytes)
    throw new Refusal(
      "message_too_large",
      `${bytes.length} bytes are more than members say to each other at once, ${maximumBytes}`,
      "ask for less at once; what is larger travels as an artifact",
      { sizeBytes: bytes.length, maximumBytes },
    );
  const digest = digestBytes(bytes);
  const total = Math.ceil(bytes.length / sliceBytes);
  return Array.from({ length: total }, (_, place) => {
    const slice = bytes.subarray(place * sliceBytes, (place + 1) * sliceBytes).toString("base64");
    return { stream, place, count: total, digest, slice };
  });
}

/** One body of which not all came. */
interface Stream {
  readonly count: number;
  readonly digest: Digest;
  readonly slices: Map<number, Uint8Array>;
  /** The most it may come to hold; counted from its first part on. */
  readonly heldBytes: number;
  readonly openedMs: number;
  heardMs: number;
}

/** The bodies that are being put together, by sender. Times are monotonic milliseconds. */
export class PartBox {
  readonly #senders = new Map<string, Map<number, Stream>>();
  #heldBytes = 0;
  #lostCount = 0;

  constructor(private readonly maximumBytes = heldMaximumBytes) {}

  /** Bytes that incomplete bodies hold or may come to hold. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** Bodies that were given up because parts of them did not come in time, or too many were begun. */
  get lostCount(): number {
    return this.#lostCount;
  }

  /**
   * Takes the body of an admitted message `part`. Gives what was said once the last part of it came, null
   * before. A refused part ends its whole body.
   *
   * Refusals: `envelope_malformed`; `parts_broken` where parts disagree, one comes twice or the whole has
   * another digest; `peer_busy` where too much is incomplete.
   */
  take(sender: string, body: JsonObject, nowMs: number): Said | null {
    this.prune(nowMs);
    const parsed = v.safeParse(partSchema, body);
    if (!parsed.success) throw malformed(`a part: ${parsed.issues[0].message}`);
    const part = parsed.output;
    const stream = this.#stream(sender, part, nowMs);
    const slice = sliceOf(part);
    const { slices } = stream;
    const isFit =
      stream.count === part.count && stream.digest === part.digest && !slices.has(part.place);
    if (slice === null || !isFit) {
      this.#drop(sender, part.stream);
      throw broken(
        sender,
        part.stream,
        slice === null ? "a slice has a wrong length" : "they disagree",
      );
    }
    slices.set(part.place, slice);
    stream.heardMs = nowMs;
    if (slices.size < stream.count) return null;
    this.#drop(sender, part.stream);
    return whole(sender, part.stream, stream);
  }

  /** Gives up what is too old or silent. */
  prune(nowMs: number): void {
    for (const [sender, streams] of this.#senders)
      for (const [number, { heardMs, openedMs }] of streams)
        if (nowMs - heardMs > silenceMaximumMs || nowMs - openedMs > ageMaximumMs)
          this.#lose(sender, number);
  }

  /** Gives up everything of a sender: its link ended, or it began anew. */
  forget(sender: string): void {
    for (const number of this.#senders.get(sender)?.keys() ?? []) this.#lose(sender, number);
  }

  #stream(sender: string, part: Part, nowMs: number): Stream {
    const known = this.#senders.get(sender)?.get(part.stream);
    if (known !== undefined) return known;
    const heldBytes = part.count * sliceBytes;
    this.#makeRoom(sender, heldBytes);
    if (this.#heldBytes + heldBytes > this.maximumBytes) throw full(this.maximumBytes);
    const { count, digest } = part;
    const stream: Stream = {
      ...{ count, digest, heldBytes, slices: new Map() },
      ...{ openedMs: nowMs, heardMs: nowMs },
    };
    const streams = this.#senders.get(sender) ?? new Map<number, Stream>();
    this.#senders.set(sender, streams.set(part.stream, stream));
    this.#heldBytes += heldBytes;
    return stream;
  }

  /** A sender's newest bodies push its own oldest out: it has a number of them, and half of all bytes. */
  #makeRoom(sender: string, heldBytes: number): void {
    const streams = this.#senders.get(sender) ?? new Map<number, Stream>();
    const ownBytes = () => [...streams.values()].reduce((sum, each) => sum + each.heldBytes, 0);
    while (
      streams.size > 0 &&
      (streams.size >= streamMaximum || ownBytes() + heldBytes > this.maximumBytes / 2)
    )
      this.#lose(sender, streams.keys().next().value!);
  }

  #lose(sender: string, number: number): void {
    this.#lostCount++;
    this.#drop(sender, number);
  }

  #drop(sender: string, number: number): void {
    const streams = this.#senders.get(sender);
    this.#heldBytes -= streams?.get(number)?.heldBytes ?? 0;
    streams?.delete(number);
    if (streams?.size === 0) this.#senders.delete(sender);
  }
}

/** The bytes of a slice; null where it is no base64 of the length that its place asks for. */
function sliceOf({ place, count: total, slice }: Part): Uint8Array | null {
  const bytes = Buffer.from(slice, "base64");
  const isLast = place === total - 1;
  const isLong = isLast
    ? bytes.length > 0 && bytes.length <= sliceBytes
    : bytes.length === sliceBytes;
  return place < total && isLong && bytes.toString("base64") === slice ? bytes : null;
}

function whole(sender: string, number: number, { count: total, digest, slices }: Stream): Said {
  const bytes = Buffer.concat(Array.from({ length: total }, (_, place) => slices.get(place)!));
  if (digestBytes(bytes) !== digest) throw broken(sender, number, "the whole has another digest");
  const { kind, body, ...more } = readCanonical(bytes, sliceBytes * sliceMaximum);
  const isSaid = typeof kind === "string" && /^[a-z-]{1,32}$/.test(kind) && kind !== partKind;
  if (isSaid && isObject(body) && Object.keys(more).length === 0) return { kind, body };
  throw malformed("what its parts make is no message");
}

function broken(sender: string, stream: number, why: string): Refusal {
  return new Refusal(
    "parts_broken",
    `the parts of message ${stream} of ${sender} make no whole: ${why}`,
    "it is said again where it matters; a part that is wrong again is a bug of the other node",
    { node: sender, stream },
  );
}

function full(maximumBytes: number): Refusal {
  return new Refusal(
    "peer_busy",
    `large messages that are not whole yet hold ${maximumBytes} bytes already`,
    "try again in a minute",
    { maximumBytes },
  );
}
