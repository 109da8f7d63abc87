import * as v from "valibot";
import { defineCommand } from "#src/command/registry.ts";
import { clusterOf } from "./command-parts.ts";
import { discoveries, postures } from "./event.ts";
import { measuredLink, measuredLinks, nodeResult, nodeRows } from "./node-rows.ts";
import { residencyDigest, topologyDigest } from "./state.ts";
import { nodeLines } from "./views/nodes.ts";

defineCommand({
  name: "nodes",
  summary: "Who is in the mesh, and how this node reaches them.",
  access: "member",
  flow: "cluster",
  place: "daemon",
  parameters: v.strictObject({
    fresh: v.optional(
      v.pipe(
        v.boolean(),
        v.description("first wait until this node knows everything that was decided anywhere"),
      ),
      false,
    ),
    all: v.optional(
      v.pipe(v.boolean(), v.description("show those that left or were evicted too")),
      false,
    ),
    links: v.optional(
      v.pipe(v.boolean(), v.description("add what the members measured of their links (--json)")),
      false,
    ),
  }),
  result: v.strictObject({
    mesh: v.string(),
    node: v.string(),
    /** Whether this node takes part; where it is out, all of this is what it knew last. */
    taking: v.picklist(["member", "joining", "out"]),
    leader: v.nullable(v.string()),
    /** Up to where of the log this is; `isFresh` where it was waited for. */
    index: v.number(),
    isFresh: v.boolean(),
    posture: v.picklist(postures),
    discovery: v.picklist(discoveries),
    /** Of members, links and what nodes measured; of which node holds which blob. */
    topologyDigest: v.string(),
    residencyDigest: v.string(),
    nodes: v.array(nodeResult),
    /** What members measured of their links to each other; empty where it was not asked for. */
    links: v.array(measuredLink),
    /** Members that left or were evicted and are not shown. */
    hiddenCount: v.number(),
  }),
  examples: ["psionic nodes", "psionic nodes --fresh --json"],
  async run({ fresh, all, links }, { services, signal }) {
    const cluster = clusterOf(services);
    if (fresh) await cluster.sync(signal);
    const { mesh, node, leader, appliedIndex, standing: taking } = cluster.standing();
    const state = cluster.state();
    const rows = nodeRows(cluster, services.clock.wallMs());
    const shown = rows.filter(
      ({ standing }) => all || (standing !== "left" && standing !== "evicted"),
    );
    const { posture, discovery } = state.posture;
    return {
      ...{ mesh, node, taking, leader, index: appliedIndex, isFresh: fresh, posture, discovery },
      ...{ topologyDigest: topologyDigest(state), residencyDigest: residencyDigest(state) },
      ...{ nodes: shown, hiddenCount: rows.length - shown.length },
      links: links ? measuredLinks(cluster) : [],
    };
  },
  view: (screen) => ({
    result({ mesh, taking, leader, posture, index, nodes, hiddenCount }) {
      const { head, lines } = nodeLines(nodes, screen.columns);
      screen.note(`${mesh}, ${posture}, at index ${index}`);
      screen.note(head);
      for (const line of lines) screen.print(line);
      if (taking === "out")
        screen.note("this node is out of that mesh, and this is what it knew last");
      else if (leader === null)
        screen.note("nobody leads: `psionic cluster status` says who is missing");
      if (nodes.length === 1)
        screen.note("alone so far; `psionic token create` prints the line to join this mesh");
      if (hiddenCount > 0)
        screen.note(
          `${hiddenCount} more left or ${hiddenCount === 1 ? "was" : "were"} evicted: --all`,
        );
    },
  }),
});
