import { describe, expect, test } from "bun:test";
import { digestBytes } from "#src/codec/digest.ts";
import { openMembers } from "#src/node/holders/open-members.ts";
import type { MeshResidency } from "#src/artifact/services.ts";
import { ClusterHome, FakeCluster, linkTo, testNode } from "./service.fixture.ts";

const [near, far, third] = [testNode(2), testNode(3), testNode(4)];
const [one, two] = [digestBytes("one"), digestBytes("two")];

async function told(home: ClusterHome, ...words: string[]): Promise<MeshResidency> {
  const cluster = new FakeCluster(home.self);
  cluster.found();
  for (const other of [far, near, third]) cluster.letIn(other);
  const hold = (node: string, blob: string) =>
    cluster.happens(node, "self", { kind: "residency-set", node, blob, isHeld: true });
  hold(home.self.node, one);
  hold(far.node, one);
  hold(near.node, one);
  hold(home.self.node, two);
  cluster.linkViews = [
    linkTo(far.node, { roundTripUs: 90_000, place: "10.0.0.9:7420" }),
    linkTo(near.node, { roundTripUs: 300 }),
    linkTo(third.node, { state: "unreachable", path: null, roundTripUs: 1 }),
  ];
  const { out } = await home.type(cluster, "cluster", "residency", ...words, "--json");
  return JSON.parse(out) as MeshResidency;
}

describe("C-7 residency", () => {
  test("C-7 who holds what, and the members, the nearest first", async () => {
    using home = await ClusterHome.open();
    const all = await told(home);
    const self = home.self.node;
    expect(all.artifacts.toSorted((a, b) => b.holders.length - a.holders.length)).toEqual([
      { artifact: one, holders: [self, far.node, near.node].toSorted() },
      { artifact: two, holders: [self] },
    ]);
    expect(all.members.map(({ node }) => node)).toEqual([self, near.node, far.node, third.node]);
    expect((await told(home, two)).artifacts.map(({ artifact }) => artifact)).toEqual([two]);
    expect((await told(home, digestBytes("other"))).artifacts).toEqual([]);
  });

  test("C-7 W-5 asked are those who say they hold it; where nobody does, everybody else", async () => {
    using home = await ClusterHome.open();
    const { author } = await home.composition.services.receipts.open();
    const { clock } = home.composition.services;
    const all = await told(home);
    const asked = (artifact: string) =>
      openMembers(all, artifact, { identity: author, clock }).map(({ name }) => name);
    expect(asked(one)).toEqual([near.node, far.node]);
    expect(asked(two)).toEqual([near.node, far.node, third.node]);
    expect(asked(digestBytes("other"))).toEqual([near.node, far.node, third.node]);
  });

  test("C-7 without a daemon the mesh is not known, and the list says so", async () => {
    using home = await ClusterHome.open();
    for (const words of [
      ["cluster", "residency"],
      ["artifact", "list", "--mesh"],
    ]) {
      const { out } = await home.type(null, ...words, "--json");
      expect(JSON.parse(out)).toMatchObject({ code: "daemon_absent" });
    }
    const { out } = await home.type(null, "artifact", "pull", one, "--json");
    expect(out).toContain("artifact_unavailable");
  });
});
