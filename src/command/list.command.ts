import * as v from "valibot";
import type { Caller } from "./caller.ts";
import type { Screen, Services, View } from "./define.ts";
import { judge } from "./gate.ts";
import type { Grants } from "./grants.ts";
import { defineCommand } from "./registry.ts";
import { parameterSchema, resultSchema, type JsonSchema } from "./schema.ts";

export interface ListedCommand {
  readonly name: string;
  readonly summary: string;
  readonly access: string;
  readonly parameters: JsonSchema;
  readonly positional: readonly string[];
  readonly result: JsonSchema | null;
  readonly examples: readonly string[];
}

/** What a caller may call, as `commands/list` answers it: judged by the rule that gates calls. */
export function listFor(
  caller: Caller,
  services: Pick<Services, "registry"> & { readonly grants: Pick<Grants, "judge"> },
): ListedCommand[] {
  return services.registry
    .all()
    .filter((command) => !command.hidden && judge(caller, command, services).by !== null)
    .map((command) => ({
      name: command.name,
      summary: command.summary,
      access: command.access ?? "owner",
      parameters: parameterSchema(command),
      positional: command.positional ?? [],
      result: resultSchema(command),
      examples: command.examples ?? [],
    }));
}

const resultShape = v.object({
  commands: v.array(
    v.object({
      name: v.string(),
      summary: v.string(),
      access: v.string(),
      parameters: v.record(v.string(), v.unknown()),
      positional: v.array(v.string()),
      result: v.nullable(v.record(v.string(), v.unknown())),
      examples: v.array(v.string()),
    }),
  ),
});

const view = (screen: Screen): View<{ commands: ListedCommand[] }> => ({
  result({ commands }) {
    const width = Math.max(...commands.map((command) => command.name.length));
    for (const command of commands) {
      screen.print(`${command.name.replaceAll("/", " ").padEnd(width)}  ${command.summary}`);
    }
  },
});

defineCommand({
  name: "commands",
  summary: "Every command you may call; with --json, with the schemas of what it takes and gives.",
  access: "safe",
  flow: "tools",
  parameters: v.strictObject({}),
  result: resultShape,
  examples: ["psionic commands", "psionic commands --json"],
  run: (_parameters, context) =>
    context.call("commands/list", {}) as Promise<{ commands: ListedCommand[] }>,
  view,
});

defineCommand({
  name: "commands/list",
  summary: "Every command you may call, with its schemas: the name by which peers ask for it.",
  access: "safe",
  flow: "tools",
  parameters: v.strictObject({}),
  result: resultShape,
  examples: ["psionic commands list --json"],
  run: (_parameters, context) => ({ commands: listFor(context.caller, context.services) }),
  view,
});
