import { mixWord } from "./permutation.ts";

/** What may be set about the split. */
export interface SplitOptions {
  /** Thousandths of the text held out for validation. */
  readonly validationPerMille: number;
  readonly seed: number;
}

/** How a corpus was split, as the manifest records it. */
export interface Split extends SplitOptions {
  /** `position`: the end of every document is held out; `document`: whole documents are. */
  readonly policy: "position" | "document";
}

/** What the decision needs to know about every document: a digest word and, while they are few, the size. */
export class DocumentList {
  #words = new Uint32Array(1024);
  #sizes: number[] = [];
  count = 0;

  /** `word` is the beginning of the content's digest, so that equal documents have equal words. */
  add(word: number, sizeBytes: number): void {
    if (this.count === this.#words.length) {
      const larger = new Uint32Array(this.#words.length * 2);
      larger.set(this.#words);
      this.#words = larger;
    }
    this.#words[this.count++] = word;
    if (this.count <= FEW_MAXIMUM) this.#sizes.push(sizeBytes);
  }

  wordOf(document: number): number {
    return this.#words[document]!;
  }

  sizeOf(document: number): number {
    return this.#sizes[document]!;
  }
}

/** Sizes are kept for this many documents: with one thousandth held out, fewer than a thousand are few. */
const FEW_MAXIMUM = 1000;

/** Where the parts of each document go. */
export interface SplitDecision {
  readonly split: Split;
  /** How many bytes of the document are for training: all, none, or up to a cut (before it is moved to a character). */
  trainingBytesOf(document: number): number;
}

/**
 * Decides what is held out. One document, or so few that whole ones cannot come near the wanted
 * share, are each cut by position. Otherwise every document goes to one side as its digest and the
 * seed decide, so equal documents stay together and a document's side does not depend on the
 * others; when that leaves a side empty, the document with the smallest word is held out.
 */
export function decideSplit(documents: DocumentList, options: SplitOptions): SplitDecision {
  const { validationPerMille, seed } = options;
  const key = mixWord(mixWord(seed >>> 0) ^ Math.floor(seed / 0x1_0000_0000));
  const words = Array.from({ length: Math.min(documents.count, FEW_MAXIMUM) }, (_, index) =>
    documents.wordOf(index),
  );
  const allEqual = documents.count <= FEW_MAXIMUM && new Set(words).size <= 1;
  if (documents.count * validationPerMille < 1000 || allEqual) {
    return {
      split: { ...options, policy: "position" },
      // The size times 1,000 stays below 2^53 for nine petabytes.
      trainingBytesOf: (document) =>
        Math.floor((documents.sizeOf(document) * (1000 - validationPerMille)) / 1000),
    };
  }
  const limit = Math.floor((validationPerMille * 0x1_0000_0000) / 1000);
  let heldOutCount = 0;
  let smallest = Infinity;
  for (let document = 0; document < documents.count; document++) {
    const mixed = mixWord(documents.wordOf(document) ^ key);
    if (mixed < limit) heldOutCount++;
    smallest = Math.min(smallest, mixed);
  }
  const everyOrNone = heldOutCount === 0 || heldOutCount === documents.count;
  return {
    split: { ...options, policy: "document" },
    trainingBytesOf: (document) => {
      const mixed = mixWord(documents.wordOf(document) ^ key);
      return (everyOrNone ? mixed === smallest : mixed < limit) ? 0 : Infinity;
    },
  };
}

/** Moves a cut back to where a character starts. */
export function characterStart(bytes: Uint8Array, cut: number): number {
  let start = cut;
  while (start > 0 && start < bytes.length && (bytes[start]! & 0xc0) === 0x80) start--;
  return start;
}
