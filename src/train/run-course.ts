/** The turns of a run that are attested: a trainer began, the run came to rest, it was given up. */
import { identityDigestOf, type RuntimeManifest } from "#src/receipt/runtime-manifest.ts";
import type { RunStart, RunState } from "./run-rows.ts";
import type { RunStore } from "./run-store.ts";

/** What a trainer said when it began. */
export interface StartRecord extends Omit<RunStart, "runtimeDigest"> {
  readonly step: number;
  readonly runtime: RuntimeManifest | null;
}

export interface EndRecord {
  readonly state: RunState;
  /** `completed`, `stopped`, `budget`. */
  readonly reason: string;
  readonly step: number;
  readonly stateDigest: string;
}

export interface FailureRecord {
  readonly state: "failed" | "interrupted";
  readonly code: string;
  readonly message: string;
  readonly hint: string;
}

/** A trainer works on the run from a step on. */
export function recordStart(runs: RunStore, id: string, start: StartRecord, nowMs: number): void {
  const { step, backend, threads, plannedBytes, peakFlops, runtime } = start;
  const runtimeDigest = runtime && identityDigestOf(runtime);
  runs.store.transaction(() => {
    if (runtime)
      runs.store.run(
        "INSERT OR REPLACE INTO runtime_manifest (identity_digest, manifest) VALUES (?, ?)",
        ...[identityDigestOf(runtime), JSON.stringify(runtime)],
      );
    runs.recordEvent(
      id,
      "started",
      { step, backend, threads, plannedBytes, peakFlops, runtimeDigest },
      nowMs,
    );
    runs.store.run("UPDATE run SET progress_ms = ? WHERE id = ?", nowMs, id);
    const { name, digest, manifest } = runs.byId(id);
    runs.chronicle?.tell("run.started", id, { step, backend, threads });
    runs.chronicle?.attest("run.started", id, {
      name,
      step,
      manifestDigest: digest,
      planDigest: manifest.planDigest,
      runtimeIdentityDigest: runtimeDigest,
    });
  });
}

/** The run came to rest with a state of its memory that a checkpoint holds. */
export function recordEnd(runs: RunStore, id: string, end: EndRecord, nowMs: number): void {
  const { state, reason, step, stateDigest } = end;
  runs.store.transaction(() => {
    runs.setState(id, state, nowMs);
    const { name, digest } = runs.byId(id);
    const kind = state === "completed" ? "run.finished" : "run.stopped";
    const lossBits = runs.step(id, step)?.lossBits ?? null;
    runs.chronicle?.attest(kind, id, {
      ...{ name, reason, step, stateDigest, lossBits, manifestDigest: digest },
    });
  });
}

/** The run was given up, for a reason people are told. */
export function recordFailure(
  runs: RunStore,
  id: string,
  failure: FailureRecord,
  nowMs: number,
): void {
  const { state, code, message, hint } = failure;
  runs.store.transaction(() => {
    runs.recordEvent(id, state, { code, message, hint }, nowMs);
    runs.setState(id, state, nowMs);
    const { name } = runs.byId(id);
    const step = runs.lastStep(id)?.step ?? 0;
    if (state === "interrupted") {
      runs.chronicle?.attest("run.stopped", id, { name, reason: code, step, message });
      return;
    }
    runs.chronicle?.attest("run.failed", id, { name, code, step, message });
    runs.chronicle?.tell("run.alert", id, { kind: code, severity: "critical", message, hint });
  });
}
