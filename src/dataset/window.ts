import type { WindowPolicy } from "./dataset.ts";
import { Permutation } from "./permutation.ts";
import { philoxOfSeed, scaleWord, type Philox } from "#src/codec/philox.ts";

/** Tells the uses of one seed apart; a number is never used for something else. */
const PURPOSE = { shift: 1, order: 2, offset: 3 } as const;

/** Where each row of a run starts in the training tokens: a pure function of seed and row number. */
export interface WindowOrder {
  /** The first token of row `sample`, counted over all ranks and steps. */
  startOf(sample: number): number;
  /** Rows of one pass, or null when rows are drawn independently. */
  readonly samplesPerEpoch: number | null;
}

/** The order of a policy over `tokenCount` tokens, at least `contextLength` + 1. */
export function windowOrder(
  policy: WindowPolicy,
  seed: number,
  tokenCount: number,
  contextLength: number,
): WindowOrder {
  const generator = philoxOfSeed(seed);
  return policy === "epoch"
    ? new EpochOrder(generator, tokenCount, contextLength)
    : randomOrder(generator, tokenCount - contextLength);
}

/** Independent uniform starts. */
function randomOrder(generator: Philox, startCount: number): WindowOrder {
  const words = new Uint32Array(4);
  return {
    samplesPerEpoch: null,
    startOf(sample) {
      generator.words(
        words,
        sample % 0x1_0000_0000,
        Math.floor(sample / 0x1_0000_0000),
        PURPOSE.offset,
        0,
      );
      return scaleWord(words[0]!, startCount);
    },
  };
}

/**
 * Passes over the tokens: in each, windows that do not overlap are taken in a seeded order, all of
 * them shifted by a seeded number of tokens so that their borders differ from pass to pass. Every
 * token is the input once and the target once in a pass, but for fewer than two contexts at the ends.
 */
class EpochOrder implements WindowOrder {
  readonly samplesPerEpoch: number;
  readonly #shiftCount: number;
  /** Steps ask for one pass after the other, so the last one is kept; any other can be made again. */
  #current: { readonly epoch: number; readonly shift: number; readonly order: Permutation } | null =
    null;

  constructor(
    readonly generator: Philox,
    tokenCount: number,
    readonly contextLength: number,
  ) {
    this.samplesPerEpoch = Math.max(1, Math.floor((tokenCount - contextLength) / contextLength));
    this.#shiftCount = Math.min(contextLength, tokenCount - this.samplesPerEpoch * contextLength);
  }

  startOf(sample: number): number {
    const { shift, order } = this.#epoch(Math.floor(sample / this.samplesPerEpoch));
    return shift + order.at(sample % this.samplesPerEpoch) * this.contextLength;
  }

  #epoch(epoch: number) {
    if (this.#current?.epoch !== epoch) {
      const words = new Uint32Array(4);
      this.generator.words(words, epoch, 0, PURPOSE.shift, 0);
      const order = new Permutation(this.samplesPerEpoch, this.generator, PURPOSE.order, epoch);
      this.#current = { epoch, shift: scaleWord(words[0]!, this.#shiftCount), order };
    }
    return this.#current;
  }
}
