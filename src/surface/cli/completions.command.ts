import * as v from "valibot";
import { judge } from "#src/command/gate.ts";
import { defineCommand } from "#src/command/registry.ts";
import { completionScript, shells } from "./completions.ts";

defineCommand({
  name: "completions",
  summary: "A completion script for your shell, made from the commands.",
  access: "safe",
  flow: "tools",
  parameters: v.strictObject({
    shell: v.pipe(v.picklist(shells), v.description("the shell to complete in")),
  }),
  positional: ["shell"],
  result: v.object({ shell: v.picklist(shells), script: v.string() }),
  examples: ["psionic completions bash", "psionic completions zsh", "psionic completions fish"],
  run({ shell }, { services, caller }) {
    const commands = services.registry
      .all()
      .filter((command) => !command.hidden && judge(caller, command, services).by !== null);
    return { shell, script: completionScript(shell, commands) };
  },
  view: (screen) => ({
    result({ script }) {
      screen.print(script.trimEnd());
    },
  }),
});
