/** The shapes of what is told of a run. Kept light, for every start of the program reads them. */
import * as v from "valibot";
import { runStatusResult } from "#src/train/run-results.ts";
import { meshRunResult, type MeshRunStatus } from "./mesh-status.ts";

export const descriptionResult = v.union([
  v.strictObject({
    ...runStatusResult.entries,
    /** As the mesh has it; null for a run of this node alone. */
    mesh: v.nullable(meshRunResult),
  }),
  /** A run of the mesh whose document has not come here yet. */
  v.strictObject({
    run: v.string(),
    name: v.string(),
    state: v.string(),
    createdMs: v.number(),
    mesh: meshRunResult,
  }),
]);
export type Description = v.InferOutput<typeof descriptionResult>;

/** What a watcher is told of a run. */
export interface Sight {
  readonly type: "run";
  readonly run: string;
  readonly name: string;
  readonly state: string;
  /** Of a run of this machine: its steps; of one of the mesh: those of its schedule. */
  readonly step: number;
  readonly steps: number;
  readonly loss: number | null;
  readonly tokensPerSecond: number | null;
  readonly mesh: MeshRunStatus | null;
}
