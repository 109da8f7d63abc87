/** The plan that follows from a run's manifest. */
import { compileTraining } from "#src/model/compile.ts";
import { checkModel } from "#src/model/configuration.ts";
import type { Plan } from "#src/graph/plan.ts";
import { Refusal } from "#src/refusal/refusal.ts";
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

/** Tokens of one step: its batch is held in memory whole, as two arrays of four bytes a token. */
const stepTokensMaximum = 2 ** 28;

/** Compiles the plan of a run. Refuses with `model_invalid`. */
export function planOf(settings: PlanSettings): Plan {
  const tokens = settings.batchSize * settings.microBatches * settings.contextLength;
  if (tokens > stepTokensMaximum)
    throw new Refusal(
      "model_invalid",
      `One step would read ${tokens} tokens; at most ${stepTokensMaximum} are possible.`,
      "Choose a smaller --batch, --micro-batches or --context.",
      { tokens, stepTokensMaximum },
    );
  return compileTraining({
    // A manifest may have come from somebody else.
    model: checkModel(settings.model),
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

/** Compiling a deep model takes a moment, and one command asks for its plan several times. */
const compiled = new WeakMap<RunManifest, Plan>();

/** The plan of an existing run. Refuses with `run_changed` when it is no longer the one pinned. */
export function pinnedPlan(manifest: RunManifest): Plan {
  const plan = compiled.get(manifest) ?? planOf(manifest);
  compiled.set(manifest, plan);
  if (plan.digest === manifest.planDigest) return plan;
  throw new Refusal(
    "run_changed",
    "The plan of this run is not the one its manifest pins: this program compiles the model differently.",
    "Go on with the version of psionic that began the run, or start a new one.",
    { pinned: manifest.planDigest, compiled: plan.digest },
  );
}
