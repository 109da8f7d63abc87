import { expect, test } from "bun:test";
import * as v from "valibot";
import { type AnyCommand, Registry, registry } from "#src/command/registry.ts";
// oxlint-disable-next-line import/no-unassigned-import -- declares every command of the program
import "#src/node/commands.ts";
import { commandHelp, programHelp } from "./help.ts";

const command: AnyCommand = {
  name: "paint",
  summary: "Paint.",
  parameters: v.strictObject({
    colour: v.optional(v.pipe(v.picklist(["red", "blue"]), v.description("which paint")), "red"),
    title: v.optional(v.pipe(v.string(), v.description("words below it")), ""),
    again: v.optional(v.pipe(v.union([v.boolean(), v.string()]), v.description("which")), false),
    dry: v.optional(v.pipe(v.boolean(), v.description("only say what")), false),
  }),
  run: () => null,
};

test("A-3 help says choices once, and no default that everybody expects", () => {
  const help = commandHelp(command, new Registry(), { columns: 80, colour: false });
  const parameters = help.slice(help.indexOf("Parameters\n"), help.indexOf("\n\nOptions of every"));
  expect(parameters.split("\n").slice(1)).toEqual([
    "  --colour red|blue  which paint; default red",
    "  --title TEXT       words below it",
    "  --again [TEXT]     which",
    "  --dry              only say what",
  ]);
});

test("A-3 the program's help has short groups, first steps first, and says how to begin", () => {
  const help = programHelp(registry.all(), { columns: 80, colour: false, version: "1.2.3" });
  const groups = help.split("\n\n").slice(2, -2);
  expect(groups.map((group) => group.split("\n")[0])).toEqual([
    "First steps",
    "Models",
    "Runs",
    "Checking a run",
    "This node",
    "The cluster",
    "Artifacts",
    "Other nodes",
    "Policies and evidence",
    "Tools",
  ]);
  // A group is read at one look: with its heading it fits a terminal of 24 lines.
  for (const group of groups) expect(group.split("\n").length).toBeLessThanOrEqual(24);
  expect(help).toContain("Begin with `psionic demo`");
});
