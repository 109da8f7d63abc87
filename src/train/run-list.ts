/** Every run in one line, as `runs` and a page list them. */
import type { Store } from "#src/port/store.ts";
import { percentOfPeak } from "./run-series.ts";
import { RunStore } from "./run-store.ts";

/** Newest first. Each run costs a few look-ups, however long it is. */
export function listRuns(store: Store, nowMs: number) {
  const runs = new RunStore(store);
  return runs.all().map((run) => {
    const last = runs.lastStep(run.id);
    const evaluation = runs.evaluations(run.id, 1)[0];
    const { task } = run.manifest.data.reference;
    return {
      run: run.id,
      name: run.name,
      state: runs.stateOf(run, nowMs),
      size: run.manifest.size,
      task,
      step: last?.step ?? 0,
      steps: run.manifest.schedule.steps,
      loss: last?.loss ?? null,
      valLoss: evaluation?.loss ?? null,
      bitsPerByte: evaluation?.bitsPerByte ?? null,
      exactMatch: task === "addition" ? (evaluation?.exactMatch ?? null) : null,
      tokensPerSecond: last?.tokensPerSecond ?? null,
      percentOfPeak:
        last && percentOfPeak(run, last.tokensPerSecond, runs.lastStart(run.id).peakFlops),
      createdMs: run.createdMs,
    };
  });
}
