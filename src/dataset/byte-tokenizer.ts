import { digestJson } from "#src/codec/digest.ts";
import { byteCharacters } from "./byte-alphabet.ts";
import { huggingFaceFiles } from "./tokenizer-file.ts";
import {
  END_OF_TEXT,
  type Tokenizer,
  type TokenizerDescription,
  type TokenizerFile,
} from "./tokenizer.ts";

/** Every byte is a token: nothing to learn, nothing unknown. Token 256 ends a document where there are several. */
export class ByteTokenizer implements Tokenizer {
  readonly kind = "byte";
  readonly vocabularySize: number;
  readonly endOfText: number | null;
  readonly digest: string;

  constructor(options: { readonly endOfText: boolean }) {
    this.endOfText = options.endOfText ? 256 : null;
    this.vocabularySize = options.endOfText ? 257 : 256;
    this.digest = digestJson({ kind: this.kind, endOfText: this.endOfText });
  }

  encode(text: string, options: { readonly specialTokens?: boolean } = {}): Int32Array {
    if (options.specialTokens && this.endOfText !== null && text.includes(END_OF_TEXT)) {
      const tokens: number[] = [];
      text.split(END_OF_TEXT).forEach((part, index) => {
        if (index > 0) tokens.push(this.endOfText!);
        for (const byte of new TextEncoder().encode(part)) tokens.push(byte);
      });
      return Int32Array.from(tokens);
    }
    return this.encodeBytes(new TextEncoder().encode(text));
  }

  encodeBytes(bytes: Uint8Array): Int32Array {
    return Int32Array.from(bytes);
  }

  decode(tokens: Iterable<number>): Uint8Array {
    return Uint8Array.from([...tokens].filter((token) => token >= 0 && token < 256));
  }

  byteLengthOf(token: number): number {
    return token >= 0 && token < 256 ? 1 : 0;
  }

  describe(): TokenizerDescription {
    const { kind, digest, vocabularySize, endOfText } = this;
    return { kind, digest, vocabularySize, endOfText };
  }

  files(): readonly TokenizerFile[] {
    return huggingFaceFiles({
      vocabulary: byteCharacters.map((character, byte) => [character, byte] as const),
      merges: [],
      preTokenizer: {
        type: "ByteLevel",
        add_prefix_space: false,
        trim_offsets: true,
        use_regex: false,
      },
      byteLevel: true,
      endOfText: this.endOfText,
    });
  }
}
