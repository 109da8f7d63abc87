import * as v from "valibot";
import { defineCommand } from "#src/command/registry.ts";

interface RunLine {
  readonly run: string;
  readonly name: string;
  readonly state: string;
  readonly size: string;
  readonly step: number;
  readonly steps: number;
  readonly loss: number | null;
  readonly valLoss: number | null;
  readonly createdMs: number;
}

defineCommand({
  name: "runs",
  summary: "All runs of this home, newest first.",
  access: "owner",
  flow: "model",
  parameters: v.strictObject({}),
  examples: ["psionic runs", "psionic runs --json"],
  async run(_parameters, { services }) {
    const { RunStore } = await import("./run-store.ts");
    const runs = new RunStore(services.store);
    const nowMs = services.clock.wallMs();
    return {
      runs: runs.all().map((run): RunLine => {
        const last = runs.lastStep(run.id);
        return {
          run: run.id,
          name: run.name,
          state: runs.stateOf(run, nowMs),
          size: run.manifest.size,
          step: last?.step ?? 0,
          steps: run.manifest.schedule.steps,
          loss: last?.loss ?? null,
          valLoss: runs.evaluations(run.id).at(-1)?.loss ?? null,
          createdMs: run.createdMs,
        };
      }),
    };
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
