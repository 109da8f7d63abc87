import type { Digest } from "#src/codec/digest.ts";
import { noDigest, receiptDigest, rotationKind, type Receipt } from "./receipt.ts";
import { currentKey, readHistory, rotationBody, rotationMaximum } from "./rotation.ts";
import { nodeIdOf } from "./signature.ts";
import { receiptWrong, verifySignatures } from "./verify-receipt.ts";

/** What was found out about a stretch of a chain that holds. */
export interface ChainSummary {
  readonly author: string;
  readonly first: number;
  readonly last: number;
  readonly count: number;
  /** Digest of the last receipt: who knows it knows everything before it. */
  readonly head: Digest;
  /** The keys that signed, in order. */
  readonly keys: readonly string[];
  readonly rotationCount: number;
  /** Receipts whose time is before that of the receipt before: clocks jump, the order does not. */
  readonly backwardCount: number;
  /** True when it begins with the author's first receipt. */
  readonly isFromStart: boolean;
}

/**
 * Verifies an author's receipts one by one, in order, keeping only the end of the chain. Each must be
 * the author's, follow the one before without a hole, name its digest, and be signed by the
 * key the author had at that place: the first key, whose digest is the node id, or one that
 * rotations handed over to. A stretch from the middle needs the rotations before it.
 */
export class ChainVerifier {
  readonly author: string;
  #key: string | null;
  #first: number | null = null;
  #sequence = 0;
  #head: Digest = noDigest;
  #atMs = 0;
  #rotationCount = 0;
  #backwardCount = 0;
  readonly #keys: string[] = [];
  /** Every key met so far: none comes back once it was rotated away. */
  readonly #known = new Set<string>();

  /** `rotations`: those before the stretch, verified here. Refused as `readHistory` refuses. */
  constructor(author: string, rotations: readonly Receipt[] = []) {
    this.author = author;
    const [first] = rotations;
    this.#key = null;
    if (first === undefined) return;
    if (nodeIdOf(first.key) !== author)
      throw receiptWrong("receipt_author_wrong", first, `its key is not the first of ${author}`);
    const history = readHistory(first.key, rotations);
    for (const { key } of history.keys) this.#known.add(key);
    this.#key = currentKey(history);
    this.#sequence = rotations.at(-1)!.sequence;
    this.#head = receiptDigest(rotations.at(-1)!);
  }

  /** Takes the next receipt and gives its digest. Refusals name the receipt (docs/RECEIPTS.md). */
  add(receipt: Receipt): Digest {
    const digest = receiptDigest(receipt);
    if (receipt.author !== this.author)
      throw receiptWrong("receipt_author_wrong", receipt, `the chain is that of ${this.author}`);
    this.#link(receipt);
    this.#checkKey(receipt);
    verifySignatures(receipt);
    if (receipt.atMs < this.#atMs) this.#backwardCount++;
    this.#first ??= receipt.sequence;
    this.#sequence = receipt.sequence;
    this.#head = digest;
    this.#atMs = receipt.atMs;
    if (this.#keys.at(-1) !== receipt.key) this.#keys.push(receipt.key);
    if (receipt.kind === rotationKind) this.#turn(receipt);
    return digest;
  }

  /** What holds so far; null before the first receipt. */
  summary(): ChainSummary | null {
    if (this.#first === null) return null;
    return {
      author: this.author,
      first: this.#first,
      last: this.#sequence,
      count: this.#sequence - this.#first + 1,
      head: this.#head,
      keys: [...this.#keys],
      rotationCount: this.#rotationCount,
      backwardCount: this.#backwardCount,
      isFromStart: this.#first === 1,
    };
  }

  #link(receipt: Receipt): void {
    const { sequence, previous } = receipt;
    if (this.#first === null) {
      // The receipt before a stretch is not here; its digest is taken at its word.
      if ((sequence === 1) !== (previous === noDigest))
        throw receiptWrong(
          "receipt_chain_broken",
          receipt,
          "only a chain's first receipt has none before",
        );
      if (sequence <= this.#sequence)
        throw receiptWrong(
          "receipt_chain_broken",
          receipt,
          "it stands before a rotation it follows",
        );
      // Where the rotation before the stretch is the receipt before it, the link shows.
      const isNext = this.#known.size > 0 && sequence === this.#sequence + 1;
      if (isNext && previous !== this.#head)
        throw receiptWrong("receipt_chain_broken", receipt, "it does not name the receipt before");
      return;
    }
    if (sequence !== this.#sequence + 1)
      throw receiptWrong(
        "receipt_chain_broken",
        receipt,
        `receipt ${this.#sequence + 1} was to come here`,
        { expectedSequence: this.#sequence + 1 },
      );
    if (previous !== this.#head)
      throw receiptWrong("receipt_chain_broken", receipt, "it does not name the receipt before", {
        expectedPrevious: this.#head,
        previous,
      });
  }

  #checkKey(receipt: Receipt): void {
    if (this.#key === null) {
      if (nodeIdOf(receipt.key) !== this.author)
        throw receiptWrong(
          "receipt_author_wrong",
          receipt,
          "its key is not its author's first, and no rotation leads to it",
          { key: receipt.key },
        );
      this.#key = receipt.key;
    }
    if (receipt.key !== this.#key)
      throw receiptWrong(
        "receipt_author_wrong",
        receipt,
        "its key was not its author's at this place",
        {
          key: receipt.key,
          expectedKey: this.#key,
        },
      );
  }

  #turn(receipt: Receipt): void {
    const { from, to } = rotationBody(receipt);
    this.#known.add(from);
    if (this.#known.has(to))
      throw receiptWrong(
        "receipt_author_wrong",
        receipt,
        "it leads back to a key that was retired",
      );
    if (this.#known.size > rotationMaximum)
      throw receiptWrong("receipt_malformed", receipt, `it is beyond ${rotationMaximum} rotations`);
    this.#known.add(to);
    this.#key = to;
    this.#rotationCount++;
  }
}

/**
 * Verifies a stretch of a chain at once; null when there is nothing. `rotations` are those before it.
 */
export function verifyChain(
  receipts: Iterable<Receipt>,
  author: string,
  rotations: readonly Receipt[] = [],
): ChainSummary | null {
  const verifier = new ChainVerifier(author, rotations);
  for (const receipt of receipts) verifier.add(receipt);
  return verifier.summary();
}
