import * as v from "valibot";
import { defineCommand } from "#src/command/registry.ts";
import { sparkline } from "./curve.ts";
import { runParameter } from "./parameter-entries.ts";
import { runSeriesResult } from "./run-results.ts";
import { countText } from "./wording.ts";

const fourDigits = (value: number) => value.toPrecision(4);

defineCommand({
  name: "run/series",
  summary: "A run's curves as columns, evenly thinned out; the last step is always there.",
  access: "member",
  flow: "run",
  parameters: v.strictObject({
    run: runParameter,
    after: v.optional(
      v.pipe(
        v.number(),
        v.safeInteger(),
        v.minValue(0),
        v.description("only steps after this, and evaluations from it on"),
      ),
      0,
    ),
    points: v.optional(
      v.pipe(
        v.number(),
        v.integer(),
        v.minValue(16),
        v.maxValue(5_000),
        v.description("most points of a curve"),
      ),
      1_000,
    ),
  }),
  positional: ["run"],
  result: runSeriesResult,
  examples: ["psionic run series latest --points 100 --json"],
  async run({ run: wanted, after, points }, { services }) {
    const { RunStore } = await import("./run-store.ts");
    const { readSeries } = await import("./run-series.ts");
    const runs = new RunStore(services.store);
    const run = runs.resolve(wanted);
    const { peakFlops } = runs.lastStart(run.id);
    return readSeries(services.store, run, { after, points, peakFlops });
  },
  view: (screen) => ({
    result({ first, last, steps, evaluations }) {
      const width = Math.max(10, screen.columns - 18);
      screen.print(`steps      ${first} to ${last}`);
      const show = (title: string, values: readonly number[], figure = fourDigits) => {
        const last = values.at(-1);
        const text =
          last === undefined ? "none yet" : `${sparkline(values, width)} ${figure(last)}`;
        screen.print(`${title.padEnd(9)}  ${text}`);
      };
      show("loss", steps.loss);
      show("held out", evaluations.loss);
      show("gradient", steps.gradientNorm);
      show("tokens/s", steps.tokensPerSecond, countText);
    },
  }),
});
