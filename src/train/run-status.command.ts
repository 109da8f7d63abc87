import * as v from "valibot";
import { defineCommand } from "#src/command/registry.ts";
import { sparkline } from "./curve.ts";
import { eventText } from "./event-wording.ts";
import { runParameter } from "./parameter-entries.ts";
import { runStatusResult } from "./run-results.ts";
import { countText, percentText } from "./wording.ts";

defineCommand({
  name: "run/status",
  summary: "How a run stands: progress, losses, checkpoints, alerts, and what happened to it.",
  access: "member",
  flow: "model",
  parameters: v.strictObject({
    run: runParameter,
  }),
  positional: ["run"],
  result: runStatusResult,
  examples: ["psionic run status latest"],
  async run({ run: wanted }, { services }) {
    const { describeRun } = await import("./run-status.ts");
    return describeRun(wanted, services);
  },
  view: (screen) => ({
    result({
      name,
      run,
      state,
      step,
      steps,
      last,
      evaluations,
      checkpoints,
      events,
      losses,
      alerts,
      percentOfPeak,
      manifest,
    }) {
      const { model } = manifest;
      screen.print(`${name} (${run}): ${state}, step ${step} of ${steps}`);
      for (const { message, hint } of alerts) {
        screen.print(`alert       ${message}`);
        screen.note(`            ${hint}`);
      }
      screen.print(
        `model       ${model.style}, ${model.layers} layers, width ${model.width}, context ${model.contextLength}`,
      );
      if (last)
        screen.print(
          `last step   loss ${last.loss.toFixed(4)}, gradient norm ${last.gradientNorm.toFixed(3)}, ${countText(last.tokensPerSecond)} tokens/s${percentOfPeak === null ? "" : `, ${percentText(percentOfPeak)} of peak`}`,
        );
      if (losses.length > 1)
        screen.print(`losses      ${sparkline(losses, Math.min(60, screen.columns - 14))}`);
      const evaluation = evaluations.at(-1);
      if (evaluation) {
        const right = `, ${(100 * evaluation.exactMatch).toFixed(1)} % of problems right`;
        const isTask = manifest.data.reference.task === "addition";
        screen.print(
          `held out    loss ${evaluation.loss.toFixed(4)} at step ${evaluation.step}${isTask ? right : ""}`,
        );
      }
      const kept = checkpoints.filter(({ isKept }) => isKept).map((each) => each.step);
      screen.print(`checkpoints ${kept.length > 0 ? kept.join(", ") : "none"}`);
      for (const event of events)
        screen.note(`event       ${new Date(event.atMs).toISOString()} ${eventText(event)}`);
      if (state !== "completed" && state !== "running")
        screen.note(`go on with: psionic train --resume ${name}`);
    },
  }),
});
