import { lastSafeCut } from "./pre-tokenizer.ts";

/** Text is encoded in segments of about this many UTF-16 units, cut where words end. */
const SEGMENT_LENGTH = 1 << 20;

/** Collects pieces of a document into texts that end where words end. */
export class Segments {
  #decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  #text = "";

  constructor(readonly take: (text: string) => void | Promise<void>) {}

  async add(bytes: Uint8Array, last: boolean): Promise<void> {
    this.#text += this.#decoder.decode(bytes);
    if (last) return this.flush();
    if (this.#text.length < SEGMENT_LENGTH) return;
    const cut = lastSafeCut(this.#text);
    if (cut === 0) return;
    const text = this.#text.slice(0, cut);
    this.#text = this.#text.slice(cut);
    await this.take(text);
  }

  async flush(): Promise<void> {
    const text = this.#text;
    this.#text = "";
    if (text.length > 0) await this.take(text);
  }
}
