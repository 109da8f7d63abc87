import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { ClusterHome, FakeCluster, linkTo, testNode } from "./service.fixture.ts";
import { loadText } from "./views/words.ts";

let home: ClusterHome;
beforeAll(async () => void (home = await ClusterHome.open()));
afterAll(() => home[Symbol.dispose]());

const [second, third, fourth] = [testNode(2), testNode(3), testNode(4)];

/** Four members: one reached directly, one through it, one silent for too long. */
function fourNodes(): FakeCluster {
  const cluster = new FakeCluster(home.self);
  cluster.mesh.timeMs = Date.now();
  cluster.found();
  for (const node of [second, third, fourth]) cluster.letIn(node);
  const reason = { code: "peer_unreachable", message: "nothing answers", hint: "start it" };
  cluster.linkViews = [
    linkTo(second.node),
    linkTo(third.node, { path: "relayed", relay: second.node, claims: null }),
    linkTo(fourth.node, {
      ...{ state: "unreachable", path: null, silentMs: 48_000, roundTripUs: null, claims: null },
      ...{ clockSkewMs: null, reason, failureCount: 7, nextDialMs: 8_000 },
    }),
  ];
  return cluster;
}

const rowsOf = (result: Record<string, unknown>) =>
  new Map((result["nodes"] as { node: string }[]).map((row) => [row.node, row]));

describe("C-6 C-7 nodes", () => {
  test("C-6 each member stands with its part, its link and whether it is suspected", async () => {
    const result = await home.read(fourNodes(), "nodes");
    const rows = rowsOf(result);
    expect(rows.get(home.self.node)).toMatchObject({
      ...{ isSelf: true, isFounder: true, part: "leader", link: null, isSuspected: false },
    });
    expect(rows.get(second.node)).toMatchObject({
      ...{ isSelf: false, part: "voter", standing: "ready", isSuspected: false, epoch: 1 },
      link: { path: "direct", roundTripUs: 420 },
    });
    expect(rows.get(third.node)).toMatchObject({ link: { path: "relayed", relay: second.node } });
    expect(rows.get(fourth.node)).toMatchObject({
      ...{ isSuspected: true, link: { reason: { code: "peer_unreachable" }, silentMs: 48_000 } },
    });
  });

  test("C-6 suspicion begins where the mesh's stale time ends", async () => {
    const cluster = fourNodes();
    const silentFor = async (silentMs: number) => {
      cluster.linkViews = [linkTo(second.node, { silentMs })];
      return rowsOf(await home.read(cluster, "nodes")).get(second.node);
    };
    expect(await silentFor(15_000)).toMatchObject({ isSuspected: false });
    expect(await silentFor(15_001)).toMatchObject({ isSuspected: true });
    await home.type(cluster, "cluster", "configure", "--stale", "20s");
    expect(await silentFor(15_001)).toMatchObject({ isSuspected: false });
  });

  test("I-5 what is known of a peer's claims is all there, with the reason where it falls short", async () => {
    const cluster = fourNodes();
    const claims = linkTo(second.node).claims!;
    expect(rowsOf(await home.read(cluster, "nodes")).get(second.node)).toMatchObject({
      link: { claims },
    });
    const worse = {
      ...({ policy: "best_effort", result: "unavailable", identityDigest: null } as const),
      ...({ manifestDigest: null, profile: null, proofPosture: "none" } as const),
      reason: "none came",
    };
    cluster.linkViews = [linkTo(second.node, { claims: worse })];
    expect(rowsOf(await home.read(cluster, "nodes")).get(second.node)).toMatchObject({
      link: { claims: worse },
    });
    expect((await home.type(cluster, "nodes")).out).toContain("claims unavailable (none came)");
  });

  test("C-7 device, load and blobs come from what nodes said of themselves", async () => {
    const cluster = fourNodes();
    const blob = "aa".repeat(32);
    cluster.happens(second.node, "self", {
      ...{ kind: "node-measured", node: second.node, device: "16 cores", memoryBytes: 64e9 },
      ...{ loadPerMille: 870, exactTokensPerSecond: 5_000, fastTokensPerSecond: 0 },
      ...{ isReady: true, clockSkewMs: -3 },
    });
    const residency = { kind: "residency-set", node: second.node, blob, isHeld: true } as const;
    cluster.happens(second.node, "self", residency);
    const result = await home.read(cluster, "nodes");
    expect(rowsOf(result).get(second.node)).toMatchObject({
      ...{ blobCount: 1, clockSkewMs: 2, facts: { device: "16 cores", loadPerMille: 870 } },
    });
    const { out } = await home.type(cluster, "nodes");
    for (const text of ["87 %", "16 cores", "1 blob", "0.42 ms", "+2 ms"])
      expect(out).toContain(text);
  });

  test("A-3 every line fits 80 columns and data alone goes to stdout", async () => {
    for (const words of [["nodes"], ["peers"], ["cluster", "status"], ["node", "show", "self"]]) {
      const { out } = await home.type(fourNodes(), ...words);
      const widest = Math.max(...out.split("\n").map((line) => [...line].length));
      expect({ words, isWide: widest > 80 }).toEqual({ words, isWide: false });
    }
  });

  test("C-5 --fresh waits for what was decided anywhere; without it nobody is asked", async () => {
    const cluster = fourNodes();
    await home.type(cluster, "nodes");
    expect(cluster.syncCount).toBe(0);
    expect(await home.read(cluster, "nodes", "--fresh")).toMatchObject({ isFresh: true });
    expect(cluster.syncCount).toBe(1);
  });

  test("C-1 what members read holds no secret of a token", async () => {
    const cluster = fourNodes();
    const { line } = (await home.read(cluster, "token", "create")) as { line: string };
    const secrets = cluster.state().tokens.map(({ secret }) => secret);
    for (const words of [
      ["nodes", "--all"],
      ["peers"],
      ["cluster", "status"],
      ["node", "show", "self"],
      ["token", "list"],
    ]) {
      const text = JSON.stringify(await home.read(cluster, ...words));
      for (const secret of secrets) expect(text).not.toContain(secret);
      expect(text).not.toContain(line.split(" ").at(-1)!);
    }
  });
});

describe("C-6 node show, drain, evict, label", () => {
  test("C-6 a node is named by the beginning of its id, or as self", async () => {
    const cluster = fourNodes();
    const named = async (words: string) => home.read(cluster, "node", "show", words);
    expect(await named("self")).toMatchObject({ node: home.self.node });
    expect(await named(second.node)).toMatchObject({ node: second.node, key: second.publicKey });
    expect(await named(second.node.slice(0, 9))).toMatchObject({ node: second.node });
    expect(await named("psn")).toMatchObject({ code: "node_ambiguous" });
    expect(await named("nobody")).toMatchObject({ code: "member_unknown" });
  });

  test("C-6 the short id in the list names exactly one member", async () => {
    const cluster = fourNodes();
    const { nodes } = (await home.read(cluster, "nodes")) as {
      nodes: { node: string; shortId: string }[];
    };
    for (const { node, shortId } of nodes)
      expect(await home.read(cluster, "node", "show", shortId)).toMatchObject({ node });
  });

  test("C-6 draining: this node as itself, another as the owner", async () => {
    const cluster = fourNodes();
    expect((await home.type(cluster, "node", "drain", second.node)).status).toBe(0);
    expect((await home.type(cluster, "node", "drain", "self")).status).toBe(0);
    expect(cluster.asked.slice(-2).map(({ scope }) => scope)).toEqual(["owner", "self"]);
    expect(await home.read(cluster, "node", "drain", "self")).toMatchObject({
      code: "member_standing_wrong",
    });
    const joined = new FakeCluster(home.self);
    joined.found(second);
    joined.letIn(home.self);
    expect((await home.type(joined, "node", "drain", "self")).status).toBe(0);
    expect(await home.read(joined, "node", "drain", second.node)).toMatchObject({
      code: "scope_lacking",
    });
  });

  test("C-6 evicting needs a reason, keeps it in the log, and never takes the founder", async () => {
    const cluster = fourNodes();
    expect((await home.type(cluster, "node", "evict", second.node)).status).toBe(2);
    const blank = await home.read(cluster, "node", "evict", second.node, "--reason", "  ");
    expect(blank).toMatchObject({ code: "usage" });
    const words = ["node", "evict", second.node, "--reason", "returned"];
    expect(await home.read(cluster, ...words)).toMatchObject({ node: second.node });
    expect(cluster.asked.at(-1)!.command).toMatchObject({ reason: "returned" });
    expect(rowsOf(await home.read(cluster, "nodes")).has(second.node)).toBe(false);
    expect((await home.type(cluster, "nodes", "--all")).out).toContain("evicted");
    expect(await home.read(cluster, "node", "evict", "self", "--reason", "x")).toMatchObject({
      code: "member_standing_wrong",
    });
  });

  test("C-6 labels are put, changed and taken away", async () => {
    const cluster = fourNodes();
    const labels = () => cluster.state().members.find(({ node }) => node === second.node)!.labels;
    await home.type(cluster, "node", "label", second.node, "rack=b4");
    expect(labels()).toEqual([{ label: "rack", value: "b4" }]);
    await home.type(cluster, "node", "label", second.node, "rack=a=1");
    expect(labels()).toEqual([{ label: "rack", value: "a=1" }]);
    await home.type(cluster, "node", "label", second.node, "rack=");
    expect(labels()).toEqual([]);
    for (const wrong of ["rack", "RACK=1", `${"k".repeat(65)}=1`])
      expect((await home.type(cluster, "node", "label", "self", wrong)).status).toBe(2);
  });
});

describe("C-8 peers", () => {
  test("C-8 a link that does not stand says why, since when, when it is tried again, and what to try", async () => {
    const { out } = await home.type(fourNodes(), "peers");
    for (const text of [
      ...["SUSPECTED", "48 s ago", "7 failed dials", "next dial in 8 s", "start it"],
      ...["peer_unreachable: nothing answers", `relayed by ${second.node}`, "118 MB/s"],
    ])
      expect(out).toContain(text);
  });

  test("C-8 who dialled here is shown with the address the mesh knows; a machine beyond its cores is full", async () => {
    const cluster = fourNodes();
    const [first] = cluster.links();
    cluster.linkViews = [linkTo(first!.node, { place: null })];
    const { out } = await home.type(cluster, "peers");
    const known = cluster.state().members.find(({ node }) => node === first!.node)!.contact.places;
    expect(out).toContain(`it dialled here from ${known.join(" ")}`);
    expect([loadText(460), loadText(1_000), loadText(3_090), loadText(null)]).toEqual([
      "46 %",
      "100 %",
      ">100 %",
      "–",
    ]);
  });

  test("C-8 alone there is no link, and that is said", async () => {
    const cluster = new FakeCluster(home.self);
    cluster.found();
    const { out, error } = await home.type(cluster, "peers");
    expect([out, error]).toEqual(["", expect.stringContaining("no other members")]);
  });

  test("C-8 who was seen nearby is listed, and whether it is a member", async () => {
    const cluster = fourNodes();
    const places = ["10.0.0.9:7420"];
    const node = { node: second.node, key: second.publicKey, places, silentMs: 2_000 };
    const stranger = { ...node, node: testNode(77).node, places: [] };
    const nodes = [
      { ...node, isMember: true },
      { ...stranger, isMember: false },
    ];
    cluster.seenNodes = { interfaceName: "eth7", nodes };
    const { out, error } = await home.type(cluster, "peers");
    expect(error).toContain("near on eth7");
    expect(out).toMatch(/member\s+10\.0\.0\.9:7420\s+2 s ago/);
    expect(out).toMatch(/stranger\s+no address/);
    // It does what the mesh does not say of itself.
    expect(error).toContain("cluster posture --discovery named-interface");
  });
});
