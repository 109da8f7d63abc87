import { getLogger } from "@logtape/logtape";
import type { Services } from "#src/command/define.ts";
import type { Run, RunPhase } from "#src/window/run.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { Chronicle } from "#src/train/chronicle.ts";
import type { RunManifest } from "#src/train/run-manifest.ts";
import { RunStore, type RunState, type TimedStep } from "#src/train/run-store.ts";
import type { EvaluationRecord } from "#src/train/trainer.ts";

const log = getLogger(["psionic", "runs"]);

/** How often a run that goes on says that its keeper lives. */
const beatMs = 5_000;

const states: Readonly<Record<RunPhase, RunState>> = {
  ...{ planned: "planned", initializing: "planned", active: "running", recovering: "running" },
  ...{ paused: "paused", completed: "completed", stopped: "interrupted", failed: "failed" },
};

/**
 * The mesh's runs as rows among the home's own, under the same id: so that whatever shows, samples or exports a run
 * does it with these too. Steps here are those of the run's schedule: everybody's pace added up.
 */
export class LocalRuns {
  readonly #beatMs = new Map<string, number>();
  #runs: RunStore | null = null;

  constructor(readonly services: Services) {}

  get store(): RunStore {
    const { journal, store, receipts } = this.services;
    this.#runs ??= new RunStore(store, new Chronicle(journal, receipts.opened()));
    return this.#runs;
  }

  has(run: string): boolean {
    return this.services.store.get("SELECT 1 FROM run WHERE id = ?", run) !== null;
  }

  /**
   * Takes an id of this home for a run of the mesh. Whoever begins a run chooses its id: one that is a run of this
   * home's own, or of another mesh or document, stays what it is. Refused with `run_exists` then.
   */
  claim({ run, document }: Pick<Run, "run" | "document">, mesh: string): void {
    const { store } = this.services;
    const known = store.get("SELECT mesh, document FROM run_of_mesh WHERE run = ?", run);
    if (known?.["mesh"] === mesh && known["document"] === document) return;
    if (known !== null || this.has(run))
      throw new Refusal(
        "run_exists",
        `this home has another run ${run} than the one of the mesh, which it takes no part in`,
        "have whoever began the run of the mesh begin it again, under an id of its own",
        { run },
      );
    store.run(
      "INSERT INTO run_of_mesh (run, mesh, document) VALUES (?, ?, ?)",
      run,
      mesh,
      document,
    );
  }

  /** Makes the row where there is none. A name that another run of this home has gets the run's id behind it. */
  add({ run, name, createdMs }: Run, manifest: RunManifest): void {
    if (this.has(run)) return;
    const { store } = this;
    const isTaken = store.isNameTaken(name);
    store.add({ id: run, name: isTaken ? `${name}-${run}` : name, createdMs, manifest });
  }

  /** Brings the row's state in line with the mesh's; says now and then that somebody looks after it. */
  follow({ run, phase, reason }: Run, nowMs: number): void {
    if (!this.has(run)) return;
    const { store } = this;
    const { state } = store.byId(run);
    const wanted = states[phase];
    const isBeat = Math.abs(nowMs - (this.#beatMs.get(run) ?? -Infinity)) >= beatMs;
    if (state !== wanted) {
      if (wanted === "running" && store.lastEvent(run, "started") === null)
        store.recordEvent(run, "started", {}, nowMs);
      if (wanted === "failed")
        store.recordEvent(run, "failed", { code: "run_failed", message: reason }, nowMs);
      store.setState(run, wanted, nowMs);
      log.info("run {run} is {state} here", { run, state: wanted });
    } else if (isBeat && wanted === "running") store.beat(run, nowMs);
    if (isBeat) this.#beatMs.set(run, nowMs);
  }

  /** Steps that this node took. Those of a window that was held come again with other slots and replace them. */
  recordSteps(run: string, records: readonly TimedStep[], nowMs: number): void {
    if (records.length === 0 || !this.has(run)) return;
    const { store } = this;
    const different = new Set(store.recordSteps(run, records, nowMs));
    if (different.size === 0) return;
    for (const step of different)
      this.services.store.run("DELETE FROM run_step WHERE run = ? AND step = ?", run, step);
    store.recordSteps(
      run,
      records.filter(({ step }) => different.has(step)),
      nowMs,
    );
  }

  recordEvaluation(run: string, record: EvaluationRecord, nowMs: number): void {
    if (this.has(run)) this.store.recordEvaluation(run, record, nowMs);
  }
}

/** Steps of the schedule that a run has done when so many of its slots are accepted. */
export function stepsDone(
  { slots, scheduleSteps }: Pick<Run["spec"], "slots" | "scheduleSteps">,
  acceptedSlots: number,
): number {
  return Number((BigInt(scheduleSteps) * BigInt(acceptedSlots)) / BigInt(slots));
}
