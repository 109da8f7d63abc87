import * as v from "valibot";
import { defineCommand } from "#src/command/registry.ts";
import { runsResult } from "./run-results.ts";

defineCommand({
  name: "runs",
  summary: "All runs of this home, newest first.",
  access: "member",
  flow: "model",
  parameters: v.strictObject({}),
  result: runsResult,
  examples: ["psionic runs", "psionic runs --json"],
  async run(_parameters, { services }) {
    const { listRuns } = await import("./run-list.ts");
    return { runs: listRuns(services.store, services.clock.wallMs()) };
  },
  view: (screen) => ({
    result({ runs }) {
      if (runs.length === 0) return screen.note("no runs yet; `psionic train` starts one");
      const number = (value: number | null) => (value === null ? "–" : value.toFixed(4));
      const width = Math.max(4, ...runs.map(({ name }) => name.length));
      screen.note(
        `${"NAME".padEnd(width)}  ID        STATE        SIZE      STEP           LOSS     HELD OUT`,
      );
      for (const { run, name, state, size, step, steps, loss, valLoss } of runs)
        screen.print(
          [
            name.padEnd(width),
            run,
            state.padEnd(11),
            size.padEnd(8),
            `${step}/${steps}`.padEnd(13),
            number(loss).padEnd(7),
            number(valLoss),
          ].join("  "),
        );
    },
  }),
});
