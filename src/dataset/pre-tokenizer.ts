/**
 * Rules that cut text into words before byte pairs are merged, by the names llama.cpp knows.
 * Only these three are offered for training, because llama.cpp refuses files with any other.
 */
export type SplitName = "gpt-2" | "llama-bpe" | "qwen2";

export const splitNames: readonly SplitName[] = ["gpt-2", "llama-bpe", "qwen2"];

/** The published expressions, as tokenizer.json carries them. */
const published: Record<SplitName, string> = {
  "gpt-2": String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`,
  "llama-bpe": String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
  qwen2: String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
};

/**
 * The same rules for JavaScript. White space is the Unicode property, because `\s` here adds
 * U+FEFF and lacks U+0085; the case-insensitive group is spelled out, because case folding here
 * would also match the long s (U+017F), which the reference implementations do not.
 */
const javaScript: Record<SplitName, RegExp> = {
  "gpt-2": translate(published["gpt-2"]),
  "llama-bpe": translate(published["llama-bpe"]),
  qwen2: translate(published.qwen2),
};

function translate(expression: string): RegExp {
  const source = expression
    .replace("(?i:'s|'t|'re|'ve|'m|'ll|'d)", "'(?:[sS]|[tT]|[rR][eE]|[vV][eE]|[mM]|[lL][lL]|[dD])")
    .replaceAll("\\s", "\\p{White_Space}")
    .replaceAll("\\S", "\\P{White_Space}");
  return new RegExp(source, "gu");
}

/** The words of a text; joined they are the text again. */
export function splitWords(split: SplitName, text: string): readonly string[] {
  return text.match(javaScript[split]) ?? [];
}

/** The rule as the `pre_tokenizer` part of a tokenizer.json. */
export function splitAsJson(split: SplitName): unknown {
  return {
    type: "Sequence",
    pretokenizers: [
      {
        type: "Split",
        pattern: { Regex: published[split] },
        behavior: "Isolated",
        invert: false,
      },
      { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false },
    ],
  };
}

/** The split of such a part, or null when it is none of ours. */
export function splitFromJson(preTokenizer: unknown): SplitName | null {
  const text = JSON.stringify(preTokenizer);
  return splitNames.find((split) => JSON.stringify(splitAsJson(split)) === text) ?? null;
}

/**
 * The last place where a text may be cut so that the two parts have the same words as the whole:
 * before a space that follows no white space, or before white space that follows a letter or a
 * number. No rule looks behind, and no word reaches over such a place. 0 when there is none from
 * `start` on.
 */
export function lastSafeCut(text: string, start = 0): number {
  for (let index = text.length - 1; index > 0 && index >= start; index--) {
    const unit = text.charCodeAt(index);
    if (unit !== 32 && unit !== 10 && unit !== 13 && unit !== 9) continue;
    const before = text.slice(index - 1, index);
    if (unit === 32 ? !/\p{White_Space}/u.test(before) : /[\p{L}\p{N}]/u.test(before)) return index;
  }
  return 0;
}
