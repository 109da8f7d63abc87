import * as v from "valibot";
import { defineCommand } from "#src/command/registry.ts";
import { sparkline } from "./curve.ts";
import { countText } from "./wording.ts";
import { runParameter } from "./parameter-entries.ts";

/** The curve shows at most this many of the latest losses. */
const curveSteps = 2_000;

defineCommand({
  name: "status",
  summary: "How a run stands: progress, losses, checkpoints, and what happened to it.",
  access: "owner",
  flow: "model",
  parameters: v.strictObject({
    run: runParameter,
  }),
  positional: ["run"],
  examples: ["psionic status latest"],
  async run({ run: wanted }, { services }) {
    const { RunStore } = await import("./run-store.ts");
    const runs = new RunStore(services.store);
    const run = runs.resolve(wanted);
    const last = runs.lastStep(run.id);
    const from = Math.max(0, (last?.step ?? 0) - curveSteps);
    return {
      run: run.id,
      name: run.name,
      state: runs.stateOf(run, services.clock.wallMs()),
      createdMs: run.createdMs,
      step: last?.step ?? 0,
      steps: run.manifest.schedule.steps,
      last,
      evaluations: runs.evaluations(run.id),
      checkpoints: runs.checkpoints(run.id),
      events: runs.events(run.id).slice(-20),
      losses: runs.steps(run.id, from).map(({ loss }) => loss),
      summary: run.summary,
      manifest: run.manifest,
      digest: run.digest,
    };
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
      manifest,
    }) {
      const { model } = manifest;
      screen.print(`${name} (${run}): ${state}, step ${step} of ${steps}`);
      screen.print(
        `model       ${model.style}, ${model.layers} layers, width ${model.width}, context ${model.contextLength}`,
      );
      if (last)
        screen.print(
          `last step   loss ${last.loss.toFixed(4)}, gradient norm ${last.gradientNorm.toFixed(3)}, ${countText(last.tokensPerSecond)} tokens/s`,
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
      for (const { type, body } of events)
        screen.note(`event       ${type} ${JSON.stringify(body)}`);
      if (state !== "completed" && state !== "running")
        screen.note(`go on with: psionic train --resume ${name}`);
    },
  }),
});
