import type { Plan } from "#src/graph/plan.ts";
import { assembleDecoding, type DecodingOptions } from "./decoding-plan.ts";
import { assembleTraining, type TrainingOptions } from "./training-plan.ts";

export type { DecodingOptions } from "./decoding-plan.ts";
export type { TrainingOptions } from "./training-plan.ts";

/** The plan of training steps and evaluation. Refuses with `model_invalid`. */
export function compileTraining(options: TrainingOptions): Plan {
  return assembleTraining(options).plan;
}

/** The plan of token-by-token decoding over the same parameter layout. Refuses with `model_invalid`. */
export function compileDecoding(options: DecodingOptions): Plan {
  return assembleDecoding(options).plan;
}
