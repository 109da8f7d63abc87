import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { canonicalText } from "#src/codec/digest.ts";
import { meshIdOf } from "#src/grant/mesh.ts";
import { nodeIdOf, signBytes, signingKeyFromSeed } from "#src/receipt/signature.ts";
import { readManifest } from "./manifest-file.ts";
import { openSnapshot } from "./mesh-snapshot.ts";
import { ClusterHome, FakeCluster, testNode } from "./service.fixture.ts";

/** The two files of a cluster: a signed snapshot of its state, and the operator's description. */

let home: ClusterHome;
beforeAll(async () => void (home = await ClusterHome.open()));
afterAll(() => home[Symbol.dispose]());

function twoNodes(): FakeCluster {
  const cluster = new FakeCluster(home.self);
  cluster.mesh.timeMs = Date.now();
  cluster.found();
  cluster.letIn(testNode(2));
  return cluster;
}

let count = 0;
async function snapshotOf(cluster: FakeCluster): Promise<string> {
  const file = home.file(`snapshot-${count++}.json`);
  expect((await home.type(cluster, "cluster", "snapshot", "--to", file)).status).toBe(0);
  return file;
}

type Document = Record<string, unknown> & {
  state: Record<string, unknown>;
  signature?: string;
};

/** The document signed anew by another key, as a forger would. */
function resigned(document: Document, seed: number): string {
  const key = signingKeyFromSeed(new Uint8Array(32).fill(seed));
  const { signature: _signature, ...rest } = document;
  const content = { ...rest, key: key.publicKey };
  const signature = signBytes(key, Buffer.from(canonicalText(content)));
  return canonicalText({ ...content, signature: Buffer.from(signature).toString("hex") });
}

describe("C-5 a signed snapshot", () => {
  test("C-5 it is checked offline by its own words, and against the log where that is at hand", async () => {
    const cluster = twoNodes();
    const file = await snapshotOf(cluster);
    const check = async (given: FakeCluster | null) =>
      home.read(given, "cluster", "verify", "--snapshot", file);
    expect(await check(null)).toMatchObject({
      ...{ checked: "snapshot", signer: "proven", agreesHere: null, memberCount: 2 },
      ...{ node: home.self.node, index: cluster.asked.length },
    });
    expect(await check(cluster)).toMatchObject({ agreesHere: true });
    await home.type(cluster, "node", "label", "self", "later=1");
    expect(await check(cluster)).toMatchObject({ agreesHere: true });
    cluster.snapshotIndex = cluster.asked.length;
    expect(await check(cluster)).toMatchObject({ agreesHere: null });
  });

  test("C-5 a log that tells another story of that index is 13", async () => {
    const file = await snapshotOf(twoNodes());
    const another = new FakeCluster(home.self);
    another.found();
    another.letIn(testNode(2));
    another.happens(home.self.node, "self", {
      ...{ kind: "node-labelled", node: home.self.node, label: "a", value: "b" },
    });
    const { status } = await home.type(another, "cluster", "verify", "--snapshot", file);
    expect(status).toBe(13);
    expect(await home.read(another, "cluster", "verify", "--snapshot", file)).toMatchObject({
      code: "cluster_digest_differs",
    });
  });

  test("C-5 whatever is changed in it is found", async () => {
    const cluster = twoNodes();
    const text = readFileSync(await snapshotOf(cluster), "utf8");
    const document = JSON.parse(text) as Document;
    const outsider = nodeIdOf(signingKeyFromSeed(new Uint8Array(32).fill(9)).publicKey);
    const forgeries: Readonly<Record<string, string>> = {
      "cut off": text.slice(0, -20),
      "another index": canonicalText({ ...document, index: 99 }),
      "another state": resigned({ ...document, state: { ...document.state, owner: outsider } }, 9),
      "another signer": resigned(document, 9),
      "another mesh": resigned({ ...document, mesh: meshIdOf({ nodeId: outsider }) }, 9),
      "a member twice": text.replace('"mesh":', '"index":1,"mesh":'),
      "another type": canonicalText({ ...document, type: "psionic-grant" }),
      "a field more": canonicalText({ ...document, more: 1 }),
    };
    for (const [name, forged] of Object.entries(forgeries)) {
      const file = home.file(`forged-${count++}.json`, forged);
      const { status, error } = await home.type(null, "cluster", "verify", "--snapshot", file);
      expect({ name, status }).toEqual({ name, status: 13 });
      expect(error).toContain("cluster_snapshot_wrong");
    }
  });

  test("C-5 a forged member's own key is told from a proven one", async () => {
    const cluster = twoNodes();
    const document = JSON.parse(readFileSync(await snapshotOf(cluster), "utf8")) as Document;
    const forger = signingKeyFromSeed(new Uint8Array(32).fill(9));
    const state = {
      ...cluster.state(),
      members: cluster
        .state()
        .members.map((member) =>
          member.node === home.self.node ? { ...member, key: forger.publicKey } : member,
        ),
    };
    const { digestJson } = await import("#src/codec/digest.ts");
    const text = resigned({ ...document, state, digest: digestJson(state) }, 9);
    expect(openSnapshot(text).isSignerProven).toBe(false);
    const file = home.file("unproven.json", text);
    expect(await home.read(null, "cluster", "verify", "--snapshot", file)).toMatchObject({
      signer: "unproven",
    });
  });

  test("C-5 an existing file is not written over; without --to the document is printed", async () => {
    const cluster = twoNodes();
    const file = await snapshotOf(cluster);
    const again = await home.type(cluster, "cluster", "snapshot", "--to", file);
    expect(again.status).toBe(2);
    const { out } = await home.type(cluster, "cluster", "snapshot");
    expect(openSnapshot(out).snapshot.node).toBe(home.self.node);
    const missing = home.file("missing.json");
    expect(await home.read(null, "cluster", "verify", "--snapshot", missing)).toMatchObject({
      code: "not_found",
    });
  });
});

describe("C-9 the operator's description", () => {
  const key = (seed: number) => testNode(seed).publicKey;
  const node = (seed: number, roles: string) =>
    `[[node]]\nid = "${testNode(seed).node}"\nkey = "${key(seed)}"\nroles = [${roles}]\n`;

  test("C-9 its digest depends on what it says, not on order, spacing or remarks", () => {
    const one = readManifest(`${node(2, '"host", "trainer"')}\n${node(3, '"trainer"')}`);
    const other = readManifest(
      `# who is who\npolicies = []\n\n${node(3, '"trainer"')}# and\n${node(2, '"trainer",   "host"')}`,
    );
    expect(other.digest).toBe(one.digest);
    expect(readManifest(`${node(2, '"host"')}\n${node(3, '"trainer"')}`).digest).not.toBe(
      one.digest,
    );
    expect(readManifest(JSON.stringify({ node: [] })).nodes).toEqual([]);
  });

  test.each([
    ["no TOML", "[[node"],
    ["an unknown word", "mesh = 1"],
    ["a node without a key", '[[node]]\nid = "a"\nroles = []'],
    ["a role that is none", node(2, '"king"')],
    ["a node twice", node(2, '"host"') + node(2, '"trainer"')],
    ["a key of another length", node(2, '"host"').replace(/key = "../, 'key = "')],
  ])("C-9 %s is refused", async (_name, text) => {
    const file = home.file(`wrong-${count++}.toml`, text);
    const cluster = twoNodes();
    const before = cluster.asked.length;
    expect(await home.read(cluster, "cluster", "describe", file)).toMatchObject({
      code: "mesh_manifest_wrong",
    });
    expect(cluster.asked).toHaveLength(before);
  });

  test("C-9 the draft describes the members there are: nothing drifts, strangers are refused", async () => {
    const cluster = twoNodes();
    expect(await home.read(cluster, "cluster", "describe")).toMatchObject({
      ...{ done: "shown", manifest: null, isInForce: false },
    });
    const draft = (await home.type(cluster, "cluster", "describe", "--draft")).out;
    const file = home.file("draft.toml", draft);
    const checked = await home.read(cluster, "cluster", "describe", file, "--check");
    expect(checked).toMatchObject({ done: "checked", isInForce: false, drift: [] });
    expect(cluster.state().manifest).toBeNull();
    const set = await home.read(cluster, "cluster", "describe", file);
    expect(set).toMatchObject({ done: "set", isInForce: true, drift: [] });
    expect(cluster.state().manifest!.digest).toBe(readManifest(draft).digest);
    expect(() => cluster.letIn(testNode(3))).toThrow("operator's manifest");
  });

  test("C-9 each drift is named with its reason", async () => {
    const cluster = twoNodes();
    cluster.letIn(testNode(3));
    const text = [
      node(2, '"trainer"'),
      node(3, '"coordinator", "trainer"').replace(key(3), key(7)),
      node(4, '"trainer"'),
    ].join("\n");
    const file = home.file("drift.toml", text);
    const { drift } = (await home.read(cluster, "cluster", "describe", file)) as {
      drift: { node: string; why: string }[];
    };
    expect(Object.fromEntries(drift.map((line) => [line.node, line.why]))).toEqual({
      ...{ [home.self.node]: "not_described", [testNode(2).node]: "more_roles" },
      ...{ [testNode(3).node]: "other_key", [testNode(4).node]: "not_member" },
    });
    expect(await home.read(cluster, "cluster", "status")).toMatchObject({ drift });
  });
});
