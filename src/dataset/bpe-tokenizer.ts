import { digestJson } from "#src/codec/digest.ts";
import { bytesInTokenOrder, writeBytes } from "./byte-alphabet.ts";
import type { Merge } from "./bpe-training.ts";
import { mergeTable, mergeWord, type MergeTable } from "./merge-word.ts";
import { splitAsJson, splitFromJson, splitWords, type SplitName } from "./pre-tokenizer.ts";
import { huggingFaceFiles } from "./tokenizer-file.ts";
import {
  END_OF_TEXT,
  type Tokenizer,
  type TokenizerDescription,
  type TokenizerFile,
} from "./tokenizer.ts";
import { WordCache } from "./word-cache.ts";

/** Byte-level byte-pair encoding with merges learned here. The last token ends a document. */
export class BpeTokenizer implements Tokenizer {
  readonly kind = "bpe";
  readonly vocabularySize: number;
  readonly endOfText: number;
  readonly digest: string;
  readonly #tokenBytes: readonly Uint8Array[];
  readonly #tokenOfByte = new Int32Array(256);
  readonly #table: MergeTable;
  readonly #cache = new WordCache((word) => this.#encodeWord(word));

  constructor(
    readonly split: SplitName,
    readonly merges: readonly Merge[],
  ) {
    const tokenBytes = bytesInTokenOrder.map((byte) => Uint8Array.of(byte));
    bytesInTokenOrder.forEach((byte, token) => (this.#tokenOfByte[byte] = token));
    for (const { left, right, merged } of merges) {
      tokenBytes[merged] = Uint8Array.of(...tokenBytes[left]!, ...tokenBytes[right]!);
    }
    this.#tokenBytes = tokenBytes;
    this.#table = mergeTable(merges);
    this.endOfText = tokenBytes.length;
    this.vocabularySize = tokenBytes.length + 1;
    this.digest = digestJson({
      kind: this.kind,
      split,
      merges: merges.map(({ left, right, merged }) => [left, right, merged]),
    });
  }

  /** The tokenizer that `files` wrote; null when the text is not such a file. */
  static fromFile(text: string): BpeTokenizer | null {
    try {
      const { pre_tokenizer, model } = JSON.parse(text);
      const split = splitFromJson(pre_tokenizer);
      const tokenOf = (name: string): number => {
        const token: unknown = Object.hasOwn(model.vocab, name) ? model.vocab[name] : undefined;
        if (!Number.isInteger(token)) throw new TypeError(`${name} is no token`);
        return token as number;
      };
      const merges = (model.merges as [string, string][]).map(([left, right]) => ({
        left: tokenOf(left),
        right: tokenOf(right),
        merged: tokenOf(left + right),
      }));
      return split === null ? null : new BpeTokenizer(split, merges);
    } catch {
      return null;
    }
  }

  encode(text: string, options: { readonly specialTokens?: boolean } = {}): Int32Array {
    if (!options.specialTokens || !text.includes(END_OF_TEXT)) {
      return this.#cache.encode(splitWords(this.split, text));
    }
    const parts = text.split(END_OF_TEXT).map((part) => [...this.encode(part)]);
    return Int32Array.from(
      parts.flatMap((part, index) => (index > 0 ? [this.endOfText, ...part] : part)),
    );
  }

  encodeBytes(bytes: Uint8Array): Int32Array {
    return this.encode(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes));
  }

  #encodeWord(word: string): readonly number[] {
    const bytes = new TextEncoder().encode(word);
    return mergeWord(
      Array.from(bytes, (byte) => this.#tokenOfByte[byte]!),
      this.#table,
    );
  }

  decode(tokens: Iterable<number>): Uint8Array {
    const bytes: number[] = [];
    for (const token of tokens) for (const byte of this.#tokenBytes[token] ?? []) bytes.push(byte);
    return Uint8Array.from(bytes);
  }

  byteLengthOf(token: number): number {
    return this.#tokenBytes[token]?.length ?? 0;
  }

  describe(): TokenizerDescription {
    const { kind, digest, vocabularySize, endOfText, split } = this;
    return { kind, digest, vocabularySize, endOfText, split };
  }

  files(): readonly TokenizerFile[] {
    const names = this.#tokenBytes.map(writeBytes);
    return huggingFaceFiles({
      vocabulary: [
        ...names.map((name, token) => [name, token] as const),
        [END_OF_TEXT, this.endOfText],
      ],
      merges: this.merges.map(({ left, right }) => [names[left]!, names[right]!] as const),
      preTokenizer: splitAsJson(this.split),
      byteLevel: true,
      endOfText: this.endOfText,
    });
  }
}
