import * as v from "valibot";
import { defineCommand } from "#src/command/registry.ts";
import { shapes } from "#src/window/event.ts";
import { meshRunsOf } from "./mesh-runs-of.ts";
import { recordPage } from "./run-history.ts";

defineCommand({
  name: "run/records",
  summary: "Events of a run of the mesh as this node recorded them.",
  access: "member",
  flow: "proof",
  place: "daemon",
  parameters: v.strictObject({
    run: v.pipe(shapes.run, v.description("the run's id")),
    after: v.optional(
      v.pipe(shapes.natural, v.description("only those that stand in the log after this index")),
      0,
    ),
    count: v.optional(v.pipe(shapes.whole(1, 200), v.description("at most so many")), 200),
  }),
  positional: ["run"],
  result: v.strictObject({
    records: v.array(
      v.strictObject({
        ...{ run: v.string(), index: v.number(), term: v.number(), atMs: v.number() },
        ...{ author: v.string(), command: v.unknown(), decided: v.unknown(), chain: v.string() },
      }),
    ),
  }),
  examples: ["psionic run records r1a2b3c4 --after 120"],
  run: ({ run, after, count }, { services }) => ({
    records: [...recordPage(meshRunsOf(services).records(run, after, count))],
  }),
});
