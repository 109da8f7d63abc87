import * as v from "valibot";
import type { CommandContext, Screen, View } from "#src/command/define.ts";
import { defineCommand } from "#src/command/registry.ts";
import { sparkline } from "#src/train/curve.ts";
import { eventText } from "#src/train/event-wording.ts";
import { runParameter } from "#src/train/parameter-entries.ts";
import { countText, percentText } from "#src/train/wording.ts";
// oxlint-disable-next-line import/no-unassigned-import -- declares the service
import "#src/window/services.ts";
import { eventLines, statusLines } from "./mesh-views.ts";
import { descriptionResult, type Description, type Sight } from "./description-result.ts";
import { watchView } from "./watch-view.ts";

/** Events shown of a run of the mesh. */
const eventCount = 10;

const parts = {
  access: "member",
  flow: "run",
  place: "node",
  endsOnInterrupt: true,
  positional: ["run"],
  result: descriptionResult,
  view,
} as const;

defineCommand({
  name: "run/status",
  summary: "How a run stands: who does what, progress, losses, and what happened to it.",
  ...parts,
  parameters: v.strictObject({
    run: runParameter,
    watch: v.optional(
      v.pipe(v.boolean(), v.description("go on showing it until it ends, or until Ctrl-C")),
      false,
    ),
  }),
  letters: { w: "watch" },
  examples: ["psionic run status latest", "psionic run status --watch"],
  run: ({ run, watch }, context) => look(run, watch, context),
});

defineCommand({
  name: "run/watch",
  summary: "Short for `run status --watch`.",
  ...parts,
  parameters: v.strictObject({ run: runParameter }),
  examples: ["psionic run watch", "psionic run watch book"],
  run: ({ run }, context) => look(run, true, context),
});

async function look(
  wanted: string,
  isWatched: boolean,
  context: CommandContext,
): Promise<Description> {
  const { describe, watchRun } = await import("./run-description.ts");
  const { findRun } = await import("./find-run.ts");
  // What is watched is the run that the words meant at first, whatever begins later.
  const { run } = findRun(wanted, context.services);
  if (isWatched) await watchRun(run, context);
  return describe(run, context.services);
}

function view(screen: Screen): View<Description> {
  const show = watchView(screen);
  return {
    event(event) {
      if (event.type === "run") show(event as unknown as Sight);
    },
    result(description) {
      screen.draw([]);
      if (description.mesh === null) return showLocal(description, screen);
      for (const line of statusLines(description.mesh)) screen.print(line);
      if ("losses" in description && description.losses.length > 1)
        screen.print(`own losses  ${sparkline(description.losses, 60)}`);
      for (const line of eventLines(description.mesh.events, eventCount)) screen.note(line);
      const { phase, name } = description.mesh;
      if (phase === "paused") screen.note(`go on with: psionic run resume ${name}`);
    },
  };
}

function showLocal(description: Description, screen: Screen): void {
  if (!("manifest" in description)) return;
  const { name, run, state, step, steps, last, evaluations, checkpoints } = description;
  const { events, losses, alerts, percentOfPeak, manifest } = description;
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
}
