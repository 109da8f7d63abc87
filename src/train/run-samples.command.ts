import * as v from "valibot";
import { defineCommand } from "#src/command/registry.ts";
import { runParameter } from "./parameter-entries.ts";
import { samplesResult } from "./run-results.ts";

defineCommand({
  name: "run/samples",
  summary: "What a run's model wrote while it was learning, oldest first.",
  access: "member",
  flow: "run",
  parameters: v.strictObject({ run: runParameter }),
  positional: ["run"],
  result: samplesResult,
  examples: ["psionic run samples latest"],
  async run({ run: wanted }, { services }) {
    const { RunStore } = await import("./run-store.ts");
    const { SampleStore } = await import("./sample-store.ts");
    const run = new RunStore(services.store).resolve(wanted);
    return { samples: new SampleStore(services.store).last(run.id) };
  },
  view: (screen) => ({
    result({ samples }) {
      if (samples.length === 0)
        return screen.note("no samples yet; a daemon makes them while a run trains");
      for (const { step, prompt, text } of samples) {
        screen.note(`after step ${step}`);
        screen.print(`${prompt}${text}`);
      }
    },
  }),
});
