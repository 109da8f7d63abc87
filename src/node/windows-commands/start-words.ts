/** What `run start` takes, and where the run is to be. Kept light, for help needs it. */
import * as v from "valibot";
import { trainParameters } from "#src/train/train-parameters.ts";
import { meshWords } from "./mesh-words.ts";

export const startParameters = v.strictObject({
  ...trainParameters.entries,
  on: v.optional(
    v.pipe(
      v.picklist(["mesh", "here"]),
      v.description(
        "mesh: all its trainers work on it; here: this node alone. By default mesh where there are others",
      ),
    ),
  ),
  manifest: v.optional(
    v.pipe(
      v.string(),
      v.nonEmpty(),
      v.description("a file that `run init` wrote; what is said on the line goes before it"),
    ),
  ),
  watch: v.optional(
    v.pipe(
      v.boolean(),
      v.description("follow it until it ends; Ctrl-C stops looking, not the run"),
    ),
    false,
  ),
  ...meshWords,
});
export type StartRequest = v.InferOutput<typeof startParameters>;

/** The words of a run of the mesh that somebody said. */
export function saidMeshWords(request: StartRequest): string[] {
  return Object.keys(meshWords).filter((key) => request[key as keyof StartRequest] !== undefined);
}
