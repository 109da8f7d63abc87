/** Texts that a run's model wrote while it was learning. */
import type { Store } from "#src/port/store.ts";

/** Samples kept of a run; older ones make room. */
export const sampleMaximum = 200;

export interface RunSample {
  /** Completed steps of the model that wrote it. */
  readonly step: number;
  readonly atMs: number;
  readonly prompt: string;
  readonly text: string;
}

export class SampleStore {
  constructor(readonly store: Store) {}

  /** Adds a sample; one of the same step is replaced. */
  put(run: string, { step, atMs, prompt, text }: RunSample): void {
    this.store.transaction(() => {
      this.store.run(
        "INSERT OR REPLACE INTO run_sample (run, step, at_ms, prompt, text) VALUES (?, ?, ?, ?, ?)",
        ...[run, step, atMs, prompt, text],
      );
      this.store.run(
        `DELETE FROM run_sample WHERE run = ?1 AND step <=
           (SELECT step FROM run_sample WHERE run = ?1 ORDER BY step DESC LIMIT 1 OFFSET ?2)`,
        run,
        sampleMaximum,
      );
    });
  }

  /** The newest, ascending by step. */
  last(run: string, count = sampleMaximum): RunSample[] {
    return this.store
      .all("SELECT * FROM run_sample WHERE run = ? ORDER BY step DESC LIMIT ?", run, count)
      .map((row) => ({
        step: Number(row["step"]),
        atMs: Number(row["at_ms"]),
        prompt: String(row["prompt"]),
        text: String(row["text"]),
      }))
      .reverse();
  }
}
