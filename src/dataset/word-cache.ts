/** Most words of a corpus are few; each is encoded once while the cache lasts. */
const ENTRY_COUNT_MAXIMUM = 1 << 18;
/** Longer words hardly repeat and would fill memory. */
const WORD_LENGTH_MAXIMUM = 64;

/** Encodes words through a bounded memory of earlier results. */
export class WordCache {
  readonly #entries = new Map<string, readonly number[]>();

  constructor(readonly encodeWord: (word: string) => readonly number[]) {}

  /** The tokens of the words, one word after the other. */
  encode(words: readonly string[]): Int32Array {
    let tokens = new Int32Array(Math.max(16, words.length * 2));
    let count = 0;
    for (const word of words) {
      const encoded = this.#lookUp(word);
      if (count + encoded.length > tokens.length) {
        const larger = new Int32Array(Math.max(tokens.length * 2, count + encoded.length));
        larger.set(tokens);
        tokens = larger;
      }
      for (let index = 0; index < encoded.length; index++) tokens[count++] = encoded[index]!;
    }
    return tokens.subarray(0, count);
  }

  #lookUp(word: string): readonly number[] {
    const known = this.#entries.get(word);
    if (known !== undefined) return known;
    const encoded = this.encodeWord(word);
    if (word.length <= WORD_LENGTH_MAXIMUM) {
      if (this.#entries.size >= ENTRY_COUNT_MAXIMUM) this.#entries.clear();
      this.#entries.set(word, encoded);
    }
    return encoded;
  }
}
