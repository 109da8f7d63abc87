import * as v from "valibot";
import { defineCommand } from "#src/command/registry.ts";

defineCommand({
  name: "init",
  summary: "Make this machine's node identity (train and up do it by themselves).",
  access: "owner",
  flow: "node",
  place: "node",
  parameters: v.strictObject({}),
  result: v.object({
    nodeId: v.string(),
    publicKey: v.string(),
    bornMs: v.number(),
    home: v.string(),
    created: v.boolean(),
  }),
  examples: ["psionic init"],
  async run(_parameters, { services }) {
    services.lock();
    const { nodeId, publicKey, bornMs, created } = await services.identity.openOrCreate();
    return { nodeId, publicKey, bornMs, home: services.home.root, created };
  },
  view: (screen) => ({
    result({ nodeId, home, created }) {
      screen.print(nodeId);
      screen.note(created ? `a new node lives in ${home}` : `this node already lives in ${home}`);
      if (created) screen.note("keep a copy of its key: psionic identity backup FILE");
    },
  }),
});
