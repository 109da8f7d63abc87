/**
 * What the time of a step is spent on. It watches from outside: the loop itself knows no clock, and
 * nothing that is computed depends on what is measured here.
 */
import type { Clock } from "#src/port/clock.ts";
import type { Executor } from "./executor.ts";
import type { StepSplit } from "./run-rows.ts";
import type { TrainingData } from "./trainer.ts";

export class StepTimes {
  #dataMs = 0;
  readonly #besideMs = { evaluate: 0, checkpoint: 0 };

  constructor(
    readonly clock: Pick<Clock, "monotonicMs">,
    readonly executor: Pick<Executor, "takeSpentMs">,
  ) {}

  /** The same data, with the time its training batches take measured. */
  watch(data: TrainingData): TrainingData {
    return {
      sample: data.sample,
      full: data.full,
      batch: (step) => {
        const startMs = this.clock.monotonicMs();
        const batch = data.batch(step);
        this.#dataMs += this.clock.monotonicMs() - startMs;
        return batch;
      },
    };
  }

  /** Measures work between steps. A checkpoint that an evaluation asks for counts as evaluating. */
  async measure<T>(what: "evaluate" | "checkpoint", work: () => Promise<T>): Promise<T> {
    const startMs = this.clock.monotonicMs();
    try {
      return await work();
    } finally {
      this.#besideMs[what] += this.clock.monotonicMs() - startMs;
    }
  }

  /** Everything measured since the last call of this, in seconds. */
  take(): StepSplit {
    const spent = this.executor.takeSpentMs();
    const of = (name: "gradient" | "accumulate" | "norm" | "update" | "breathing") =>
      spent.get(name) ?? 0;
    const split = {
      data: this.#dataMs / 1000,
      gradient: (of("gradient") + of("accumulate")) / 1000,
      norm: of("norm") / 1000,
      update: of("update") / 1000,
      evaluate: this.#besideMs.evaluate / 1000,
      // A checkpoint is hashed and written while the loop lets others work.
      checkpoint: (this.#besideMs.checkpoint + of("breathing")) / 1000,
    };
    this.#dataMs = this.#besideMs.evaluate = this.#besideMs.checkpoint = 0;
    return split;
  }
}
