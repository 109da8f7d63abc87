import * as v from "valibot";
import { defineCommand } from "#src/command/registry.ts";
import { shapes } from "#src/window/event.ts";
import { segmentMaximum } from "#src/window/bounds.ts";
import { meshRunsOf } from "./mesh-runs-of.ts";

defineCommand({
  name: "run/state",
  summary: "The state that was drawn of this node's work, for who is to compute on from it.",
  access: "member",
  flow: "peer",
  place: "daemon",
  parameters: v.strictObject({
    run: v.pipe(shapes.run, v.description("the run's id")),
    window: v.pipe(shapes.natural, v.description("the window that is judged")),
    segment: v.pipe(
      shapes.whole(0, segmentMaximum - 1),
      v.description("the segment that was drawn, from 0"),
    ),
  }),
  positional: ["run", "window", "segment"],
  result: v.strictObject({ artifact: v.string() }),
  examples: ["psionic run state r1a2b3c4 12 0"],
  run: (request, { services, caller, signal }) =>
    meshRunsOf(services).state(
      request,
      caller.provenance === "peer" ? caller.nodeId : null,
      signal,
    ),
});
