import * as v from "valibot";
import { defineCommand } from "#src/command/registry.ts";
import { clusterOf, shortId } from "./command-parts.ts";
import { isSilent, linkResult, linkRow } from "./node-rows.ts";
import type { SeenNodes } from "./services.ts";
import type { MeshState } from "./state.ts";
import { peerLines, seenLines } from "./views/peers.ts";

defineCommand({
  name: "peers",
  summary: "This node's links: where, how well, and why not.",
  access: "member",
  flow: "cluster",
  place: "daemon",
  parameters: v.strictObject({}),
  result: v.strictObject({
    node: v.string(),
    taking: v.picklist(["member", "joining", "out"]),
    places: v.array(v.string()),
    links: v.array(
      v.strictObject({
        ...linkResult.entries,
        shortId: v.string(),
        /** Where the mesh says that it is reached. */
        places: v.array(v.string()),
        isSuspected: v.boolean(),
      }),
    ),
    /** Who answered where this node asks who is near; null where it asks nowhere (`up --discover`). */
    seen: v.nullable(
      v.strictObject({
        interfaceName: v.string(),
        /** Whether the mesh says of itself that members look for others so. */
        isDeclared: v.boolean(),
        nodes: v.array(
          v.strictObject({
            node: v.string(),
            shortId: v.string(),
            key: v.string(),
            places: v.array(v.string()),
            isMember: v.boolean(),
            silentMs: v.number(),
          }),
        ),
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
      taking: cluster.standing().standing,
      places: [...cluster.contact().places],
      links: cluster.links().map((link) => ({
        ...linkRow(link),
        shortId: shortId(link.node, state),
        places: [...(state.members.find(({ node }) => node === link.node)?.contact.places ?? [])],
        isSuspected: isSilent(link, staleMs),
      })),
      seen: seenRows(cluster.seen(), state),
    };
  },
  view: (screen) => ({
    result({ taking, links, places, seen }) {
      screen.note(`reached at ${places.join(" ") || "no address: it only dials others"}`);
      if (taking === "out") screen.note("out of its mesh: it links with nobody");
      else if (links.length === 0) screen.note("no other members");
      else {
        const { head, lines } = peerLines(links, screen.columns);
        screen.note(head);
        for (const line of lines) screen.print(line);
      }
      if (seen === null) return;
      screen.note(
        `near on ${seen.interfaceName}: ${seen.nodes.length === 0 ? "nobody" : ""}`.trim(),
      );
      for (const line of seenLines(seen.nodes)) screen.print(line);
      if (!seen.isDeclared)
        screen.note(
          "the mesh says that discovery is off: `psionic cluster posture --discovery named-interface`",
        );
    },
  }),
});

function seenRows(seen: SeenNodes | null, state: MeshState) {
  if (seen === null) return null;
  const nodes = seen.nodes.map(({ places, ...node }) => ({
    ...{ ...node, places: [...places], shortId: shortId(node.node, state) },
  }));
  const isDeclared = state.posture.discovery === "named-interface";
  return { interfaceName: seen.interfaceName, isDeclared, nodes };
}
