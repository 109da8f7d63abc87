import { elementsOf } from "#src/graph/parameters.ts";
import { describePlan, planBytes } from "#src/graph/describe.ts";
import type { Plan } from "#src/graph/plan.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import type { ModelConfiguration } from "./configuration.ts";
import { declareParameters, namesOf } from "./parameters.ts";

/** How many numbers a model learns; a tied head counts once. */
export function parameterCount(model: ModelConfiguration): number {
  return declareParameters(model).reduce((total, { shape }) => total + elementsOf(shape), 0);
}

/**
 * Floating-point operations one token costs in a training step, by the convention all our figures
 * use: 6·N + 12·layers·(heads·headSize)·contextLength, where N leaves out position embeddings
 * (Kaplan et al. 2020, PaLM appendix B).
 */
export function trainingFlopsPerToken(
  model: ModelConfiguration,
  contextLength = model.contextLength,
): number {
  const positions = namesOf(model).positions ? model.contextLength * model.width : 0;
  const attended = 12 * model.layers * model.heads * model.headSize * contextLength;
  return 6 * (parameterCount(model) - positions) + attended;
}

/** What a run will need, said before it starts. */
export interface Cost {
  readonly parameters: number;
  readonly flopsPerToken: number;
  readonly bytes: number;
  readonly bytesBySpace: Readonly<Record<string, number>>;
}

export function costOf(model: ModelConfiguration, plan: Plan, contextLength?: number): Cost {
  const { spaces } = describePlan(plan, 0);
  return {
    parameters: parameterCount(model),
    flopsPerToken: trainingFlopsPerToken(model, contextLength),
    bytes: planBytes(plan),
    bytesBySpace: Object.fromEntries(spaces.map(({ name, sizeBytes }) => [name, sizeBytes])),
  };
}

/** Refuses with `memory_short` a plan this machine cannot hold. */
export function requireMemory(plan: Plan, availableBytes: number): void {
  const neededBytes = planBytes(plan);
  if (neededBytes <= availableBytes) return;
  const gib = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(1)} GiB`;
  throw new Refusal(
    "memory_short",
    `The plan needs ${gib(neededBytes)} and this machine offers ${gib(availableBytes)}.`,
    "Take a smaller --size, --batch or --context, or add --recompute.",
    { neededBytes, availableBytes },
  );
}
