import * as v from "valibot";
import { defineCommand } from "#src/command/registry.ts";
import { accountName } from "./account-name.ts";
import { drainParameter, durationMs } from "./duration.ts";
import { ownCommand } from "./own-command.ts";
import { serviceFile, supervisors } from "./service-files.ts";

defineCommand({
  name: "service/print",
  summary: "The file with which systemd, launchd or Docker Compose keeps this node up.",
  access: "owner",
  flow: "node",
  parameters: v.strictObject({
    supervisor: v.pipe(v.picklist(supervisors), v.description("who keeps it up")),
    user: v.optional(
      v.pipe(v.boolean(), v.description("a service of your session, not of the machine")),
      false,
    ),
    drain: drainParameter,
  }),
  positional: ["supervisor"],
  result: v.object({
    supervisor: v.picklist(supervisors),
    /** Where it is usually put. */
    path: v.string(),
    text: v.string(),
    /** What to type once it is there. */
    enable: v.array(v.string()),
  }),
  examples: [
    "psionic service print systemd --user",
    "psionic service print launchd --user",
    "psionic service print compose",
  ],
  run({ supervisor, user, drain }, { services }) {
    const file = serviceFile(supervisor, {
      command: ownCommand([]),
      home: services.home.root,
      drainMs: durationMs(drain),
      isUser: user,
      userName: accountName(),
    });
    return { supervisor, ...file, enable: [...file.enable] };
  },
  view: (screen) => ({
    result({ text, path, enable }) {
      screen.write(text);
      screen.note(`put it at ${path}, then:`);
      for (const line of enable) screen.note(`  ${line}`);
    },
  }),
});
