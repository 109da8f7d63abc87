import * as v from "valibot";
import { defineCommand } from "#src/command/registry.ts";
import { clusterOf, shortId } from "./command-parts.ts";
import type { ClusterService } from "./services.ts";
import { isLive, type Member } from "./state.ts";

const memberResult = v.strictObject({
  node: v.string(),
  isSelf: v.boolean(),
  /** Of this node's own link to it; null where there is none, as to itself. */
  link: v.nullable(v.string()),
  roundTripUs: v.nullable(v.number()),
  /** `HOST:PORT`, the one in use first; none for a node that only dials others. */
  places: v.array(v.string()),
  /** SHA-256 of the certificate it shows. */
  certificate: v.string(),
});
type MemberRow = v.InferOutput<typeof memberResult>;

defineCommand({
  name: "cluster/residency",
  summary: "Which artifacts the members of the mesh say they hold, and where they are reached.",
  access: "member",
  flow: "cluster",
  place: "daemon",
  parameters: v.strictObject({
    artifact: v.optional(
      v.pipe(
        v.string(),
        v.regex(/^[0-9a-f]{64}$/, "a digest has 64 hexadecimal digits"),
        v.description("only this artifact, by its whole digest"),
      ),
    ),
  }),
  positional: ["artifact"],
  result: v.strictObject({
    mesh: v.string(),
    node: v.string(),
    /** Up to where of the log this is. */
    index: v.number(),
    artifacts: v.array(v.strictObject({ artifact: v.string(), holders: v.array(v.string()) })),
    /** Live members, this node first, then those it reaches soonest. */
    members: v.array(memberResult),
  }),
  examples: ["psionic cluster residency"],
  run({ artifact }, { services }) {
    const cluster = clusterOf(services);
    const { mesh, node, appliedIndex } = cluster.standing();
    const { residency } = cluster.state();
    return {
      ...{ mesh, node, index: appliedIndex, members: memberRows(cluster, node) },
      artifacts: residency
        .filter(({ blob }) => artifact === undefined || blob === artifact)
        .map(({ blob, holders }) => ({ artifact: blob, holders: [...holders] })),
    };
  },
  view: (screen) => ({
    result({ mesh, artifacts, members, index }) {
      screen.note(`${mesh}, at index ${index}`);
      if (artifacts.length === 0) screen.note("nobody holds an artifact");
      for (const { artifact, holders } of artifacts)
        screen.print(
          `${artifact.slice(0, 12)}  ${holders.map((node) => shortId(node, { members })).join(" ")}`,
        );
    },
  }),
});

function memberRows(cluster: ClusterService, self: string): MemberRow[] {
  const links = new Map(cluster.links().map((link) => [link.node, link]));
  const rowOf = ({ node, contact }: Member): MemberRow => {
    const link = links.get(node);
    const inUse = link?.path === "direct" ? link.place : null;
    const places = contact.places.toSorted((a, b) => Number(b === inUse) - Number(a === inUse));
    return {
      ...{ node, isSelf: node === self, places, certificate: contact.certificate },
      ...{ link: link?.state ?? null, roundTripUs: link?.roundTripUs ?? null },
    };
  };
  const rank = ({ isSelf, link }: MemberRow) =>
    isSelf ? 0 : link === "connected" ? 1 : link === "degraded" ? 2 : 3;
  const distance = ({ roundTripUs }: MemberRow) => roundTripUs ?? Number.MAX_SAFE_INTEGER;
  return cluster
    .state()
    .members.filter(isLive)
    .map(rowOf)
    .toSorted((a, b) => rank(a) - rank(b) || distance(a) - distance(b));
}
