import { digestJson } from "#src/codec/digest.ts";
import { assert, Refusal } from "#src/refusal/refusal.ts";
import { huggingFaceFiles } from "./tokenizer-file.ts";
import {
  END_OF_TEXT,
  type Tokenizer,
  type TokenizerDescription,
  type TokenizerFile,
} from "./tokenizer.ts";

const UNKNOWN = -1;

/**
 * Every character (Unicode code point) of the corpus is a token, numbered by code point. A
 * character the corpus lacks is refused by name rather than replaced: the model never saw it.
 */
export class CharTokenizer implements Tokenizer {
  readonly kind = "char";
  readonly vocabularySize: number;
  readonly endOfText: number | null;
  readonly digest: string;
  readonly #characters: readonly string[];
  readonly #bytes: readonly Uint8Array[];
  /** Token of each code point of the basic plane; the rest are in the map. */
  readonly #basicTokens = new Int32Array(0x10000).fill(UNKNOWN);
  readonly #otherTokens = new Map<number, number>();

  /** `characters` in token order, each once. */
  constructor(characters: readonly string[], options: { readonly endOfText: boolean }) {
    this.#characters = characters;
    this.#bytes = characters.map((character) => new TextEncoder().encode(character));
    characters.forEach((character, token) => {
      const codePoint = character.codePointAt(0)!;
      if (codePoint < 0x10000) this.#basicTokens[codePoint] = token;
      else this.#otherTokens.set(codePoint, token);
    });
    this.endOfText = options.endOfText ? characters.length : null;
    this.vocabularySize = characters.length + (options.endOfText ? 1 : 0);
    this.digest = digestJson({
      kind: this.kind,
      characters: characters.join(""),
      endOfText: this.endOfText,
    });
  }

  /** The vocabulary of the code points seen in a corpus. */
  static ofCodePoints(
    codePoints: Iterable<number>,
    options: { readonly endOfText: boolean },
  ): CharTokenizer {
    const sorted = [...new Set(codePoints)].sort((a, b) => a - b);
    return new CharTokenizer(
      sorted.map((codePoint) => String.fromCodePoint(codePoint)),
      options,
    );
  }

  encode(text: string, options: { readonly specialTokens?: boolean } = {}): Int32Array {
    if (options.specialTokens && this.endOfText !== null && text.includes(END_OF_TEXT)) {
      const parts = text.split(END_OF_TEXT).map((part) => [...this.encode(part)]);
      return Int32Array.from(
        parts.flatMap((part, index) => (index > 0 ? [this.endOfText!, ...part] : part)),
      );
    }
    const tokens = new Int32Array(text.length);
    let count = 0;
    for (let index = 0; index < text.length; index++) {
      const codePoint = text.codePointAt(index)!;
      const token =
        codePoint < 0x10000
          ? this.#basicTokens[codePoint]!
          : (this.#otherTokens.get(codePoint) ?? UNKNOWN);
      if (token === UNKNOWN) throw unknownCharacter(codePoint, index);
      tokens[count++] = token;
      if (codePoint >= 0x10000) index++;
    }
    return tokens.subarray(0, count);
  }

  encodeBytes(bytes: Uint8Array): Int32Array {
    return this.encode(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes));
  }

  decode(tokens: Iterable<number>): Uint8Array {
    let text = "";
    for (const token of tokens) text += this.#characters[token] ?? "";
    return new TextEncoder().encode(text);
  }

  byteLengthOf(token: number): number {
    return this.#bytes[token]?.length ?? 0;
  }

  describe(): TokenizerDescription {
    const { kind, digest, vocabularySize, endOfText } = this;
    return { kind, digest, vocabularySize, endOfText, characters: this.#characters.join("") };
  }

  /** The tokenizer a manifest describes. */
  static fromDescription(description: TokenizerDescription): CharTokenizer {
    assert(
      description.characters !== undefined,
      "a char tokenizer's description lists its characters",
    );
    return new CharTokenizer([...description.characters], {
      endOfText: description.endOfText !== null,
    });
  }

  files(): readonly TokenizerFile[] {
    return huggingFaceFiles({
      vocabulary: this.#characters.map((character, token) => [character, token] as const),
      merges: [],
      preTokenizer: null,
      byteLevel: false,
      endOfText: this.endOfText,
    });
  }
}

function unknownCharacter(codePoint: number, index: number): Refusal {
  const name = `U+${codePoint.toString(16).toUpperCase().padStart(4, "0")}`;
  const printed =
    codePoint > 32 && codePoint !== 127 ? ` "${String.fromCodePoint(codePoint)}"` : "";
  return new Refusal(
    "character_unknown",
    `the character${printed} (${name}) does not occur in the text this model was trained on`,
    "Leave the character out, or train with the byte or BPE tokenizer, which know every character.",
    { character: name, index },
  );
}
