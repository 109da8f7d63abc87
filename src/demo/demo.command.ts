import * as v from "valibot";
import { defineCommand } from "#src/command/registry.ts";
import { isaNames } from "#src/train/isa.ts";
import { demoView } from "./demo-view.ts";

defineCommand({
  name: "demo",
  summary: "The whole system on this machine: learn, be killed, go on, answer.",
  access: "owner",
  flow: "start",
  parameters: v.strictObject({
    verify: v.optional(
      v.pipe(
        v.boolean(),
        v.description("afterwards train the same run undisturbed and compare every bit"),
      ),
      false,
    ),
    threads: v.optional(
      v.pipe(
        v.number(),
        v.integer(),
        v.minValue(1),
        v.maxValue(256),
        v.description("threads; all cores"),
      ),
    ),
    isa: v.optional(v.pipe(v.picklist(isaNames), v.description("kernel lane; the best there is"))),
  }),
  examples: ["psionic demo", "psionic demo --verify"],
  async run(parameters, context) {
    const { demonstrate } = await import("./demonstration.ts");
    return demonstrate(parameters, context);
  },
  view: demoView,
});
