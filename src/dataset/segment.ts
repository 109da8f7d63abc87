import { lastSafeCut } from "./pre-tokenizer.ts";

/** Text is encoded in segments of about this many UTF-16 units, cut where words end. */
const SEGMENT_LENGTH = 1 << 20;
/** Text without any place to cut, such as a dump of base64, is cut here all the same to bound memory. */
const SEGMENT_LENGTH_MAXIMUM = 1 << 22;

/** Collects pieces of a document into texts that end where words end. */
export class Segments {
  #decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  #text = "";
  /** How much of the text was searched in vain for a place to cut. */
  #searchedLength = 0;

  constructor(
    readonly take: (text: string) => void | Promise<void>,
    readonly limits = { length: SEGMENT_LENGTH, maximum: SEGMENT_LENGTH_MAXIMUM },
  ) {}

  async add(bytes: Uint8Array, last: boolean): Promise<void> {
    this.#text += this.#decoder.decode(bytes);
    if (last) return this.flush();
    if (this.#text.length < this.limits.length) return;
    let cut = lastSafeCut(this.#text, this.#searchedLength);
    this.#searchedLength = this.#text.length;
    if (cut === 0 && this.#text.length < this.limits.maximum) return;
    if (cut === 0) cut = this.#text.length;
    const text = this.#text.slice(0, cut);
    this.#text = this.#text.slice(cut);
    this.#searchedLength = 0;
    await this.take(text);
  }

  async flush(): Promise<void> {
    const text = this.#text;
    this.#text = "";
    this.#searchedLength = 0;
    if (text.length > 0) await this.take(text);
  }
}
