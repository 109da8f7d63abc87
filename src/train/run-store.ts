/**
 * The record of runs in the node's database: what each run is, every step, evaluation and
 * checkpoint, and what happened to it. Written by the parent of the trainer as messages arrive,
 * one transaction per message, in which the chronicle tells of it.
 */
import * as v from "valibot";
import type { Store } from "#src/port/store.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import type { Chronicle } from "./chronicle.ts";
import { runDigest, type RunManifest, runManifestSchema } from "./run-manifest.ts";
import {
  asEvaluation,
  asEvent,
  asRun,
  asStep,
  failureSchema,
  insertStep,
  splitParts,
  startSchema,
  type CheckpointRecord,
  type Run,
  type RunEvent,
  type RunStart,
  type RunState,
  type TimedStep,
} from "./run-rows.ts";
import type { EvaluationRecord } from "./trainer.ts";

export type { CheckpointRecord, Run, RunState, TimedStep } from "./run-rows.ts";

/** A running run whose parent has been silent for longer is taken for dead. */
const silenceMs = 30_000;

export class RunStore {
  /** Whoever writes what others watch gives a chronicle. */
  constructor(
    readonly store: Store,
    readonly chronicle: Chronicle | null = null,
  ) {}

  add(run: { id: string; name: string; createdMs: number; manifest: RunManifest }): Run {
    const { id, name, createdMs, manifest } = run;
    // A record that cannot be read again would stand in the way of every list of runs.
    v.parse(runManifestSchema, manifest);
    this.store.transaction(() => {
      this.store.run(
        "INSERT INTO run (id, name, created_ms, state, heartbeat_ms, manifest, digest) VALUES (?, ?, ?, 'planned', ?, ?, ?)",
        ...[id, name, createdMs, createdMs, JSON.stringify(manifest), runDigest(manifest)],
      );
      const { size, data } = manifest;
      this.chronicle?.tell("run.created", id, { name, size, task: data.reference.task });
    });
    return this.byId(id);
  }

  byId(id: string): Run {
    const row = this.store.get("SELECT * FROM run WHERE id = ?", id);
    if (!row) throw notFound(id);
    return asRun(row);
  }

  /** Newest first: in the order they were added, for the clock may have been set back. */
  all(): Run[] {
    return this.newest(-1);
  }

  newest(count: number): Run[] {
    return this.store.all("SELECT * FROM run ORDER BY rowid DESC LIMIT ?", count).map(asRun);
  }

  isNameTaken(name: string): boolean {
    return this.store.get("SELECT 1 AS found FROM run WHERE name = ?", name) !== null;
  }

  /**
   * The run a person means: `latest`, an id, a name, or a prefix of either that fits only one run.
   * Refuses with `run_not_found` and `run_ambiguous`.
   */
  resolve(text: string): Run {
    if (text === "latest") {
      const row = this.store.get("SELECT * FROM run ORDER BY rowid DESC LIMIT 1");
      if (!row)
        throw new Refusal("run_not_found", "There is no run yet.", "`psionic train` starts one.", {
          run: text,
        });
      return asRun(row);
    }
    const exact = this.store.get("SELECT * FROM run WHERE id = ?1 OR name = ?1 LIMIT 1", text);
    if (exact) return asRun(exact);
    const found = this.store.all(
      "SELECT * FROM run WHERE substr(id, 1, length(?1)) = ?1 OR substr(name, 1, length(?1)) = ?1 ORDER BY rowid DESC LIMIT 10",
      text,
    );
    if (found.length === 0 || text === "") throw notFound(text);
    if (found.length > 1) {
      const runs = found.map((row) => `${String(row["name"])} (${String(row["id"])})`);
      throw new Refusal(
        "run_ambiguous",
        `"${text}" fits several runs: ${runs.join(", ")}.`,
        "Give more characters.",
        { run: text, runs },
      );
    }
    return asRun(found[0]!);
  }

  /** The state as of now: a running run whose parent fell silent was interrupted. */
  stateOf(run: Pick<Run, "state" | "heartbeatMs">, nowMs: number): RunState {
    // A beat from far in the future is as dead: the clock was set back after it.
    return run.state === "running" && Math.abs(nowMs - run.heartbeatMs) > silenceMs
      ? "interrupted"
      : run.state;
  }

  setState(id: string, state: RunState, nowMs: number): void {
    this.store.transaction(() => {
      this.store.run("UPDATE run SET state = ?, heartbeat_ms = ? WHERE id = ?", state, nowMs, id);
      // A rest is no stall: whoever goes on is silent from now, not since its last sitting.
      if (state === "running")
        this.store.run(
          "UPDATE run SET progress_ms = ? WHERE id = ? AND progress_ms IS NOT NULL",
          nowMs,
          id,
        );
      this.chronicle?.tell("run.state", id, { state });
    });
  }

  /** The parent of a running run lives. */
  beat(id: string, nowMs: number): void {
    this.store.transaction(() => {
      this.store.run("UPDATE run SET heartbeat_ms = ? WHERE id = ?", nowMs, id);
      this.chronicle?.flush();
    });
  }

  /** As `beat`, after time in which nothing could work: the silence before it is no stall. */
  wake(id: string, nowMs: number): void {
    this.store.transaction(() => {
      this.store.run(
        `UPDATE run SET heartbeat_ms = ?1,
           progress_ms = CASE WHEN progress_ms IS NULL THEN NULL ELSE ?1 END WHERE id = ?2`,
        nowMs,
        id,
      );
      this.chronicle?.flush();
    });
  }

  #progressed(id: string, nowMs: number): void {
    this.store.run("UPDATE run SET heartbeat_ms = ?1, progress_ms = ?1 WHERE id = ?2", nowMs, id);
  }

  /** Marks runs left `running` by a process that is gone; the caller holds the home's lock. */
  closeAbandoned(): void {
    this.store.transaction(() => {
      const abandoned = this.store.all(
        "UPDATE run SET state = 'interrupted' WHERE state IN ('running', 'planned') RETURNING id",
      );
      for (const { id } of abandoned)
        this.chronicle?.tell("run.state", String(id), { state: "interrupted" });
    });
  }

  setSummary(id: string, summary: Readonly<Record<string, unknown>>): void {
    this.store.run("UPDATE run SET summary = ? WHERE id = ?", JSON.stringify(summary), id);
  }

  /** Fills in the number of steps of a run with a time budget; only once. */
  fixManifest(id: string, manifest: RunManifest): void {
    this.store.run(
      "UPDATE run SET manifest = ?, digest = ? WHERE id = ?",
      JSON.stringify(manifest),
      runDigest(manifest),
      id,
    );
  }

  /**
   * Writes steps as they happen. Steps done again after a crash replace the earlier records, unless
   * their bits differ: then the earlier record stays as evidence and the step's number is returned,
   * for something is wrong.
   */
  recordSteps(id: string, records: readonly TimedStep[], nowMs: number): number[] {
    return this.store.transaction(() => {
      const different: number[] = [];
      for (const record of records) {
        const old = this.step(id, record.step);
        if (
          old &&
          (old.lossBits !== record.lossBits || old.gradientNormBits !== record.gradientNormBits)
        ) {
          different.push(record.step);
          continue;
        }
        this.store.run(
          insertStep,
          id,
          record.step,
          record.loss,
          record.gradientNorm,
          record.parameterNorm,
          record.updateNorm,
          record.learningRate,
          record.tokens,
          record.lossBits,
          record.gradientNormBits,
          record.tokensPerSecond,
          ...splitParts.map((part) => record.split?.[part] ?? null),
        );
      }
      this.#progressed(id, nowMs);
      const [first, last] = [records[0], records.at(-1)];
      if (first && last) this.chronicle?.steps(id, first.step, last.step, nowMs);
      return different;
    });
  }

  step(id: string, step: number): TimedStep | null {
    const row = this.store.get("SELECT * FROM run_step WHERE run = ? AND step = ?", id, step);
    return row ? asStep(row) : null;
  }

  /** Steps from a number to a number, both included, ascending. */
  steps(id: string, from = 0, to = Number.MAX_SAFE_INTEGER): TimedStep[] {
    return this.store
      .all(
        "SELECT * FROM run_step WHERE run = ? AND step BETWEEN ? AND ? ORDER BY step",
        id,
        from,
        to,
      )
      .map(asStep);
  }

  lastStep(id: string): TimedStep | null {
    const row = this.store.get(
      "SELECT * FROM run_step WHERE run = ? ORDER BY step DESC LIMIT 1",
      id,
    );
    return row ? asStep(row) : null;
  }

  /** The latest losses, ascending by step. */
  losses(id: string, count: number): number[] {
    return this.store
      .all("SELECT loss FROM run_step WHERE run = ? ORDER BY step DESC LIMIT ?", id, count)
      .map((row) => Number(row["loss"]))
      .reverse();
  }

  recordEvaluation(id: string, record: EvaluationRecord, nowMs: number): void {
    this.store.transaction(() => {
      this.store.run(
        "INSERT OR REPLACE INTO run_evaluation VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        id,
        record.step,
        record.full ? 1 : 0,
        record.loss,
        record.bitsPerByte,
        record.exactMatch,
        record.targets,
        record.rows,
      );
      this.#progressed(id, nowMs);
      this.chronicle?.tell("run.evaluation", id, { step: record.step, full: record.full });
    });
  }

  /** Ascending by step, at most the `count` newest. */
  evaluations(id: string, count = -1): EvaluationRecord[] {
    return this.store
      .all(
        "SELECT * FROM run_evaluation WHERE run = ? ORDER BY step DESC, is_full DESC LIMIT ?",
        id,
        count,
      )
      .map(asEvaluation)
      .reverse();
  }

  /** The lowest held-out loss and the first step that had it. */
  best(id: string): { readonly step: number; readonly loss: number } | null {
    const row = this.store.get(
      "SELECT step, loss FROM run_evaluation WHERE run = ? ORDER BY loss, step LIMIT 1",
      id,
    );
    return row && { step: Number(row["step"]), loss: Number(row["loss"]) };
  }

  recordCheckpoint(
    id: string,
    checkpoint: Omit<CheckpointRecord, "isKept">,
    removed: readonly number[],
    nowMs: number,
  ): void {
    this.store.transaction(() => {
      this.store.run(
        "INSERT OR REPLACE INTO run_checkpoint VALUES (?, ?, ?, ?, 1)",
        id,
        checkpoint.step,
        checkpoint.stateDigest,
        checkpoint.manifestDigest,
      );
      for (const step of removed)
        this.store.run(
          "UPDATE run_checkpoint SET is_kept = 0 WHERE run = ? AND step = ?",
          id,
          step,
        );
      this.#progressed(id, nowMs);
      const { step, stateDigest, manifestDigest } = checkpoint;
      this.chronicle?.tell("run.checkpoint", id, { step, removed });
      this.chronicle?.attest("run.checkpoint", id, { step, stateDigest, manifestDigest });
    });
  }

  /**
   * Ascending by step, at most the `count` newest; removed ones keep their digests, which replay
   * compares.
   */
  checkpoints(id: string, count = -1): CheckpointRecord[] {
    return this.store
      .all("SELECT * FROM run_checkpoint WHERE run = ? ORDER BY step DESC LIMIT ?", id, count)
      .map((row) => ({
        step: Number(row["step"]),
        stateDigest: String(row["state_digest"]),
        manifestDigest: String(row["manifest_digest"]),
        isKept: row["is_kept"] === 1,
      }))
      .reverse();
  }

  recordEvent(
    id: string,
    type: string,
    body: Readonly<Record<string, unknown>>,
    nowMs: number,
  ): void {
    this.store.run(
      `INSERT INTO run_event SELECT ?1, coalesce(max(sequence), 0) + 1, ?2, ?3, ?4 FROM run_event WHERE run = ?1`,
      id,
      nowMs,
      type,
      JSON.stringify(body),
    );
  }

  /** In the order they were recorded, at most the `count` newest. */
  events(id: string, count = -1): RunEvent[] {
    return this.store
      .all("SELECT * FROM run_event WHERE run = ? ORDER BY sequence DESC LIMIT ?", id, count)
      .map(asEvent)
      .reverse();
  }

  lastEvent(id: string, type: string): RunEvent | null {
    const row = this.store.get(
      "SELECT * FROM run_event WHERE run = ? AND type = ? ORDER BY sequence DESC LIMIT 1",
      id,
      type,
    );
    return row ? asEvent(row) : null;
  }

  /** What the run was last started with; earlier versions recorded less. */
  lastStart(id: string): RunStart {
    const parsed = v.safeParse(startSchema, this.lastEvent(id, "started")?.body);
    return parsed.success ? parsed.output : v.getDefaults(startSchema);
  }

  /** Why the run failed last. */
  failure(id: string) {
    const event = this.lastEvent(id, "failed");
    if (event === null) return null;
    const parsed = v.safeParse(failureSchema, event.body);
    return { atMs: event.atMs, ...(parsed.success ? parsed.output : v.getDefaults(failureSchema)) };
  }
}

function notFound(text: string): Refusal {
  return new Refusal(
    "run_not_found",
    `There is no run "${text}".`,
    "`psionic runs` lists them; `latest` is the newest.",
    { run: text },
  );
}
