import { Refusal } from "#src/refusal/refusal.ts";
import type { Digest } from "#src/codec/digest.ts";
import type { BlobKind } from "./layout.ts";

/** What a request to a holder is given to work with. */
export interface Asking {
  /** Aborted with a refusal when the holder has been silent or slow for too long. */
  readonly signal: AbortSignal;
  /** Told of bytes as they arrive, so that silence is noticed. */
  received(byteCount: number): void;
}

/**
 * Somebody who may hold an artifact: another node, a folder, a bucket. It is believed nothing: whoever
 * asks checks every byte. Implementations for the network stand in `node`.
 *
 * Both requests are refused with `artifact_unknown` where it has not got the blob, with `holder_failed` where it
 * cannot be reached or breaks off, with `holder_busy` where it says that it has too much to do, and with
 * `holder_lied` where the length alone is wrong.
 */
export interface Holder {
  /** For people and receipts; carries no secret. */
  readonly name: string;
  /** A manifest's bytes, at most `maximumBytes`. */
  fetchManifest(digest: Digest, maximumBytes: number, asking: Asking): Promise<Uint8Array>;
  /** Fills `into` with exactly the chunk; writes nothing to it once the signal is aborted. */
  fetchChunk(digest: Digest, into: Uint8Array, asking: Asking): Promise<void>;
}

/** Gathers a body of known or bounded size, refusing more than its maximum as soon as it comes. */
export class Gathered {
  #count = 0;

  constructor(
    readonly into: Uint8Array,
    readonly asking: Asking,
    readonly holder: string,
  ) {}

  /** Refused with `holder_lied` when more comes than there should be. */
  add(piece: Uint8Array): void {
    // Whoever asked has gone on to another holder, with the same buffer.
    this.asking.signal.throwIfAborted();
    if (this.#count + piece.byteLength > this.into.byteLength)
      throw wrongLength(this.holder, `more than ${this.into.byteLength} bytes`);
    this.into.set(piece, this.#count);
    this.#count += piece.byteLength;
    this.asking.received(piece.byteLength);
  }

  get bytes(): Uint8Array {
    return this.into.subarray(0, this.#count);
  }

  /** Refused with `holder_failed` when the body ended early: a broken connection looks the same. */
  requireFull(): void {
    if (this.#count === this.into.byteLength) return;
    throw new Refusal(
      "holder_failed",
      `${this.holder} ended after ${this.#count} of ${this.into.byteLength} bytes`,
      "pull again, or name another holder",
      { holder: this.holder, receivedBytes: this.#count },
    );
  }
}

export function wrongLength(holder: string, found: string): Refusal {
  return new Refusal(
    "holder_lied",
    `${holder} gave ${found}`,
    "do not trust what it holds; name another holder",
    { holder },
  );
}

export function holderFailed(holder: string, reason: string): Refusal {
  return new Refusal(
    "holder_failed",
    `${holder}: ${reason}`,
    "check the address, or name another holder",
    { holder, reason },
  );
}

export function holderBusy(holder: string): Refusal {
  return new Refusal(
    "holder_busy",
    `${holder} gives to as many as it can`,
    "it is asked again by itself; name another holder as well",
    { holder },
  );
}

export function holderLacks(holder: string, kind: BlobKind, digest: Digest): Refusal {
  return new Refusal(
    "artifact_unknown",
    `${holder} has no ${kind === "chunks" ? "chunk" : "manifest"} ${digest}`,
    "name another holder",
    { holder, digest },
  );
}
