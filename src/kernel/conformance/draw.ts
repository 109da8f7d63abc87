import { fromBits } from "#src/kernel/reference/binary32.ts";

/** What the elements of a drawn tensor are like; each kind is where some implementation went wrong. */
export type Kind =
  /** Magnitudes around one. */
  | "ordinary"
  /** Around 2⁻³⁹, below which chains see +0. */
  | "threshold"
  /** Any exponent up to 2²⁰, subnormals included. */
  | "bounded"
  /** Any exponent up to 2⁴⁰, subnormals included. */
  | "spread"
  /** Subnormals, the smallest normals, ±0. */
  | "tiny"
  /** Halves of small integers and neighbours of one: sums cancel and ties are exact. */
  | "halves"
  /** 2⁵⁰ … 2⁵⁷: products of two, summed 4,096 times, stay finite. */
  | "huge"
  /** Around 2⁻¹⁰⁰, where optimizer moments become +0. */
  | "floor";

export const everyKind: readonly Kind[] = [
  ...([
    "ordinary",
    "ordinary",
    "ordinary",
    "threshold",
    "spread",
    "tiny",
    "halves",
    "huge",
  ] as const),
];
/** For operations that multiply several operands or take exponentials of differences. */
export const boundedKinds: readonly Kind[] = [
  ...(["ordinary", "ordinary", "ordinary", "threshold", "bounded", "tiny", "halves"] as const),
];

const awkwardSizes = [
  ...[1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 15, 16, 17, 19, 23, 24, 31, 32, 33, 47, 48, 49, 63, 64],
  ...[65, 97, 127, 128, 129, 191, 255, 257, 383, 511, 512, 513, 769, 1023, 1024, 1025, 1537],
  ...[4095, 4096, 4097, 8191, 8193, 12_289, 20_011],
];

/** Spreads every bit of a word over all of it (a bijection). */
function mix(word: number): number {
  let z = word | 0;
  z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
  z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
  return z ^ (z >>> 15);
}

/** A seeded source of sizes, choices and values: the same key and seed draw the same case anywhere. */
export class Draw {
  private state: number;

  constructor(key: number, seed: number) {
    this.state = mix(mix(key + 1) ^ seed);
  }

  /** An unsigned 32-bit word: a Weyl sequence through a mixing function. */
  word(): number {
    this.state = (this.state + 0x9e3779b9) | 0;
    return mix(this.state) >>> 0;
  }

  /** 0 … count−1. */
  below(count: number): number {
    return Math.floor((this.word() / 2 ** 32) * count);
  }

  chance(numerator: number, denominator: number): boolean {
    return this.below(denominator) < numerator;
  }

  flag(): 0 | 1 {
    return this.chance(1, 2) ? 1 : 0;
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)]!;
  }

  /** An awkward size up to a maximum. */
  size(maximum: number): number {
    const fitting = awkwardSizes.filter((size) => size <= maximum);
    return this.pick(fitting);
  }

  /** Sizes whose product stays within a budget; any of them may be the large one. */
  sizes(count: number, budget: number): number[] {
    const result = Array.from({ length: count }, () => 1);
    const order = result.map((_, index) => index);
    for (let i = count - 1; i > 0; i--) {
      const j = this.below(i + 1);
      [order[i], order[j]] = [order[j]!, order[i]!];
    }
    let left = budget;
    for (const index of order) {
      const size = this.size(Math.max(1, this.flag() ? left : Math.floor(Math.sqrt(left))));
      result[index] = size;
      left = Math.floor(left / size);
    }
    return result;
  }

  /** The row's own length, or longer. */
  stride(columns: number): number {
    return this.flag() ? columns : columns + 1 + this.below(17);
  }

  /** Uniform in [0, 1). */
  unit(): number {
    return this.word() / 2 ** 32;
  }

  /** One binary32 value of a kind. */
  value(kind: Kind): number {
    switch (kind) {
      case "ordinary":
        return Math.fround(this.unit() + this.unit() + this.unit() + this.unit() - 2);
      case "threshold":
        return this.withExponent(-45, -33, [2 ** -39, fromBits(0x2bffffff), -(2 ** -39)]);
      case "bounded":
        return this.withExponent(-150, 20, [0, -0]);
      case "spread":
        return this.withExponent(-150, 40, [0, -0]);
      case "tiny":
        return this.withExponent(-150, -120, [0, -0, fromBits(1), fromBits(0x007fffff), 2 ** -126]);
      case "halves":
        return this.withCrumb((this.below(33) - 16) / 2);
      case "huge":
        return this.withExponent(50, 57, [2 ** 57]);
      case "floor":
        return this.withExponent(-104, -96, [2 ** -100, fromBits(0x0d7fffff), 0]);
    }
  }

  private withExponent(from: number, to: number, special: readonly number[]): number {
    if (this.chance(1, 16)) return this.pick(special);
    const biased = Math.max(0, from + this.below(to - from) + 127);
    const bits = this.word();
    return fromBits((bits & 0x807fffff) | (biased << 23));
  }

  private withCrumb(value: number): number {
    if (!this.chance(1, 8)) return value;
    return Math.fround(value * (1 + this.pick([2 ** -23, -(2 ** -24), 2 ** -12, 2 ** -11])));
  }
}
