/** All runs in a few numbers, for figures that are read often; costs little, however many runs there are. */
import type { Store } from "#src/port/store.ts";
import { runStates, type RunState } from "./run-rows.ts";
import { RunStore } from "./run-store.ts";

export interface RunTally {
  /** Runs by state, states nobody is in among them. */
  readonly states: Readonly<Record<RunState, number>>;
  /** Steps recorded in all runs, and the tokens they were taken on. */
  readonly steps: number;
  readonly tokens: number;
}

/** Counts by the last step of each run, so that no run is read through. */
export function tallyRuns(store: Store, nowMs: number): RunTally {
  const runs = new RunStore(store);
  const states = Object.fromEntries(runStates.map((state) => [state, 0])) as Record<
    RunState,
    number
  >;
  let steps = 0;
  let tokens = 0;
  const last = (column: string) =>
    `(SELECT ${column} FROM run_step WHERE run = run.id ORDER BY step DESC LIMIT 1) AS ${column}`;
  const rows = store.all(`SELECT state, heartbeat_ms, ${last("step")}, ${last("tokens")} FROM run`);
  for (const row of rows) {
    const run = { state: row["state"] as RunState, heartbeatMs: Number(row["heartbeat_ms"]) };
    states[runs.stateOf(run, nowMs)] += 1;
    steps += Number(row["step"] ?? 0);
    tokens += Number(row["step"] ?? 0) * Number(row["tokens"] ?? 0);
  }
  return { states, steps, tokens };
}
