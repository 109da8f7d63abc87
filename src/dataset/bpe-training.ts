import { bytesInTokenOrder } from "./byte-alphabet.ts";
import { PairHeap } from "./pair-heap.ts";
import { splitWords, type SplitName } from "./pre-tokenizer.ts";

/** Two tokens that become one. The place in the list is the rank: earlier merges are applied first. */
export interface Merge {
  readonly left: number;
  readonly right: number;
  /** Mostly a new token; an older one when two ways of merging give the same bytes. */
  readonly merged: number;
}

/** Token numbers stay below this, so that a pair fits one exact number. */
const VOCABULARY_LIMIT = 2 ** 21;

/** Longer words are counted in pieces: a page of base64 has no words to learn and would take for ever. */
const WORD_LENGTH_MAXIMUM = 256;
/** A pair seen once is no pattern. */
const PAIR_COUNT_MINIMUM = 2;

/** One exact number for a pair; ordering numbers orders pairs. */
export function pairOf(left: number, right: number): number {
  return left * VOCABULARY_LIMIT + right;
}

/** Counts the words of a text that may arrive in segments cut at safe places. */
export class WordCounts {
  readonly counts = new Map<string, number>();

  constructor(readonly split: SplitName) {}

  add(text: string): void {
    for (const word of splitWords(this.split, text)) {
      if (word.length <= WORD_LENGTH_MAXIMUM) this.#count(word);
      else for (const piece of piecesOf(word)) this.#count(piece);
    }
  }

  #count(word: string): void {
    this.counts.set(word, (this.counts.get(word) ?? 0) + 1);
  }
}

function* piecesOf(word: string): Iterable<string> {
  for (let start = 0; start < word.length;) {
    let end = Math.min(word.length, start + WORD_LENGTH_MAXIMUM);
    const unit = word.charCodeAt(end);
    if (end < word.length && unit >= 0xdc00 && unit <= 0xdfff) end++;
    yield word.slice(start, end);
    start = end;
  }
}

/**
 * Learns byte-pair merges (Sennrich, Haddow and Birch 2016, on bytes as in GPT-2) until
 * `tokenCount` tokens exist, the 256 bytes included, or no pair occurs twice. Equal counts are
 * decided by the smaller pair, so the result depends on nothing but the word counts.
 */
export function trainMerges(words: WordCounts, tokenCount: number): readonly Merge[] {
  const training = new Training(words.counts);
  while (training.tokenCount < tokenCount && training.mergeNext());
  return training.merges;
}

class Training {
  readonly merges: Merge[] = [];
  tokenCount = 256;
  readonly #heap = new PairHeap();
  readonly #pairCounts = new Map<number, number>();
  /** Words in which a pair occurred when it was noted; it may have gone since. */
  readonly #pairWords = new Map<number, number[]>();
  /** All words' tokens, one after the other; a word shrinks in place as its tokens merge. */
  readonly #tokens: Int32Array;
  readonly #starts: Float64Array;
  readonly #lengths: Int32Array;
  readonly #wordCounts: Float64Array;
  /** The spelling of every token, to find a token that already has the bytes of a new merge. */
  readonly #spellings: string[];
  readonly #tokenOfSpelling = new Map<string, number>();

  constructor(counts: ReadonlyMap<string, number>) {
    const tokenOfByte = new Int32Array(256);
    bytesInTokenOrder.forEach((byte, token) => (tokenOfByte[byte] = token));
    this.#spellings = bytesInTokenOrder.map((byte) => String.fromCharCode(byte));
    this.#spellings.forEach((spelling, token) => this.#tokenOfSpelling.set(spelling, token));
    const encoder = new TextEncoder();
    const encoded = [...counts.keys()].map((word) => encoder.encode(word));
    this.#tokens = new Int32Array(encoded.reduce((total, bytes) => total + bytes.length, 0));
    this.#starts = new Float64Array(encoded.length);
    this.#lengths = new Int32Array(encoded.length);
    this.#wordCounts = Float64Array.from(counts.values());
    let start = 0;
    encoded.forEach((bytes, word) => {
      this.#starts[word] = start;
      this.#lengths[word] = bytes.length;
      for (const byte of bytes) this.#tokens[start++] = tokenOfByte[byte]!;
    });
    this.#countPairs();
  }

  #countPairs(): void {
    for (let word = 0; word < this.#lengths.length; word++) {
      const start = this.#starts[word]!;
      for (let index = start; index < start + this.#lengths[word]! - 1; index++) {
        const pair = pairOf(this.#tokens[index]!, this.#tokens[index + 1]!);
        this.#change(pair, this.#wordCounts[word]!);
        this.#note(pair, word);
      }
    }
    for (const [pair, count] of this.#pairCounts) this.#heap.push(pair, count);
  }

  /** Applies the most frequent pair everywhere; false when nothing is left worth merging. */
  mergeNext(): boolean {
    const pair = this.#nextPair();
    if (pair === null) return false;
    const left = Math.floor(pair / VOCABULARY_LIMIT);
    const right = pair % VOCABULARY_LIMIT;
    const spelling = this.#spellings[left]! + this.#spellings[right]!;
    let merged = this.#tokenOfSpelling.get(spelling);
    if (merged === undefined) {
      merged = this.tokenCount++;
      this.#spellings.push(spelling);
      this.#tokenOfSpelling.set(spelling, merged);
    }
    this.merges.push({ left, right, merged });
    const grown = new Set<number>();
    for (const word of this.#pairWords.get(pair) ?? [])
      this.#mergeWord(word, left, right, merged, grown);
    this.#pairCounts.delete(pair);
    this.#pairWords.delete(pair);
    for (const changed of grown) {
      const count = this.#pairCounts.get(changed) ?? 0;
      if (count > 0) this.#heap.push(changed, count);
    }
    return true;
  }

  #nextPair(): number | null {
    for (;;) {
      const top = this.#heap.pop();
      if (top === null || top.count < PAIR_COUNT_MINIMUM) return null;
      const count = this.#pairCounts.get(top.pair) ?? 0;
      if (count === top.count) return top.pair;
      // A pair that became rarer goes back to its place; one that became commoner is there already.
      if (count > 0 && count < top.count) this.#heap.push(top.pair, count);
    }
  }

  #mergeWord(word: number, left: number, right: number, merged: number, grown: Set<number>): void {
    const tokens = this.#tokens;
    const start = this.#starts[word]!;
    const end = start + this.#lengths[word]!;
    const count = this.#wordCounts[word]!;
    let write = start;
    for (let read = start; read < end; read++) {
      if (tokens[read] !== left || read + 1 >= end || tokens[read + 1] !== right) {
        tokens[write++] = tokens[read]!;
        continue;
      }
      if (write > start) {
        const before = tokens[write - 1]!;
        this.#change(pairOf(before, left), -count);
        this.#add(pairOf(before, merged), word, count, grown);
      }
      if (read + 2 < end) {
        const after = tokens[read + 2]!;
        this.#change(pairOf(right, after), -count);
        this.#add(pairOf(merged, after), word, count, grown);
      }
      tokens[write++] = merged;
      read++;
    }
    this.#lengths[word] = write - start;
  }

  #add(pair: number, word: number, count: number, grown: Set<number>): void {
    this.#change(pair, count);
    this.#note(pair, word);
    grown.add(pair);
  }

  #change(pair: number, difference: number): void {
    this.#pairCounts.set(pair, (this.#pairCounts.get(pair) ?? 0) + difference);
  }

  #note(pair: number, word: number): void {
    const words = this.#pairWords.get(pair);
    if (words === undefined) this.#pairWords.set(pair, [word]);
    else if (words[words.length - 1] !== word) words.push(word);
  }
}
