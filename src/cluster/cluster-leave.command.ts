import * as v from "valibot";
import { defineCommand } from "#src/command/registry.ts";
import { clusterOf } from "./command-parts.ts";

defineCommand({
  name: "cluster/leave",
  summary: "Say farewell and go back to a mesh of this node's own.",
  access: "owner",
  flow: "cluster",
  place: "daemon",
  parameters: v.strictObject({}),
  result: v.strictObject({ node: v.string(), left: v.string(), mesh: v.string() }),
  examples: ["psionic cluster leave"],
  async run(_parameters, { services, signal }) {
    const cluster = clusterOf(services);
    const { node, mesh: left } = cluster.standing();
    await cluster.leave(signal);
    return { node, left, mesh: cluster.standing().mesh };
  },
  view: (screen) => ({
    result({ left, mesh }) {
      screen.print(mesh);
      screen.note(`left ${left}; the runs and artifacts of this home stay`);
      screen.note("a new token takes it in again");
    },
  }),
});
