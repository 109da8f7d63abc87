import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { ClusterHome, FakeCluster, linkTo, testNode } from "./service.fixture.ts";
import { survivalText } from "./survival.ts";

let home: ClusterHome;
beforeAll(async () => void (home = await ClusterHome.open()));
afterAll(() => home[Symbol.dispose]());

const others = [testNode(2), testNode(3), testNode(4)];

/** This node's mesh with so many others, all of them heard. */
function meshOf(otherCount: number): FakeCluster {
  const cluster = new FakeCluster(home.self);
  cluster.mesh.timeMs = Date.now();
  cluster.found();
  for (const other of others.slice(0, otherCount)) {
    cluster.letIn(other);
    cluster.linkViews.push(linkTo(other.node));
  }
  return cluster;
}

/** The mesh of another, with this node in it. */
function joinedMesh(): FakeCluster {
  const cluster = new FakeCluster(home.self);
  cluster.found(others[0]);
  cluster.letIn(home.self);
  return cluster;
}

describe("C-4 cluster status", () => {
  test("C-4 it says in words what the loss of how many does", () => {
    expect(survivalText(1, 1)).toContain("alone");
    expect(survivalText(1, 3)).toContain("the others may come and go");
    expect(survivalText(2, 2)).toContain("two decide for the moment");
    expect(survivalText(3, 3)).toBe(
      "3 decide: any one of them may be down or lost, and the mesh goes on",
    );
    expect(survivalText(4, 4)).toContain("any one of them");
    expect(survivalText(4, 4)).toContain("for the moment");
    expect(survivalText(5, 9)).toContain("any 2 of them");
    expect(survivalText(7, 9)).toContain("any 3 of them");
  });

  test("C-4 one node hears its quorum; of two, neither does without the other", async () => {
    expect(await home.read(meshOf(0), "cluster", "status")).toMatchObject({
      ...{ neededCount: 1, heardCount: 1, hasQuorum: true, spareCount: 0, memberCount: 1 },
    });
    const two = meshOf(1);
    expect(await home.read(two, "cluster", "status")).toMatchObject({
      ...{ neededCount: 2, heardCount: 2, hasQuorum: true, spareCount: 0 },
    });
    two.linkViews = [linkTo(others[0]!.node, { silentMs: 15_001 })];
    expect(await home.read(two, "cluster", "status")).toMatchObject({
      ...{ heardCount: 1, hasQuorum: false },
    });
    expect((await home.type(two, "cluster", "status")).out).toContain("WARNING");
    two.linkViews = [linkTo(others[0]!.node, { state: "unreachable" })];
    expect(await home.read(two, "cluster", "status")).toMatchObject({ hasQuorum: false });
  });

  test("C-4 deciders that no other machine can dial are named, unless all are on one machine", async () => {
    const cluster = meshOf(3);
    const dialled = await home.read(cluster, "cluster", "status");
    expect(dialled["undialled"]).toEqual([]);
    const state = cluster.state();
    const hide = (count: number) => {
      const members = state.members.map((member, index) => {
        const places = [index < count ? `127.0.0.1:${7420 + index}` : "10.0.0.9:7420"];
        return { ...member, contact: { ...member.contact, places } };
      });
      cluster.state = () => ({ ...state, members });
    };
    for (const [count, named] of [
      [1, 0],
      [2, 2],
      [4, 0],
    ] as const) {
      hide(count);
      const status = await home.read(cluster, "cluster", "status");
      expect(status["undialled"]).toHaveLength(named);
      const { out } = await home.type(cluster, "cluster", "status");
      expect(out.includes("--peer-host ADDRESS")).toBe(named > 0);
    }
  });

  test("C-4 three go on without one", async () => {
    const cluster = meshOf(2);
    cluster.linkViews = [linkTo(others[0]!.node)];
    const status = await home.read(cluster, "cluster", "status");
    expect(status).toMatchObject({ neededCount: 2, heardCount: 2, hasQuorum: true });
    expect((await home.type(cluster, "cluster", "status")).out).not.toContain("WARNING");
  });

  test("C-4 no leader, a node that is out, one that joins: each is told as it is", async () => {
    const cluster = meshOf(1);
    cluster.change = { leader: null, role: "candidate" };
    expect((await home.type(cluster, "cluster", "status")).out).toContain("leads     nobody");
    cluster.change = { standing: "out" };
    const { out } = await home.type(cluster, "cluster", "status");
    expect(out).toContain("is out");
    expect(out).not.toContain("decide");
    const status = await home.read(cluster, "cluster", "status");
    const voters = status["voters"] as { node: string }[];
    expect(voters.map(({ node }) => node)).not.toContain(home.self.node);
    expect((await home.type(cluster, "nodes")).error).toContain("what it knew last");
    expect((await home.type(cluster, "peers")).error).toContain("it links with nobody");
    cluster.change = { standing: "joining" };
    expect((await home.type(cluster, "cluster", "status")).out).toContain("is joining");
  });

  test("C-3 indexes, digest and who set what", async () => {
    const cluster = meshOf(1);
    await home.type(cluster, "cluster", "configure", "--drain", "20s");
    expect(await home.read(cluster, "cluster", "status")).toMatchObject({
      log: { appliedIndex: cluster.asked.length },
      digest: cluster.standing().digest,
      configuration: { drainMs: 20_000 },
      provenance: [
        { subject: "configuration", author: home.self.node, scope: "owner" },
        { subject: "mesh", author: home.self.node },
      ],
    });
  });
});

describe("C-5 cluster verify", () => {
  const says = (cluster: FakeCluster, digest?: string) => (_name: string, parameters: object) => ({
    ...{ mesh: cluster.standing().mesh, node: others[0]!.node, ...parameters },
    digest: digest ?? cluster.standing().digest,
  });

  test("C-5 the log folded again gives the state, and the others say the same", async () => {
    const cluster = meshOf(2);
    for (const { node } of others) cluster.answers.set(node, says(cluster));
    expect(await home.read(cluster, "cluster", "verify")).toMatchObject({
      ...{ checked: "log", index: cluster.asked.length, digest: cluster.standing().digest },
      members: [{ outcome: "equal" }, { outcome: "equal" }],
    });
  });

  test("C-5 who cannot be asked is named with the reason; that is no difference", async () => {
    const cluster = meshOf(2);
    cluster.answers.set(others[0]!.node, says(cluster));
    const result = await home.read(cluster, "cluster", "verify");
    expect(
      new Map((result["members"] as { node: string }[]).map((each) => [each.node, each])).get(
        others[1]!.node,
      ),
    ).toMatchObject({
      ...{ outcome: "unknown", reason: expect.stringContaining("peer_unreachable") },
    });
    cluster.answers.set(others[0]!.node, () => ({ digest: 5 }));
    const odd = await home.read(cluster, "cluster", "verify");
    expect((odd["members"] as { outcome: string }[]).map(({ outcome }) => outcome)).toEqual([
      ...["unknown", "unknown"],
    ]);
  });

  test("C-5 a member with another digest, and memory that is not the log's, are 13 with a code", async () => {
    const cluster = meshOf(1);
    cluster.answers.set(others[0]!.node, says(cluster, "00".repeat(32)));
    const { status } = await home.type(cluster, "cluster", "verify");
    expect(status).toBe(13);
    expect(await home.read(cluster, "cluster", "verify")).toMatchObject({
      ...{ code: "cluster_digest_differs", details: { members: [{ node: others[0]!.node }] } },
    });
    expect((await home.type(cluster, "cluster", "verify", "--alone")).status).toBe(0);
    cluster.damaged = "11".repeat(32);
    expect((await home.type(cluster, "cluster", "verify", "--alone")).status).toBe(13);
    expect(await home.read(cluster, "cluster", "verify")).toMatchObject({
      code: "cluster_state_wrong",
    });
  });

  test("C-5 a member says its digest of an earlier index, and refuses what it does not keep", async () => {
    const cluster = meshOf(1);
    const before = await home.read(cluster, "cluster", "digest", "3");
    expect(before).toMatchObject({ index: 3, digest: await cluster.digestAt(3) });
    await home.type(cluster, "node", "label", "self", "a=b");
    expect(await home.read(cluster, "cluster", "digest", "3")).toEqual(before);
    cluster.snapshotIndex = 4;
    expect(await home.read(cluster, "cluster", "digest", "3")).toMatchObject({
      code: "cluster_index_unkept",
    });
  });
});

describe("C-6 C-11 settings and leaving", () => {
  test("C-6 durations are shown, set for all, and refused out of order", async () => {
    const cluster = meshOf(0);
    const shown = await home.read(cluster, "cluster", "configure");
    expect(shown).toMatchObject({ isChanged: false, configuration: { staleMs: 15_000 } });
    const set = await home.read(cluster, "cluster", "configure", "--stale", "10s", "--skew", "2m");
    expect(set).toMatchObject({
      ...{ isChanged: true, configuration: { intervalMs: 5_000, staleMs: 10_000 } },
    });
    expect(cluster.state().configuration).toMatchObject({ staleMs: 10_000, skewMs: 120_000 });
    const wrong = await home.read(cluster, "cluster", "configure", "--stale", "1h");
    expect(wrong).toMatchObject({ code: "configuration_unfit" });
    expect(cluster.state().configuration.staleMs).toBe(10_000);
  });

  test("C-11 a mesh is called no more than it can show, and never a compute market", async () => {
    const cluster = meshOf(0);
    expect(await home.read(cluster, "cluster", "posture")).toMatchObject({
      ...{ posture: "trusted-lan", isChanged: false },
    });
    const set = async (...words: string[]) => home.read(cluster, "cluster", "posture", ...words);
    expect(await set("compute-market")).toMatchObject({ code: "compute_market_refused" });
    expect(await set("configured-peers")).toMatchObject({ code: "posture_unfounded" });
    const draft = (await home.type(cluster, "cluster", "describe", "--draft")).out;
    await home.type(cluster, "cluster", "describe", home.file("alone.toml", draft));
    expect(await set("configured-peers")).toMatchObject({ posture: "configured-peers" });
    expect(await set("attested-peers")).toMatchObject({ code: "posture_unfounded" });
    expect(await set("attested-peers", "--claims", "runtime,site-a")).toMatchObject({
      claims: ["runtime", "site-a"],
    });
    expect(cluster.state().posture).toMatchObject({ posture: "attested-peers" });
  });

  test("C-3 only an owner's node sets what the mesh is", async () => {
    const cluster = joinedMesh();
    const before = cluster.asked.length;
    const file = home.file("theirs.toml", "policies = []\n");
    for (const words of [
      ["configure", "--stale", "10s"],
      ["posture", "trusted-lan"],
      ["describe", file],
    ])
      expect(await home.read(cluster, "cluster", ...words)).toMatchObject({
        code: "scope_lacking",
      });
    expect(cluster.asked).toHaveLength(before);
    expect(await home.read(cluster, "cluster", "configure")).toMatchObject({ isChanged: false });
  });

  test("C-6 a member leaves; the founder does not", async () => {
    const cluster = joinedMesh();
    expect(await home.read(cluster, "cluster", "leave")).toMatchObject({ node: home.self.node });
    expect(cluster.asked.at(-1)).toMatchObject({ scope: "self", command: { kind: "node-left" } });
    expect(await home.read(meshOf(1), "cluster", "leave")).toMatchObject({
      code: "member_standing_wrong",
    });
  });
});
