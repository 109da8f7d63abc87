/** What follows from a run's manifest: its plan, and the figures people want before it starts. */
import { compileTraining } from "#src/model/compile.ts";
import type { ModelConfiguration } from "#src/model/configuration.ts";
import type { Plan } from "#src/graph/plan.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { elementCount } from "./executor.ts";
import type { RunManifest } from "./run-manifest.ts";

/** Everything of a manifest that decides the plan. */
export type PlanSettings = Pick<
  RunManifest,
  | "model"
  | "batchSize"
  | "microBatches"
  | "contextLength"
  | "evaluateBatchSize"
  | "decayEmbeddings"
  | "recompute"
> & { readonly optimizer: Pick<RunManifest["optimizer"], "kind" | "clipNorm"> };

/** Compiles the plan of a run. Refuses with `model_invalid`. */
export function planOf(settings: PlanSettings): Plan {
  return compileTraining({
    model: settings.model,
    batchSize: settings.batchSize,
    microBatches: settings.microBatches,
    contextLength: settings.contextLength,
    evaluateBatchSize: settings.evaluateBatchSize,
    decayEmbeddings: settings.decayEmbeddings,
    recompute: settings.recompute,
    optimizer: settings.optimizer.kind,
    clipNorm: settings.optimizer.clipNorm,
  });
}

/** The plan of an existing run. Refuses with `run_changed` when it is no longer the one pinned. */
export function pinnedPlan(manifest: RunManifest): Plan {
  const plan = planOf(manifest);
  if (plan.digest === manifest.planDigest) return plan;
  throw new Refusal(
    "run_changed",
    "The plan of this run is not the one its manifest pins: this program compiles the model differently.",
    "Go on with the version of psionic that began the run, or start a new one.",
    { pinned: manifest.planDigest, compiled: plan.digest },
  );
}

/** Parameters that train, and those of them that are no position table. */
export function countParameters(plan: Plan): { readonly all: number; readonly computing: number } {
  let all = 0;
  let computing = 0;
  for (const tensor of plan.parameters) {
    const count = elementCount(tensor);
    all += count;
    if (!/wpe|position/.test(tensor.name)) computing += count;
  }
  return { all, computing };
}

/**
 * Floating point operations of training on one token, as the field counts them: six per parameter
 * (position tables excepted) and 12·L·C·T for attention's scores. Kaplan et al. 2020; PaLM 2022, B.
 */
export function flopsPerToken(
  plan: Plan,
  model: ModelConfiguration,
  contextLength: number,
): number {
  const { layers: L, heads, headSize } = model;
  return 6 * countParameters(plan).computing + 12 * L * heads * headSize * contextLength;
}

/** Bytes of every memory space by name, for people. */
export function memoryOf(plan: Plan): {
  readonly spaces: Record<string, number>;
  readonly totalBytes: number;
} {
  const spaces = Object.fromEntries(plan.spaces.map(({ name, sizeBytes }) => [name, sizeBytes]));
  return { spaces, totalBytes: plan.spaces.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0) };
}
