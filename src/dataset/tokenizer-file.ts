import { END_OF_TEXT, type TokenizerFile } from "./tokenizer.ts";

/** What a tokenizer.json of the BPE model says, in Hugging Face's terms. */
export interface TokenizerFileParts {
  readonly vocabulary: readonly (readonly [name: string, token: number])[];
  readonly merges: readonly (readonly [left: string, right: string])[];
  readonly preTokenizer: unknown;
  /** Whether names are bytes in GPT-2's alphabet; otherwise they are the characters themselves. */
  readonly byteLevel: boolean;
  readonly endOfText: number | null;
}

/** tokenizer.json and tokenizer_config.json, byte for byte the same for the same parts. */
export function huggingFaceFiles(parts: TokenizerFileParts): readonly TokenizerFile[] {
  const byteLevel = {
    type: "ByteLevel",
    add_prefix_space: false,
    trim_offsets: true,
    use_regex: false,
  };
  const endOfText =
    parts.endOfText === null
      ? []
      : [
          {
            id: parts.endOfText,
            content: END_OF_TEXT,
            single_word: false,
            lstrip: false,
            rstrip: false,
            normalized: false,
            special: true,
          },
        ];
  const tokenizer = {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: endOfText,
    normalizer: null,
    pre_tokenizer: parts.preTokenizer,
    post_processor: parts.byteLevel ? byteLevel : null,
    decoder: parts.byteLevel ? byteLevel : { type: "Fuse" },
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: "\u0000vocabulary",
      merges: parts.merges,
    },
  };
  // A JavaScript object would move keys such as "7" to the front, so the vocabulary is written by hand.
  const vocabulary = parts.vocabulary
    .map(([name, token]) => `      ${JSON.stringify(name)}: ${token}`)
    .join(",\n");
  const placeholder = JSON.stringify("\u0000vocabulary");
  const content = JSON.stringify(tokenizer, null, 2).replace(
    placeholder,
    () => `{\n${vocabulary}\n    }`,
  );
  const configuration = {
    tokenizer_class: "PreTrainedTokenizerFast",
    clean_up_tokenization_spaces: false,
    model_max_length: 1_000_000_000,
    ...(parts.endOfText === null ? {} : { eos_token: END_OF_TEXT }),
  };
  return [
    { name: "tokenizer.json", content: `${content}\n` },
    { name: "tokenizer_config.json", content: `${JSON.stringify(configuration, null, 2)}\n` },
  ];
}
