import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { proveAdmission, tokenKey } from "./admission-proof.ts";
import { readToken } from "./join-token.ts";
import { ClusterHome, FakeCluster, testNode } from "./service.fixture.ts";

let home: ClusterHome;
beforeAll(async () => void (home = await ClusterHome.open()));
afterAll(() => home[Symbol.dispose]());

function founded(): FakeCluster {
  const cluster = new FakeCluster(home.self);
  cluster.mesh.timeMs = Date.now();
  cluster.found();
  return cluster;
}

const secretIn = (line: string) => readToken(line.split(" --token ")[1]!).secret;

describe("C-1 token create, list, revoke", () => {
  test("C-1 stdout is the join line alone; the rest is talk", async () => {
    const cluster = founded();
    const { status, out, error } = await home.type(cluster, "token", "create");
    expect(status).toBe(0);
    expect(out).toMatch(/^psionic join 10\.0\.0\.1:7420 --token psn1_[A-Za-z0-9_-]+\n$/);
    expect(error).toContain("one node, within 1 h, as host, coordinator, trainer, validator");
    const token = readToken(out.trim().split(" ").at(-1)!);
    expect(token).toMatchObject({ mesh: cluster.standing().mesh });
    expect(token.certificate).toBe(cluster.contact().certificate);
    const [known] = cluster.state().tokens;
    expect(known).toMatchObject({ token: token.token, isReusable: false, useCount: 0 });
    expect(known!.secret).toBe(tokenKey(token.secret));
    expect(known!.expiryMs - cluster.state().timeMs).toBe(3_600_000);
  });

  test("C-1 reusable, for longer, for some roles", async () => {
    const cluster = founded();
    const words = ["--reusable", "--ttl", "7d", "--roles", "trainer,validator"];
    expect(await home.read(cluster, "token", "create", ...words)).toMatchObject({
      ...{ isReusable: true, lifetimeMs: 7 * 86_400_000, roles: ["trainer", "validator"] },
    });
    expect(cluster.state().tokens[0]).toMatchObject({ isReusable: true });
  });

  test.each([
    [["--ttl", "400d"], "a year"],
    [["--ttl", "soon"], "a number and a unit"],
    [["--roles", "king"], "king is no role"],
    [["--roles", "trainer validator"], "commas"],
  ])("C-1 %j is refused as usage and makes no token", async (words, why) => {
    const cluster = founded();
    const { status, error } = await home.type(cluster, "token", "create", ...words);
    expect(status).toBe(2);
    expect(error).toContain(why);
    expect(cluster.state().tokens).toEqual([]);
  });

  test("C-1 two tokens share neither name nor secret", async () => {
    const cluster = founded();
    const lines = [
      (await home.type(cluster, "token", "create")).out,
      (await home.type(cluster, "token", "create")).out,
    ];
    expect(new Set(lines.map(secretIn)).size).toBe(2);
    expect(new Set(cluster.state().tokens.map(({ token }) => token)).size).toBe(2);
  });

  test("C-1 only this machine reaches loopback: the talk says so; no address is refused", async () => {
    const cluster = founded();
    cluster.places = ["127.0.0.1:7420"];
    expect((await home.type(cluster, "token", "create")).error).toContain("only this machine");
    cluster.places = [];
    expect(await home.read(cluster, "token", "create")).toMatchObject({
      ...{ type: "refusal", code: "cluster_unreachable" },
    });
    expect(cluster.state().tokens).toHaveLength(1);
  });

  test("C-3 on a node that is no owner it is refused with the owners' names", async () => {
    const founder = testNode(2);
    const cluster = new FakeCluster(home.self);
    cluster.found(founder);
    cluster.letIn(home.self);
    const before = cluster.asked.length;
    for (const words of [["create"], ["revoke", "for-x"]])
      expect(await home.read(cluster, "token", ...words)).toMatchObject({
        ...{ code: "scope_lacking", details: { owners: [founder.node] } },
      });
    expect(cluster.asked).toHaveLength(before);
  });

  test("C-1 the list shows how each stands, and no secret", async () => {
    const cluster = founded();
    const secrets = [];
    for (const words of [[], ["--reusable"], [], ["--ttl", "1m"]])
      secrets.push(secretIn((await home.type(cluster, "token", "create", ...words)).out));
    const [used, many, revoked, short] = cluster.asked
      .slice(-4)
      .map(({ command }) => (command.kind === "token-created" ? command.token : "")) as [
      string,
      string,
      string,
      string,
    ];
    const { node, publicKey: key } = testNode(5);
    const { mesh } = cluster.standing();
    const admitted = { mesh, node, key, epoch: 1, token: used, contact: cluster.contact() };
    cluster.happens(home.self.node, "membership", {
      ...{ kind: "node-admitted", ...admitted, roles: ["trainer"], version: 1 },
      ...{ proof: proveAdmission(secrets[0]!, admitted), clockMs: cluster.mesh.timeMs, claims: [] },
    });
    expect((await home.type(cluster, "token", "revoke", revoked)).out).toBe(`${revoked}\n`);
    cluster.mesh.timeMs += 61_000;
    cluster.happens(home.self.node, "self", {
      ...{ kind: "lease-renewed", node: home.self.node, epoch: 1 },
    });
    const listed = await home.read(cluster, "token", "list");
    const states = Object.fromEntries(
      (listed["tokens"] as { token: string; state: string }[]).map((each) => [
        each.token,
        each.state,
      ]),
    );
    expect(states).toEqual({
      ...{ [used]: "used", [many]: "open", [revoked]: "revoked", [short]: "expired" },
    });
    const shown = (await home.type(cluster, "token", "list")).out + JSON.stringify(listed);
    for (const secret of secrets) {
      expect(shown).not.toContain(secret);
      expect(shown).not.toContain(tokenKey(secret));
    }
  });

  test("C-1 a token nobody made cannot be revoked", async () => {
    expect(await home.read(founded(), "token", "revoke", "nobody")).toMatchObject({
      code: "token_wrong",
    });
  });

  test("A-1 without a daemon every command of the cluster says what to start", async () => {
    for (const words of [["nodes"], ["token", "list"], ["cluster", "status"], ["peers"]])
      expect(await home.read(null, ...words)).toMatchObject({ code: "daemon_absent" });
  });
});
