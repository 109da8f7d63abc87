import type { Digest } from "#src/codec/digest.ts";
import type { SplitName } from "./pre-tokenizer.ts";

/** Text to numbers and back. Implementations are pure: the same text gives the same tokens everywhere. */
export interface Tokenizer {
  readonly kind: "byte" | "char" | "bpe" | "loaded";
  readonly vocabularySize: number;
  /** The token that separates documents, or null when the vocabulary has none. */
  readonly endOfText: number | null;
  /** Digest of everything that decides the encoding. */
  readonly digest: Digest;
  /**
   * Tokens of a text. Names of special tokens inside it are ordinary characters unless
   * `specialTokens` is set, so that a corpus cannot forge a document border.
   * Refusals: `character_unknown`.
   */
  encode(text: string, options?: { readonly specialTokens?: boolean }): Int32Array;
  /** Tokens of bytes that are valid UTF-8. */
  encodeBytes(bytes: Uint8Array): Int32Array;
  /** Bytes of tokens; special tokens and numbers outside the vocabulary give nothing. A cut may fall inside a character. */
  decode(tokens: Iterable<number>): Uint8Array;
  /** How many bytes of text one token stands for; 0 for special tokens. */
  byteLengthOf(token: number): number;
  /** What a manifest records, enough together with `files` to build the tokenizer again. */
  describe(): TokenizerDescription;
  /** The files of a Hugging Face directory that make other programs encode the same way. */
  files(): readonly TokenizerFile[];
}

/** A tokenizer as a manifest records it. */
export interface TokenizerDescription {
  readonly kind: Tokenizer["kind"];
  readonly digest: Digest;
  readonly vocabularySize: number;
  readonly endOfText: number | null;
  /** `char` only: every character in token order. */
  readonly characters?: string | undefined;
  /** `bpe` only: the rule that cuts text into words before merging. */
  readonly split?: SplitName | undefined;
}

/** A file to write beside a model. */
export interface TokenizerFile {
  readonly name: "tokenizer.json" | "tokenizer_config.json";
  readonly content: string;
}

/** The name of the token that ends a document, as GPT-2 and its successors spell it. */
export const END_OF_TEXT = "<|endoftext|>";

/**
 * Turns a stream of tokens into text as it arrives: bytes of an unfinished character are held
 * back until the rest comes. Bytes that can never become a character appear as U+FFFD.
 */
export class TextStream {
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });

  constructor(readonly tokenizer: Tokenizer) {}

  /** The text that one more token completes, possibly empty. */
  push(token: number): string {
    return this.#decoder.decode(this.tokenizer.decode([token]), { stream: true });
  }

  /** What is left at the end: an unfinished character becomes U+FFFD. */
  end(): string {
    return this.#decoder.decode();
  }
}

/** The text of tokens; bytes that are no UTF-8 appear as U+FFFD. */
export function decodeText(tokenizer: Tokenizer, tokens: Iterable<number>): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(tokenizer.decode(tokens));
}
