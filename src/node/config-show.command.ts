import * as v from "valibot";
import { defineCommand } from "#src/command/registry.ts";

defineCommand({
  name: "config/show",
  summary: "What is configured, and where each value came from.",
  access: "owner",
  flow: "node",
  parameters: v.strictObject({
    all: v.optional(
      v.pipe(v.boolean(), v.description("also settings that have their default")),
      false,
    ),
  }),
  result: v.object({
    home: v.string(),
    file: v.string(),
    settings: v.array(
      v.object({
        name: v.string(),
        value: v.unknown(),
        source: v.picklist(["flag", "environment", "file", "default"]),
        origin: v.nullable(v.string()),
      }),
    ),
  }),
  examples: ["psionic config show", "psionic config show --all"],
  run({ all }, { services }) {
    const settings = services.configuration.settings();
    return {
      home: services.home.root,
      file: services.home.configuration,
      settings: settings.filter(({ source }) => all || source !== "default"),
    };
  },
  view: (screen) => ({
    result({ home, file, settings }) {
      screen.print(`home  ${home}`);
      screen.print(`file  ${file}`);
      for (const { name, value, source, origin } of settings) {
        const text = typeof value === "string" ? value : JSON.stringify(value);
        screen.print(`${name} = ${text}  (${origin ?? source})`);
      }
      if (settings.length === 0) {
        screen.note("nothing is set: every parameter has its default (--all shows them)");
      }
    },
  }),
});
