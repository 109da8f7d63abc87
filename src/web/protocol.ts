import type { Schema } from "./schema-fields.ts";
import type { MeshRun } from "./window-answers.ts";

/**
 * What the node's commands answer, as far as the page reads it. Fields it can do without are
 * optional: a page left open over an update must not break.
 */
export interface RunLine {
  readonly run: string;
  readonly name: string;
  readonly state: string;
  readonly size: string;
  readonly task?: string | null;
  readonly step: number;
  readonly steps: number;
  readonly loss: number | null;
  readonly valLoss: number | null;
  readonly bitsPerByte?: number | null;
  readonly exactMatch?: number | null;
  readonly tokensPerSecond?: number | null;
  readonly percentOfPeak?: number | null;
  readonly createdMs: number;
  /** Of a run that the mesh works on: how far it is; null or absent for one of this node alone. */
  readonly mesh?: unknown;
}

export interface Alert {
  readonly kind: string;
  readonly severity?: string;
  readonly subject?: string;
  readonly message: string;
  readonly hint?: string;
  readonly sinceMs?: number;
}

export interface Checkpoint {
  readonly step: number;
  readonly stateDigest: string;
  readonly manifestDigest: string;
  readonly parent?: string | null;
  readonly sizeBytes?: number | null;
  readonly isKept: boolean;
  readonly isBest?: boolean;
}

export interface Sample {
  readonly step: number;
  readonly atMs?: number;
  readonly prompt: string;
  readonly text: string;
}

export interface Manifest {
  readonly size?: string;
  readonly seed?: number;
  readonly lane?: string;
  readonly batchSize?: number;
  readonly microBatches?: number;
  readonly contextLength?: number;
  readonly planDigest?: string;
  readonly model?: Readonly<Record<string, unknown>>;
  readonly data?: { readonly digest?: string; readonly reference?: Record<string, unknown> };
  readonly [name: string]: unknown;
}

export interface RunStatus {
  readonly run: string;
  readonly name: string;
  readonly state: string;
  readonly createdMs: number;
  readonly step: number;
  readonly steps: number;
  readonly last: {
    readonly loss: number;
    readonly gradientNorm: number;
    readonly learningRate: number;
    readonly tokensPerSecond: number;
    readonly tokens?: number;
  } | null;
  readonly percentOfPeak?: number | null;
  readonly evaluations: readonly {
    readonly step: number;
    readonly loss: number;
    readonly bitsPerByte?: number | null;
    readonly exactMatch?: number | null;
  }[];
  readonly checkpoints: readonly Checkpoint[];
  readonly events?: readonly {
    readonly atMs: number;
    readonly type: string;
    readonly body: Readonly<Record<string, unknown>>;
  }[];
  readonly alerts?: readonly Alert[];
  readonly samples?: readonly Sample[];
  readonly plan?: Readonly<Record<string, unknown>> | null;
  readonly summary?: Readonly<Record<string, unknown>> | null;
  readonly manifest: Manifest;
  readonly digest: string;
  /** Of a run that the mesh works on. */
  readonly mesh?: MeshRun | null;
}

/** A run of the mesh whose data has not come to the node yet: all it knows is what the mesh agreed on. */
export interface RunSketch {
  readonly run: string;
  readonly name: string;
  readonly state: string;
  readonly createdMs: number;
  readonly mesh: MeshRun;
}

export interface NodeStatus {
  readonly state: string;
  readonly node: {
    readonly nodeId: string;
    readonly epoch: number;
    readonly homePath?: string;
  } | null;
  readonly daemon: {
    readonly pid: number;
    readonly startedMs: number;
    readonly url?: string | null;
    readonly version?: string;
  } | null;
  readonly machine: {
    readonly operatingSystem?: string;
    readonly processor?: string;
    readonly architecture?: string;
    readonly coreCount?: number;
    readonly memoryBytes?: number;
    readonly freeMemoryBytes?: number;
  };
  readonly disk?: { readonly freeBytes?: number; readonly totalBytes?: number } | null;
  readonly runs?: { readonly active?: readonly unknown[]; readonly count?: number };
  readonly alerts?: readonly Alert[];
}

export interface ShownReceipt {
  readonly digest: string;
  readonly author: string;
  readonly sequence: number;
  readonly previous: string;
  readonly atMs: number;
  readonly kind: string;
  readonly subject: string;
  readonly body: unknown;
}

export interface ListedCommand {
  readonly name: string;
  readonly summary: string;
  readonly access?: string;
  readonly parameters: Schema;
}

export function isSketch(status: RunStatus | RunSketch): status is RunSketch {
  return !("manifest" in status);
}

/** Whether it learns the built-in task, where right and wrong can be told. */
export function isAddition({ manifest }: Pick<RunStatus, "manifest">): boolean {
  return manifest.data?.reference?.["task"] === "addition";
}

/** Tokens of one optimizer step, or null where the manifest does not say. */
export function tokensPerStep(manifest: Manifest): number | null {
  const { batchSize, microBatches, contextLength } = manifest;
  if (!batchSize || !microBatches || !contextLength) return null;
  return batchSize * microBatches * contextLength;
}

/** Runs in these states go on by themselves; the page watches them. */
export function isActive(state: string): boolean {
  return state === "running" || state === "starting" || state === "stopping";
}
