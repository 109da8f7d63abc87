import * as v from "valibot";
import { defineCommand } from "#src/command/registry.ts";
import { stepMaximum } from "#src/train/schedule.ts";
import { demoView } from "./demo-view.ts";

defineCommand({
  name: "demo",
  summary:
    "The whole system on this machine: nodes train one model while they are killed, join, lead and lie.",
  access: "owner",
  flow: "start",
  parameters: v.strictObject({
    chaos: v.optional(
      v.pipe(
        v.boolean(),
        v.description("keep killing nodes and say how much of the throughput is kept"),
      ),
      false,
    ),
    minutes: v.optional(
      v.pipe(
        v.number(),
        v.finite(),
        v.minValue(0.1),
        v.maxValue(1440),
        v.description("how long chaos lasts"),
      ),
      5,
    ),
    every: v.optional(
      v.pipe(
        v.number(),
        v.finite(),
        v.minValue(1),
        v.maxValue(3600),
        v.description("seconds between two faults of chaos"),
      ),
      29,
    ),
    steps: v.optional(
      v.pipe(
        v.number(),
        v.integer(),
        v.minValue(1),
        v.maxValue(stepMaximum),
        v.description("steps of the run; by default those of the built-in task"),
      ),
    ),
  }),
  examples: ["psionic demo", "psionic demo --chaos --minutes 2"],
  async run({ chaos, minutes, every, steps }, context) {
    if (chaos) {
      const { demonstrateChaos } = await import("./chaos.ts");
      return demonstrateChaos({ minutes, everySeconds: every }, context);
    }
    const { demonstrate } = await import("./demonstration.ts");
    return demonstrate({ steps }, context);
  },
  view: demoView,
});
