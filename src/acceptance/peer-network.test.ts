import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { statSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { jsonLines } from "./binary.ts";
import { DaemonHome, lives, until } from "./daemon.fixture.ts";
import { trainToEnd } from "./training.fixture.ts";

/** Two daemons on one machine: alice's calls bob's at its address. */

const alice = new DaemonHome("alice");
const bob = new DaemonHome("bob");
let nodeId: string;
let aliceKey: string;
let address: string;
let pin: string;

interface PeerDoor {
  readonly address: string;
  readonly fingerprint: string;
}

async function open(): Promise<void> {
  await bob.up("--peer-port", "0");
  const { daemon } = (await bob.json("status")) as { daemon: { peer: PeerDoor } };
  ({ address, fingerprint: pin } = daemon.peer);
}

beforeAll(async () => {
  expect((await alice.run("init")).status).toBe(0);
  await trainToEnd(bob.path, ["--size", "nano", "--steps", "2", "--name", "tiny"]);
  await Promise.all([alice.up(), open()]);
  nodeId = String((await bob.json("identity", "show"))["nodeId"]);
  aliceKey = String((await alice.json("identity", "show"))["publicKey"]);
});
afterAll(async () => {
  await Promise.all([alice[Symbol.asyncDispose](), bob[Symbol.asyncDispose]()]);
});

async function call(name: string, parameters: object = {}, ...more: string[]) {
  const words = ["peer", "call", name, JSON.stringify(parameters), "--at", address];
  const how = more.length === 0 ? ["--to", nodeId] : more;
  const { stdout, stderr, status } = await alice.run(...words, ...how, "--json");
  const lines = jsonLines(stdout);
  const last = lines.at(-1);
  if (last === undefined) throw new Error(`no record: ${stderr}`);
  return { lines, last, status };
}

const codeOf = async (...words: Parameters<typeof call>) => (await call(...words)).last["code"];

describe("C-1 a node is reached at its address", () => {
  test("C-8 the first call asks for the fingerprint, which both commands of its owner print", async () => {
    const { last, status } = await call("version", {}, "--to", nodeId);
    expect({ status, code: last["code"] }).toEqual({ status: 13, code: "certificate_unpinned" });
    expect(String(last["hint"])).toEndWith(`--at ${address} --to ${nodeId} --pin ${pin}`);
    const shown = await bob.run("identity", "show");
    expect(shown.stdout).toContain(pin);
    expect(shown.stdout).toContain(address);
    expect((await bob.run("status")).stdout).toContain(`${address}, certificate ${pin}`);
    expect(statSync(join(bob.path, "identity", "peer-tls.pem")).mode & 0o777).toBe(0o600);
    expect(await codeOf("version", {}, "--pin", "0".repeat(64))).toBe("certificate_changed");
    expect((await call("version", {}, "--pin", pin)).status).toBe(0);
    expect((await call("version")).status).toBe(0);
  });

  test("C-8 doctor goes the whole way, and names a closed port", async () => {
    const { status, stdout } = await alice.run("doctor", "--peer", address, "--pin", pin);
    expect(status).toBe(0);
    expect(stdout).toContain(nodeId);
    const closed = await alice.json("doctor", "--peer", "127.0.0.1:1");
    expect(closed["code"]).toBe("peer_port_closed");
  });

  test("A-2 it is called in one way, and its page opens to other machines on consent alone", async () => {
    expect(await codeOf("version", {}, "--via", "true")).toBe("usage");
    const other = await alice.json("up", "--host", "0.0.0.0", "--peer-port", "0");
    expect(other["code"]).toBe("host_not_loopback");
  });

  test("A-6 a grant confers a stream of events; a blocked peer gets nothing", async () => {
    expect(await codeOf("sample", { prompt: "1+1=" })).toBe("not_authorised");
    const file = bob.folder.file("grant.json");
    const lend = ["--to", aliceKey, "--capability", "sample", "--calls", "20"];
    expect((await bob.run("grant", "issue", ...lend, "--file", file)).status).toBe(0);
    expect((await alice.run("grant", "present", file)).status).toBe(0);
    const { lines, status } = await call("sample", { prompt: "1234+5678=", tokens: 4 });
    expect(status).toBe(0);
    const types = lines.map(({ type }) => type);
    expect(types[0]).toBe("peer.met");
    expect(types).toContain("token");
    await bob.run("trust", "set", aliceKey, "--tier", "blocked");
    expect(await codeOf("sample", { prompt: "1+1=" })).toBe("peer_blocked");
    expect((await alice.json("doctor", "--peer", address))["code"]).toBe("peer_blocked");
    await bob.run("trust", "set", aliceKey, "--tier", "member");
  });

  test("C-1 a thousand hostile connections leave it answering", async () => {
    const port = Number(address.split(":").at(-1));
    const sockets: Socket[] = [];
    const hello = Buffer.from("16030100ff010000fb0303", "hex");
    const upgrade = Buffer.from("GET /peer HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n");
    const kinds = [Buffer.alloc(0), hello, upgrade, Buffer.alloc(65_536, 0xff)];
    for (let index = 0; index < 1_000; index++) {
      const socket = connect({ host: "127.0.0.1", port }).on("error", () => {});
      socket.resume();
      const kind = kinds[index % kinds.length]!;
      if (kind.length > 0) socket.write(kind);
      sockets.push(socket);
    }
    await until("all are connected", () => sockets.every(({ connecting }) => !connecting));
    expect((await call("version")).status).toBe(0);
    // Half-open ones are cut by the door itself, after twelve seconds.
    await until("the door has ended them", () =>
      sockets.every((each) => each.destroyed || each.closed),
    );
    expect((await call("version")).status).toBe(0);
    expect((await bob.json("status"))["state"]).toBe("running");
  }, 60_000);

  test("A-2 a node killed in the middle of an answer leaves a clear refusal", async () => {
    const parameters = JSON.stringify({ prompt: "1+1=", tokens: 100_000 });
    const words = ["peer", "call", "sample", parameters, "--at", address, "--to", nodeId, "--json"];
    const child = await alice.start(...words);
    const { pid } = bob.file;
    const reader = child.stdout.getReader();
    let said = "";
    const more = async () => {
      const { value, done } = await reader.read();
      said += value === undefined ? "" : Buffer.from(value).toString();
      return done;
    };
    while (!said.includes('"token"')) if (await more()) throw new Error(`it ended early: ${said}`);
    process.kill(pid, "SIGKILL");
    while (!(await more())) continue;
    expect(await child.exited).toBe(13);
    expect(jsonLines(said).at(-1)!["code"]).toBe("reply_broken");
    expect(await codeOf("version")).toBe("peer_port_closed");
    await until("it is gone", () => !lives(pid));
  });

  test("A-2 the certificate outlives its daemon, and `down` closes the door in order", async () => {
    const before = pin;
    await open();
    expect(pin).toBe(before);
    expect((await call("version")).status).toBe(0);
    expect((await bob.run("down")).status).toBe(0);
    expect(await codeOf("version")).toBe("peer_port_closed");
  });
});
