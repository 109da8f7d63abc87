import { Tokenizer as LibraryTokenizer } from "@huggingface/tokenizers";
import { digestBytes } from "#src/codec/digest.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { readBytes } from "./byte-alphabet.ts";
import {
  END_OF_TEXT,
  type Tokenizer,
  type TokenizerDescription,
  type TokenizerFile,
} from "./tokenizer.ts";
import { WordCache } from "./word-cache.ts";

/** Names by which published models call the token that ends a document, tried in this order. */
const END_NAMES = [END_OF_TEXT, "<|end_of_text|>", "</s>", "<|im_end|>", "<eos>"];

/** The parts of a tokenizer.json that decide whether we can use it. */
interface TokenizerJson {
  readonly model?: {
    readonly type?: string;
    readonly vocab?: Record<string, number>;
    readonly merges?: unknown;
  };
  readonly decoder?: {
    readonly type?: string;
    readonly decoders?: readonly { readonly type?: string }[];
  } | null;
  readonly added_tokens?: readonly {
    readonly id: number;
    readonly content: string;
    readonly special: boolean;
  }[];
}

/**
 * A tokenizer read from a Hugging Face tokenizer.json of the byte-level BPE kind (GPT-2, Llama 3,
 * Qwen and their relatives). The library does the work; words are remembered, because it is slow
 * on a corpus otherwise. A normaliser in the file (Qwen composes characters) is applied, so
 * decoding gives the normalised text.
 */
export class LoadedTokenizer implements Tokenizer {
  readonly kind = "loaded";
  readonly vocabularySize: number;
  readonly endOfText: number | null;
  readonly digest: string;
  readonly #library: LibraryTokenizer;
  readonly #tokenBytes: readonly (Uint8Array | undefined)[];
  readonly #cache = new WordCache((word) => this.#encodeWord(word));

  /**
   * `text` is the content of tokenizer.json, `configuration` that of tokenizer_config.json when
   * there is one; `name` says in refusals which file it was. Refusals: `tokenizer_invalid`.
   */
  constructor(
    readonly text: string,
    readonly configuration: string | null = null,
    name = "tokenizer.json",
  ) {
    const json = parse(text, name) as TokenizerJson;
    const settings =
      configuration === null
        ? {}
        : (parse(configuration, "tokenizer_config.json") as { eos_token?: unknown });
    checkKind(json, name);
    try {
      this.#library = new LibraryTokenizer(json, settings);
    } catch (error) {
      throw invalid(name, `it was refused by the tokenizer library: ${String(error)}`);
    }
    this.#tokenBytes = readVocabulary(json, name);
    this.vocabularySize = this.#tokenBytes.length;
    this.endOfText = findEndOfText(json, settings.eos_token);
    this.digest = digestBytes(text);
  }

  encode(text: string, options: { readonly specialTokens?: boolean } = {}): Int32Array {
    if (options.specialTokens) {
      return Int32Array.from(this.#library.encode(text, { add_special_tokens: false }).ids);
    }
    const { normalizer, pre_tokenizer } = this.#library;
    const normal = normalizer === null ? text : normalizer.normalize(text);
    if (normal.length === 0) return new Int32Array(0);
    return this.#cache.encode(
      pre_tokenizer === null ? [normal] : pre_tokenizer.pre_tokenize([normal]),
    );
  }

  encodeBytes(bytes: Uint8Array): Int32Array {
    return this.encode(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes));
  }

  /** The word is in the byte alphabet already. */
  #encodeWord(word: string): readonly number[] {
    const model = this.#library.model!;
    return model.encode([word]).map((name) => model.tokens_to_ids.get(name)!);
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
    const { kind, digest, vocabularySize, endOfText } = this;
    return { kind, digest, vocabularySize, endOfText };
  }

  files(): readonly TokenizerFile[] {
    const files: TokenizerFile[] = [{ name: "tokenizer.json", content: this.text }];
    if (this.configuration !== null)
      files.push({ name: "tokenizer_config.json", content: this.configuration });
    return files;
  }
}

function invalid(name: string, reason: string): Refusal {
  return new Refusal(
    "tokenizer_invalid",
    `${name} cannot be used as a tokenizer: ${reason}`,
    "Use a tokenizer.json of a byte-level BPE model (GPT-2, Llama 3, Qwen), or train one with --tokenizer bpe.",
    { file: name },
  );
}

function parse(text: string, name: string): object {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw invalid(name, `it is not JSON (${(error as Error).message})`);
  }
  if (typeof value !== "object" || value === null) throw invalid(name, "it is not a JSON object");
  return value;
}

/** Only byte-level BPE turns every text into tokens and back without loss. */
function checkKind(json: TokenizerJson, name: string): void {
  const { model, decoder } = json;
  if (model?.type !== "BPE")
    throw invalid(name, `its model is ${JSON.stringify(model?.type ?? null)}, not "BPE"`);
  if (typeof model.vocab !== "object" || model.vocab === null || !Array.isArray(model.merges)) {
    throw invalid(name, "its vocabulary or its merges are missing");
  }
  const decoders = decoder?.type === "Sequence" ? (decoder.decoders ?? []) : [decoder];
  if (!decoders.some((part) => part?.type === "ByteLevel"))
    throw invalid(name, "it is not byte-level");
  if (json.added_tokens !== undefined && !Array.isArray(json.added_tokens)) {
    throw invalid(name, "its added tokens are not a list");
  }
}

/** The bytes of every token, by number; special tokens have none. */
function readVocabulary(json: TokenizerJson, name: string): readonly (Uint8Array | undefined)[] {
  const bytes: (Uint8Array | undefined)[] = [];
  const place = (token: number, value: Uint8Array | undefined): void => {
    if (!Number.isInteger(token) || token < 0 || token >= 2 ** 21) {
      throw invalid(name, `it has the token number ${token}`);
    }
    while (bytes.length <= token) bytes.push(undefined);
    bytes[token] = value;
  };
  const added = new Set((json.added_tokens ?? []).map((token) => token.content));
  let byteCount = 0;
  for (const [spelling, token] of Object.entries(json.model!.vocab!)) {
    const value = added.has(spelling) ? undefined : readBytes(spelling);
    if (value === null)
      throw invalid(name, `its token ${JSON.stringify(spelling)} stands for no bytes`);
    if (value?.length === 1) byteCount++;
    place(token, value);
  }
  if (byteCount < 256) throw invalid(name, `it knows ${byteCount} of the 256 bytes`);
  for (const token of json.added_tokens ?? []) {
    place(token.id, token.special ? undefined : new TextEncoder().encode(token.content));
  }
  return bytes;
}

function findEndOfText(json: TokenizerJson, configured: unknown): number | null {
  const name =
    typeof configured === "object" && configured !== null
      ? (configured as { content?: unknown }).content
      : configured;
  const special = (json.added_tokens ?? []).filter((token) => token.special);
  for (const candidate of [name, ...END_NAMES]) {
    const token = special.find((each) => each.content === candidate);
    if (token !== undefined) return token.id;
  }
  return null;
}
