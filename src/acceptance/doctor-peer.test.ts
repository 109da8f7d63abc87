import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { cpSync } from "node:fs";
import { join } from "node:path";
import { readToken, tokenText, type JoinToken } from "#src/cluster/join-token.ts";
import { makeCertificate } from "#src/peer/certificate.ts";
import { jsonLines, runBinary, TemporaryFolder } from "./binary.ts";
import { OwnClock, whyNoClock } from "./cluster-clock.fixture.ts";
import { ClusterMachine } from "./cluster-machine.fixture.ts";
import { MachineNetwork, whyNoNetwork } from "./cluster-network.fixture.ts";
import { until } from "./daemon.fixture.ts";

/** What `doctor --peer` says is wrong, seen from a machine that wants to join: each fault by its name. */

const port = 7420;
let network: MachineNetwork;
let host: ClusterMachine;
let other: ClusterMachine;
let newcomer: ClusterMachine;
let member: ClusterMachine;
let place: string;
let token: string;

const noNetwork = whyNoNetwork();
const noClock = process.env["CI"] ? null : whyNoClock();

beforeAll(async () => {
  network = new MachineNetwork(6);
  [host, other, newcomer, member] = [0, 1, 2, 3].map(
    (index) => new ClusterMachine(network, index),
  ) as [ClusterMachine, ClusterMachine, ClusterMachine, ClusterMachine];
  place = `${network.address(0)}:${port}`;
  await Promise.all([
    host.up("--peer-port", String(port)),
    other.up("--peer-port", String(port)),
    newcomer.run("init"),
    member.run("init"),
  ]);
  token = await newToken("--reusable");
  const line = ["join", place, "--token", await newToken(), "--detach", "--port", "0"];
  expect((await member.run(...line, "--peer-host", network.address(3))).stderr).toContain("joined");
}, 60_000);

afterAll(async () => {
  await member.run("down");
  await Promise.all([host.kill(), other.kill()]);
  network[Symbol.dispose]();
});

async function newToken(...words: string[]): Promise<string> {
  return String((await host.json("token", "create", ...words))["text"]);
}

const withToken = (changes: Partial<JoinToken>) => tokenText({ ...readToken(token), ...changes });

/** The names of the steps that passed, the one that did not, and the refusal's code. */
function told(stdout: string) {
  const lines = jsonLines(stdout);
  const checks = lines.filter(({ type }) => type === "check");
  const failing = checks.filter(({ passed }) => passed === false);
  return {
    passed: checks.filter(({ passed }) => passed === true).map(({ name }) => name),
    failing: failing.map(({ name }) => name),
    code: lines.at(-1)!["code"],
    fix: failing[0]?.["fix"],
  };
}

async function doctor(at: string, words: readonly string[] = [], machine = newcomer) {
  const { stdout } = await machine.run("doctor", "--peer", at, ...words, "--json");
  return told(stdout);
}

const way = ["name", "port", "tls", "pin", "psionic", "node"];

describe("C-8 doctor --peer names what stands in the way", () => {
  test("C-8 nothing does: every step is told, down to the token", async () => {
    expect((await doctor(place, ["--token", token])).passed).toEqual([
      ...way,
      ...["mesh", "version", "clock", "token", "identity", "claims", "standing"],
    ]);
    expect((await doctor(place)).passed).toEqual([...way, "clock", "standing"]);
    // It asked, and nothing came of it.
    const nodes = JSON.stringify(await host.result("nodes"));
    const idOf = async (machine: ClusterMachine) =>
      String((await machine.json("identity", "show"))["nodeId"]);
    expect(nodes).toContain(await idOf(member));
    expect(nodes).not.toContain(await idOf(newcomer));
  });

  test("C-8 wrong port: nobody listens there, or somebody else does", async () => {
    expect(await doctor(`${network.address(0)}:7499`, ["--token", token])).toMatchObject({
      ...{ passed: ["name"], failing: ["port"], code: "peer_port_closed" },
    });
    const { daemon } = (await host.json("status")) as { daemon: { url: string } };
    const page = new URL(daemon.url).port;
    const { failing, code } = await doctor(`127.0.0.1:${page}`, ["--token", token], host);
    expect({ failing, code }).toEqual({ failing: ["tls"], code: "peer_not_tls" });
  });

  test.skipIf(noNetwork !== null)(
    `C-8 a firewall that drops${noNetwork === null ? "" : ` (${noNetwork})`}`,
    async () => {
      const rule = ["to", network.address(2), "ipproto", "tcp", "sport", String(port), "blackhole"];
      const change = (what: string) =>
        Bun.spawnSync(network.command(0, ["ip", "rule", what, ...rule])).exitCode;
      expect(change("add")).toBe(0);
      try {
        const { passed, failing, code, fix } = await doctor(place, ["--token", token]);
        expect({ passed, failing, code }).toEqual({
          ...{ passed: ["name"], failing: ["port"], code: "peer_silent" },
        });
        expect(fix).toContain("firewall");
        // The machine itself is there: another port answers at once.
        expect((await doctor(`${network.address(0)}:7499`)).code).toBe("peer_port_closed");
      } finally {
        expect(change("del")).toBe(0);
      }
      expect((await doctor(place)).failing).toEqual([]);
    },
    30_000,
  );

  test.skipIf(noNetwork !== null)(
    `C-8 a machine that is not there, and one that no way leads to${noNetwork === null ? "" : ` (${noNetwork})`}`,
    async () => {
      // Neither says that nothing listens there: nobody said anything.
      for (const nowhere of [network.address(98), "203.0.113.7"])
        expect(await doctor(`${nowhere}:${port}`)).toMatchObject({
          ...{ passed: ["name"], failing: ["port"], code: "peer_silent" },
        });
    },
    30_000,
  );

  test("C-8 wrong certificate: the token is of another machine than the address", async () => {
    const elsewhere = `${network.address(1)}:${port}`;
    const { passed, failing, code, fix } = await doctor(elsewhere, ["--token", token]);
    expect({ passed, failing, code }).toEqual({
      ...{ passed: ["name", "port", "tls"], failing: ["pin"], code: "certificate_changed" },
    });
    expect(fix).toContain("one join line");
    const pin = ["--pin", "0".repeat(64)];
    expect((await doctor(place, pin)).failing).toEqual(["pin"]);
    expect((await doctor(place, [...pin, "--token", token])).code).toBe("usage");
  });

  test("C-8 wrong token: cut off, made up, of another mesh, taken back, used", async () => {
    expect(await doctor(place, ["--token", token.slice(0, -1)])).toMatchObject({
      ...{ passed: [], failing: ["token"], code: "token_malformed" },
    });
    const revoked = await newToken();
    expect((await host.run("token", "revoke", readToken(revoked).token)).status).toBe(0);
    for (const wrong of [
      withToken({ secret: "0".repeat(32) }),
      withToken({ token: "nobody" }),
      revoked,
    ])
      expect(await doctor(place, ["--token", wrong])).toMatchObject({
        passed: [...way, "mesh", "version", "clock"],
        ...{ failing: ["token"], code: "token_wrong" },
      });
    const { mesh } = await other.result<{ mesh: string }>("cluster/status");
    expect(await doctor(place, ["--token", withToken({ mesh })])).toMatchObject({
      ...{ passed: way, failing: ["mesh"], code: "mesh_wrong" },
    });
  });

  test("C-8 expired token", async () => {
    const short = await newToken("--ttl", "1s");
    const found = await until("the token ran out", async () => {
      const { failing, code } = await doctor(place, ["--token", short]);
      return failing.length > 0 && { failing, code };
    });
    expect(found).toEqual({ failing: ["token"], code: "token_expired" });
  });

  test.skipIf(noClock !== null)(
    `C-8 skewed clock: by more than the mesh allows, and by more than any call${noClock === null ? "" : ` (${noClock})`}`,
    async () => {
      using folder = new TemporaryFolder();
      const clock = new OwnClock(folder.path);
      const skewed = new ClusterMachine(network, 4, clock.environment);
      await skewed.run("init");
      for (const seconds of [90, -90]) {
        clock.set(seconds);
        expect(await doctor(place, ["--token", token], skewed)).toMatchObject({
          passed: [...way, "mesh", "version"],
          ...{ failing: ["clock"], code: "clock_skewed" },
        });
      }
      clock.set(3_600);
      for (const words of [[], ["--token", token]])
        expect(await doctor(place, words, skewed)).toMatchObject({
          ...{ passed: way, failing: ["clock"], code: "envelope_stale" },
        });
      clock.set(0);
      expect((await doctor(place, ["--token", token], skewed)).failing).toEqual([]);
    },
    30_000,
  );

  test("C-8 old version: what answers greets in another one", async () => {
    using folder = new TemporaryFolder();
    // A machine that has never been a node: asking makes it one.
    const home = folder.file("home");
    const { certificate: cert, key } = makeCertificate("old", {
      bytes: (count) => crypto.getRandomValues(new Uint8Array(count)),
    });
    const old = Bun.serve({
      ...{ hostname: "127.0.0.1", port: 0, tls: { cert, key } },
      fetch: (request, server) => (server.upgrade(request) ? undefined : new Response(null)),
      websocket: {
        message() {},
        open(socket) {
          const challenge = "0".repeat(32);
          const question = { challenge, type: "psionic-hello-question", version: 0 };
          socket.send(Buffer.from(JSON.stringify(question)));
        },
      },
    });
    try {
      const words = ["doctor", "--peer", `127.0.0.1:${old.port}`, "--json"];
      const { stdout } = await runBinary(words, { home });
      expect(told(stdout)).toMatchObject({
        passed: ["name", "port", "tls", "pin"],
        ...{ failing: ["psionic"], code: "peer_version" },
      });
    } finally {
      await old.stop(true);
    }
  });

  test("C-8 duplicate identity: a member's home was copied", async () => {
    const copy = new ClusterMachine(network, 5);
    expect((await member.run("down")).status).toBe(0);
    cpSync(join(member.home, "identity"), join(copy.home, "identity"), { recursive: true });
    cpSync(join(member.home, "node.db"), join(copy.home, "node.db"));
    expect(await doctor(place, ["--token", token], copy)).toMatchObject({
      passed: [...way, "mesh", "version", "clock", "token"],
      ...{ failing: ["identity"], code: "node_duplicate" },
    });
  });

  test("C-8 --token alone says nothing: it is for a node at an address", async () => {
    expect((await newcomer.json("doctor", "--token", token))["code"]).toBe("usage");
  });
});
