/** Which run should be training, so that a node that was killed goes on with it. */
import * as v from "valibot";
import type { Store } from "#src/port/store.ts";
import { isaParameter, threadsParameter } from "./parameter-entries.ts";
import { minutesParameter } from "./train-parameters.ts";

/** What of a request is not pinned by the run's manifest. */
const optionsSchema = v.object({
  threads: threadsParameter("all cores"),
  isa: isaParameter,
  minutes: minutesParameter,
});
export type IntentOptions = v.InferOutput<typeof optionsSchema>;

export interface RunIntent {
  readonly run: string;
  readonly sinceMs: number;
  readonly options: IntentOptions;
}

export class RunIntents {
  constructor(readonly store: Store) {}

  /** The run should train from now on, until it is dropped. */
  want(run: string, options: IntentOptions, nowMs: number): void {
    this.store.run(
      "INSERT OR REPLACE INTO run_intent (run, wanted, since_ms, options) VALUES (?, 1, ?, ?)",
      run,
      nowMs,
      JSON.stringify(v.parse(optionsSchema, options)),
    );
  }

  /** It was stopped, failed or is complete. */
  drop(run: string): void {
    this.store.run("UPDATE run_intent SET wanted = 0 WHERE run = ?", run);
  }

  /** Newest first. Options that cannot be read are left out: they change no bit of a run. */
  wanted(): RunIntent[] {
    return this.store
      .all("SELECT * FROM run_intent WHERE wanted = 1 ORDER BY since_ms DESC LIMIT 100")
      .map((row) => ({
        run: String(row["run"]),
        sinceMs: Number(row["since_ms"]),
        options: readOptions(String(row["options"])),
      }));
  }
}

function readOptions(text: string): IntentOptions {
  try {
    return v.parse(optionsSchema, JSON.parse(text));
  } catch {
    return {};
  }
}
