import { digestBytes, type Digest } from "#src/codec/digest.ts";
import { Count } from "./count.ts";
import { probeNames, type ProbeName } from "./probes.ts";
import type { SimulationResult } from "./simulation.ts";
import { faultKinds, type FaultKind } from "./weather.ts";

/** A seed on which a checker found something, and the line that shows it again. */
export interface FailedSeed {
  readonly seed: number;
  readonly reason: string;
  readonly rerun: string;
}

/** Failed seeds that are listed; the others only count. */
export const failedMaximum = 100;

/** What many simulations add up to. */
export class Simulations {
  readonly #faults = new Count<FaultKind>(faultKinds);
  readonly #probes = new Count<ProbeName>(probeNames);
  readonly #failed: FailedSeed[] = [];
  #count = 0;
  #passed = 0;
  #commitCount = 0;
  #hash: Digest = digestBytes("");

  constructor(readonly rerunOf: (seed: number) => string) {}

  get count(): number {
    return this.#count;
  }

  /** Takes the next one in; gives its failure, if it failed. */
  add({ seed, reason, faults, probes, commitCount, hash }: SimulationResult): FailedSeed | null {
    this.#count++;
    this.#faults.addAll(faults);
    this.#probes.addAll(probes);
    this.#commitCount += commitCount;
    this.#hash = digestBytes(this.#hash + hash);
    if (reason === null) {
      this.#passed++;
      return null;
    }
    const failure = { seed, reason, rerun: this.rerunOf(seed) };
    if (this.#failed.length < failedMaximum) this.#failed.push(failure);
    return failure;
  }

  result() {
    return {
      type: "result" as const,
      seeds: this.#count,
      passed: this.#passed,
      failed: [...this.#failed],
      commits: this.#commitCount,
      faultsFired: this.#faults.toJSON(),
      probes: this.#probes.toJSON(),
      hash: this.#hash,
    };
  }
}
