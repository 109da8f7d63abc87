import * as v from "valibot";
import type { CommandContext } from "#src/command/define.ts";
import { defineCommand } from "#src/command/registry.ts";
import { Refusal } from "#src/refusal/refusal.ts";
// oxlint-disable-next-line import/no-unassigned-import -- declares the service
import "#src/train/trainings.ts";
// oxlint-disable-next-line import/no-unassigned-import -- declares the service
import "#src/window/services.ts";

const runWords = v.pipe(v.string(), v.maxLength(256), v.description("latest, a name, or a prefix"));

const wishResult = v.strictObject({
  run: v.string(),
  name: v.string(),
  state: v.string(),
  on: v.picklist(["mesh", "here"]),
  /** The last revision of a run of the mesh, which stays; null for a run of this node alone. */
  revision: v.nullable(v.number()),
});

const parts = {
  access: "owner",
  flow: "run",
  place: "daemon",
  positional: ["run"],
  result: wishResult,
} as const;

/** Asks the mesh; the answer is the run as it stands with that. */
async function wish(wanted: string, what: "run" | "pause" | "stop", context: CommandContext) {
  const { wishFor } = await import("./wish-for.ts");
  return wishFor(wanted, what, context);
}

defineCommand({
  name: "run/pause",
  summary: "Have a run of the mesh end its window and wait.",
  ...parts,
  parameters: v.strictObject({ run: runWords }),
  examples: ["psionic run pause book"],
  run: ({ run }, context) => wish(run, "pause", context),
  view: (screen) => ({
    result({ name, state }) {
      screen.print(state === "paused" ? `${name} is paused` : `${name} pauses after this window`);
      screen.note(`go on with: psionic run resume ${name}`);
    },
  }),
});

defineCommand({
  name: "run/resume",
  summary: "Go on with a run: a paused one of the mesh, or one this node trained alone.",
  ...parts,
  parameters: v.strictObject({ run: runWords }),
  examples: ["psionic run resume book"],
  run: ({ run }, context) => wish(run, "run", context),
  view: (screen) => ({
    result({ name }) {
      screen.print(`${name} goes on`);
      screen.note(`how it stands: psionic run status ${name}`);
    },
  }),
});

defineCommand({
  name: "run/stop",
  summary: "End a run: of the mesh everywhere, its last revision kept; here with a checkpoint.",
  ...parts,
  parameters: v.strictObject({
    run: v.optional(
      v.pipe(
        v.string(),
        v.maxLength(256),
        v.description("latest, a name, or a prefix; by default the only one that goes on"),
      ),
    ),
  }),
  examples: ["psionic run stop", "psionic run stop book"],
  async run({ run }, context) {
    const { going } = await import("./wish-for.ts");
    const [only, ...others] = run === undefined ? going(context.services) : [run];
    if (only === undefined)
      throw new Refusal(
        "run_not_running",
        "No run goes on, in this daemon or on its mesh.",
        "`psionic run list` shows the state of every run.",
      );
    if (others.length > 0)
      throw new Refusal(
        "run_ambiguous",
        `${others.length + 1} runs go on.`,
        "Name the one to stop; `psionic run list` shows them.",
        { runs: [only, ...others] },
      );
    return wish(only, "stop", context);
  },
  view: (screen) => ({
    result({ name, state, on, revision }) {
      if (on === "mesh") {
        screen.print(`${name} has ended on all nodes`);
        return screen.note(`its revision ${revision} stays: psionic sample ${name}`);
      }
      screen.print(`${name} is ${state}`);
      if (state !== "completed") screen.note(`go on with: psionic run resume ${name}`);
    },
  }),
});
