import { expect, test } from "bun:test";
import * as v from "valibot";
import { type AnyCommand, Registry } from "#src/command/registry.ts";
import { commandHelp } from "./help.ts";

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
