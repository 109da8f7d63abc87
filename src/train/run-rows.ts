/** The records of runs as the database holds them, read back with a check of what decides bits. */
import * as v from "valibot";
import type { Row } from "#src/port/store.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { type RunManifest, runManifestSchema } from "./run-manifest.ts";
import type { EvaluationRecord, StepRecord } from "./trainer.ts";

export const runStates = [
  "planned",
  "running",
  "paused",
  "completed",
  "failed",
  "interrupted",
] as const;
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

export const insertStep = `INSERT OR REPLACE INTO run_step
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

export interface RunEvent {
  readonly atMs: number;
  readonly type: string;
  readonly body: unknown;
}

export const startSchema = v.object({
  backend: v.nullish(v.string(), null),
  threads: v.nullish(v.number(), null),
  plannedBytes: v.nullish(v.number(), null),
  peakFlops: v.nullish(v.number(), null),
  runtimeDigest: v.nullish(v.string(), null),
});
export type RunStart = v.InferOutput<typeof startSchema>;

export const failureSchema = v.object({
  code: v.nullish(v.string(), "failed"),
  message: v.nullish(v.string(), "it ended without saying why"),
  hint: v.nullish(v.string(), ""),
});

export function asEvent(row: Row): RunEvent {
  return {
    atMs: Number(row["at_ms"]),
    type: String(row["type"]),
    body: JSON.parse(String(row["body"])) as unknown,
  };
}

export function asEvaluation(row: Row): EvaluationRecord {
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
export function asRun(row: Row): Run {
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
