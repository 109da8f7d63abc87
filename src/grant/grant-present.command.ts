import * as v from "valibot";
import { defineCommand } from "#src/command/registry.ts";
import { grantResult, printGrant, readGrantFile } from "./grant-entries.ts";

defineCommand({
  name: "grant/present",
  summary: "Keep a grant another owner gave this node, for calls to that owner.",
  access: "owner",
  localOnly: true,
  flow: "peer",
  parameters: v.strictObject({
    file: v.pipe(v.string(), v.nonEmpty(), v.description("the grant's file")),
  }),
  positional: ["file"],
  paths: ["file"],
  result: v.object({ grant: grantResult, presentedMs: v.number() }),
  examples: ["psionic grant present grant.json"],
  async run({ file }, { services }) {
    const { key } = await services.identity.open();
    return services.presented.add(await readGrantFile(file, services), key.publicKey);
  },
  view: (screen) => ({
    result({ grant }) {
      printGrant(screen, grant);
      screen.note(`it goes with calls to ${grant.issuer} and to nobody else`);
    },
  }),
});
