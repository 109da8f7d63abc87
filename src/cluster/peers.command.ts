import * as v from "valibot";
import { defineCommand } from "#src/command/registry.ts";
import { clusterOf, shortId } from "./command-parts.ts";
import { isSilent, linkResult, linkRow } from "./node-rows.ts";
import { peerLines } from "./views/peers.ts";

defineCommand({
  name: "peers",
  summary: "This node's links: where, how well, and why not.",
  access: "member",
  flow: "cluster",
  place: "daemon",
  parameters: v.strictObject({}),
  result: v.strictObject({
    node: v.string(),
    places: v.array(v.string()),
    links: v.array(
      v.strictObject({
        ...linkResult.entries,
        shortId: v.string(),
        isSuspected: v.boolean(),
      }),
    ),
  }),
  examples: ["psionic peers"],
  run(_parameters, { services }) {
    const cluster = clusterOf(services);
    const state = cluster.state();
    const { staleMs } = state.configuration;
    return {
      node: cluster.standing().node,
      places: [...cluster.contact().places],
      links: cluster.links().map((link) => ({
        ...linkRow(link),
        shortId: shortId(link.node, state),
        isSuspected: isSilent(link, staleMs),
      })),
    };
  },
  view: (screen) => ({
    result({ links, places }) {
      screen.note(`reached at ${places.join(" ") || "no address: it only dials others"}`);
      if (links.length === 0) return screen.note("no other members");
      const { head, lines } = peerLines(links, screen.columns);
      screen.note(head);
      for (const line of lines) screen.print(line);
    },
  }),
});
