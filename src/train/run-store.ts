/**
 * The record of runs in the node's database: what each run is, every step, evaluation and
 * checkpoint, and what happened to it. Written by the parent of the trainer as messages arrive,
 * one transaction per message.
 */
import * as v from "valibot";
import type { Row, Store } from "#src/port/store.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { runDigest, type RunManifest, runManifestSchema } from "./run-manifest.ts";
import type { EvaluationRecord, StepRecord } from "./trainer.ts";

const runStates = ["planned", "running", "paused", "completed", "failed", "interrupted"] as const;
export type RunState = (typeof runStates)[number];

export interface Run {
  readonly id: string;
  readonly name: string;
  readonly createdMs: number;
  readonly state: RunState;
  readonly heartbeatMs: number;
  /** When it last started, took a step, was measured or wrote a checkpoint; null when never. */
  readonly progressMs: number | null;
  readonly manifest: RunManifest;
  readonly digest: string;
  /** Closing figures of a finished run. */
  readonly summary: Readonly<Record<string, unknown>> | null;
}

/** What a step's time was spent on; `evaluate` and `checkpoint` since the step before. */
export const splitParts = [
  ...(["data", "gradient", "norm", "update", "evaluate", "checkpoint"] as const),
] as const;
/** Seconds by part. */
export type StepSplit = Readonly<Record<(typeof splitParts)[number], number>>;

export interface TimedStep extends StepRecord {
  readonly tokensPerSecond: number;
  /** Absent where it was not measured: runs of earlier versions. */
  readonly split?: StepSplit | undefined;
}

const insertStep = `INSERT OR REPLACE INTO run_step
  (run, step, loss, gradient_norm, parameter_norm, update_norm, learning_rate, tokens, loss_bits,
   gradient_norm_bits, tokens_per_second, ${splitParts.map((part) => `${part}_seconds`).join(", ")})
  VALUES (${Array(11 + splitParts.length)
    .fill("?")
    .join(", ")})`;

export interface CheckpointRecord {
  readonly step: number;
  readonly stateDigest: string;
  readonly manifestDigest: string;
  readonly isKept: boolean;
}

/** A running run whose parent has been silent for longer is taken for dead. */
const silenceMs = 30_000;

export class RunStore {
  constructor(readonly store: Store) {}

  add(run: { id: string; name: string; createdMs: number; manifest: RunManifest }): Run {
    // A record that cannot be read again would stand in the way of every list of runs.
    v.parse(runManifestSchema, run.manifest);
    this.store.run(
      "INSERT INTO run (id, name, created_ms, state, heartbeat_ms, manifest, digest) VALUES (?, ?, ?, 'planned', ?, ?, ?)",
      run.id,
      run.name,
      run.createdMs,
      run.createdMs,
      JSON.stringify(run.manifest),
      runDigest(run.manifest),
    );
    return this.byId(run.id);
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
  stateOf(run: Run, nowMs: number): RunState {
    // A beat from far in the future is as dead: the clock was set back after it.
    return run.state === "running" && Math.abs(nowMs - run.heartbeatMs) > silenceMs
      ? "interrupted"
      : run.state;
  }

  setState(id: string, state: RunState, nowMs: number): void {
    this.store.run("UPDATE run SET state = ?, heartbeat_ms = ? WHERE id = ?", state, nowMs, id);
  }

  /** The parent of a running run lives. */
  beat(id: string, nowMs: number): void {
    this.store.run("UPDATE run SET heartbeat_ms = ? WHERE id = ?", nowMs, id);
  }

  /** Marks runs left `running` by a process that is gone; the caller holds the home's lock. */
  closeAbandoned(): void {
    this.store.run("UPDATE run SET state = 'interrupted' WHERE state IN ('running', 'planned')");
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
      this.store.run("UPDATE run SET heartbeat_ms = ? WHERE id = ?", nowMs, id);
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
      this.store.run("UPDATE run SET heartbeat_ms = ? WHERE id = ?", nowMs, id);
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

  /** The evaluation with the lowest held-out loss; of equal ones the first. */
  best(id: string): EvaluationRecord | null {
    const row = this.store.get(
      "SELECT * FROM run_evaluation WHERE run = ? ORDER BY loss, step LIMIT 1",
      id,
    );
    return row ? asEvaluation(row) : null;
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
      this.store.run("UPDATE run SET heartbeat_ms = ? WHERE id = ?", nowMs, id);
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

export interface RunEvent {
  readonly atMs: number;
  readonly type: string;
  readonly body: unknown;
}

const startSchema = v.object({
  backend: v.nullish(v.string(), null),
  threads: v.nullish(v.number(), null),
  plannedBytes: v.nullish(v.number(), null),
  peakFlops: v.nullish(v.number(), null),
  runtimeDigest: v.nullish(v.string(), null),
});
type RunStart = v.InferOutput<typeof startSchema>;

const failureSchema = v.object({
  code: v.nullish(v.string(), "failed"),
  message: v.nullish(v.string(), "it ended without saying why"),
  hint: v.nullish(v.string(), ""),
});

function asEvent(row: Row): RunEvent {
  return {
    atMs: Number(row["at_ms"]),
    type: String(row["type"]),
    body: JSON.parse(String(row["body"])) as unknown,
  };
}

function asEvaluation(row: Row): EvaluationRecord {
  return {
    step: Number(row["step"]),
    full: row["is_full"] === 1,
    loss: Number(row["loss"]),
    bitsPerByte: row["bits_per_byte"] === null ? null : Number(row["bits_per_byte"]),
    exactMatch: Number(row["exact_match"]),
    targets: Number(row["targets"]),
    rows: Number(row["row_count"]),
  };
}

/** Refuses with `store_corrupt` a record that this program did not write. */
function asRun(row: Row): Run {
  const manifest = v.safeParse(runManifestSchema, parseJson(String(row["manifest"])));
  const state = v.safeParse(v.picklist(runStates), row["state"]);
  if (!manifest.success || !state.success)
    throw new Refusal(
      "store_corrupt",
      `The record of run ${String(row["name"])} is damaged.`,
      "Move node.db away with its -wal and -shm files, or restore it from a backup.",
      { run: String(row["id"]), issue: (manifest.issues ?? state.issues)?.[0].message },
    );
  return {
    id: String(row["id"]),
    name: String(row["name"]),
    createdMs: Number(row["created_ms"]),
    state: state.output,
    heartbeatMs: Number(row["heartbeat_ms"]),
    progressMs: row["progress_ms"] === null ? null : Number(row["progress_ms"]),
    manifest: manifest.output,
    digest: String(row["digest"]),
    summary:
      row["summary"] === null
        ? null
        : (JSON.parse(String(row["summary"])) as Record<string, unknown>),
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

export function asStep(row: Row): TimedStep {
  return {
    step: Number(row["step"]),
    loss: Number(row["loss"]),
    gradientNorm: Number(row["gradient_norm"]),
    parameterNorm: Number(row["parameter_norm"]),
    updateNorm: Number(row["update_norm"]),
    learningRate: Number(row["learning_rate"]),
    tokens: Number(row["tokens"]),
    lossBits: String(row["loss_bits"]),
    gradientNormBits: String(row["gradient_norm_bits"]),
    tokensPerSecond: Number(row["tokens_per_second"]),
    ...(row["gradient_seconds"] === null ? {} : { split: asSplit(row) }),
  };
}

function asSplit(row: Row): StepSplit {
  return Object.fromEntries(
    splitParts.map((part) => [part, Number(row[`${part}_seconds`])]),
  ) as StepSplit;
}

function notFound(text: string): Refusal {
  return new Refusal(
    "run_not_found",
    `There is no run "${text}".`,
    "`psionic runs` lists them; `latest` is the newest.",
    { run: text },
  );
}
