import * as v from "valibot";
import { defineCommand } from "#src/command/registry.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { stoppedRunResult } from "./run-results.ts";
// oxlint-disable-next-line import/no-unassigned-import -- declares the service
import "./trainings.ts";

defineCommand({
  name: "run/stop",
  summary: "Stop a run that trains in the daemon, with a checkpoint.",
  access: "owner",
  flow: "model",
  parameters: v.strictObject({
    run: v.optional(
      v.pipe(
        v.string(),
        v.maxLength(256),
        v.description("latest, a name, or a prefix; by default the one that trains"),
      ),
    ),
  }),
  positional: ["run"],
  result: stoppedRunResult,
  examples: ["psionic run stop", "psionic run stop book"],
  place: "daemon",
  async run({ run }, { services: { trainings } }) {
    const wanted = run ?? trainings.active()[0]?.run;
    if (wanted === undefined)
      throw new Refusal(
        "run_not_running",
        "No run trains in this daemon.",
        "`psionic runs` shows the state of every run.",
      );
    return trainings.stop(wanted);
  },
  view: (screen) => ({
    result({ name, state }) {
      screen.print(`${name} is ${state}`);
      if (state !== "completed") screen.note(`go on with: psionic run start --resume ${name}`);
    },
  }),
});
