import { PairHeap } from "./pair-heap.ts";
import { pairOf, type Merge } from "./bpe-training.ts";

/** Merges by pair: the value holds the rank and the merged token. */
export type MergeTable = ReadonlyMap<number, { readonly rank: number; readonly merged: number }>;

/** Above this length scanning for the best pair again and again costs more than a heap. */
const SCAN_LENGTH_MAXIMUM = 64;

export function mergeTable(merges: readonly Merge[]): MergeTable {
  return new Map(
    merges.map(({ left, right, merged }, rank) => [pairOf(left, right), { rank, merged }]),
  );
}

/** Applies merges to a word's tokens, the lowest rank first and the leftmost among equals. */
export function mergeWord(tokens: readonly number[], table: MergeTable): readonly number[] {
  return tokens.length <= SCAN_LENGTH_MAXIMUM
    ? mergeByScanning(tokens, table)
    : mergeByHeap(tokens, table);
}

/** Quadratic in the length, with nothing to set up. */
export function mergeByScanning(word: readonly number[], table: MergeTable): readonly number[] {
  const tokens = [...word];
  for (;;) {
    let bestRank = Infinity;
    let bestIndex = -1;
    let bestMerged = -1;
    for (let index = 0; index + 1 < tokens.length; index++) {
      const merge = table.get(pairOf(tokens[index]!, tokens[index + 1]!));
      if (merge !== undefined && merge.rank < bestRank) {
        bestRank = merge.rank;
        bestIndex = index;
        bestMerged = merge.merged;
      }
    }
    if (bestIndex < 0) return tokens;
    tokens.splice(bestIndex, 2, bestMerged);
  }
}

/** n log n in the length, so that one endless word cannot stall a corpus. */
export function mergeByHeap(word: readonly number[], table: MergeTable): readonly number[] {
  const GONE = -1;
  const tokens = Int32Array.from(word);
  const next = Int32Array.from(word, (_, index) => index + 1);
  const previous = Int32Array.from(word, (_, index) => index - 1);
  const heap = new PairHeap();
  // The heap puts high counts first, so ranks enter negated; its second key is the place.
  const offer = (index: number): void => {
    if (index < 0 || next[index]! >= tokens.length) return;
    const merge = table.get(pairOf(tokens[index]!, tokens[next[index]!]!));
    if (merge !== undefined) heap.push(index, -merge.rank);
  };
  for (let index = 0; index < tokens.length; index++) offer(index);
  for (let top = heap.pop(); top !== null; top = heap.pop()) {
    const index = top.pair;
    const after = next[index]!;
    if (tokens[index] === GONE || after >= tokens.length) continue;
    const merge = table.get(pairOf(tokens[index]!, tokens[after]!));
    if (merge === undefined || merge.rank !== -top.count) continue;
    tokens[index] = merge.merged;
    tokens[after] = GONE;
    const beyond = next[after]!;
    next[index] = beyond;
    if (beyond < tokens.length) previous[beyond] = index;
    offer(previous[index]!);
    offer(index);
  }
  return [...tokens].filter((token) => token !== GONE);
}
