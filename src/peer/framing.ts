import { assert, Refusal } from "#src/refusal/refusal.ts";
import { documentMaximumBytes } from "./signed-document.ts";

/** A frame's length: an unsigned integer of four bytes, little-endian. */
const headBytes = 4;

/** A document as it goes over a pipe: its length, then its bytes. */
export function frameOf(document: Uint8Array): Uint8Array {
  assert(document.length <= documentMaximumBytes, "a frame holds at most one document");
  const frame = new Uint8Array(headBytes + document.length);
  new DataView(frame.buffer).setUint32(0, document.length, true);
  frame.set(document, headBytes);
  return frame;
}

/**
 * The documents of a stream of frames, however it was cut into pieces. Holds at most one frame and
 * one piece. Refused with `envelope_malformed` where a frame is announced too large, before any of
 * it is kept, and where the stream ends inside a frame.
 */
export async function* readFrames(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const held = new Held();
  for await (const piece of pieces) {
    held.push(piece);
    for (;;) {
      const sizeBytes = held.announced();
      if (sizeBytes === null) break;
      if (sizeBytes > documentMaximumBytes) throw tooLarge(sizeBytes);
      const frame = held.take(sizeBytes);
      if (frame === null) break;
      yield frame;
    }
  }
  if (held.sizeBytes > 0)
    throw new Refusal(
      "envelope_malformed",
      `the line ended inside a frame, ${held.sizeBytes} bytes into it`,
      "call again; the program at the other end may have been stopped",
    );
}

/** Bytes that are not a whole frame yet. */
class Held {
  readonly #pieces: Uint8Array[] = [];
  sizeBytes = 0;

  push(piece: Uint8Array): void {
    if (piece.length === 0) return;
    this.#pieces.push(piece);
    this.sizeBytes += piece.length;
  }

  /** The size of the frame that begins here; null before its head is whole. */
  announced(): number | null {
    if (this.sizeBytes < headBytes) return null;
    const first = this.#pieces[0]!;
    const head = first.length >= headBytes ? first : this.#join();
    return new DataView(head.buffer, head.byteOffset, headBytes).getUint32(0, true);
  }

  /** The frame that begins here, removed; null before it is whole. */
  take(sizeBytes: number): Uint8Array | null {
    const endBytes = headBytes + sizeBytes;
    if (this.sizeBytes < endBytes) return null;
    const all = this.#join();
    this.#pieces.length = 0;
    this.sizeBytes = 0;
    this.push(all.subarray(endBytes));
    return all.subarray(headBytes, endBytes);
  }

  #join(): Uint8Array {
    const all = this.#pieces.length === 1 ? this.#pieces[0]! : Buffer.concat(this.#pieces);
    this.#pieces.splice(0, this.#pieces.length, all);
    return all;
  }
}

function tooLarge(sizeBytes: number): Refusal {
  return new Refusal(
    "envelope_malformed",
    `a frame of ${sizeBytes} bytes was announced; the most is ${documentMaximumBytes}`,
    "the other end must speak frames and nothing else: no greeting, no log on its standard output",
    { sizeBytes, maximumBytes: documentMaximumBytes },
  );
}
