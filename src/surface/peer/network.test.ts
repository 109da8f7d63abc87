import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as v from "valibot";
import type { Services } from "#src/command/define.ts";
import { Registry, type AnyCommand } from "#src/command/registry.ts";
import { compose, type Composition } from "#src/node/services.ts";
import { callPeer } from "#src/peer/call.ts";
import { makeCertificate, type TlsIdentity } from "#src/peer/certificate.ts";
import { sealCall } from "#src/peer/envelope.ts";
import { ownFacts } from "#src/peer/own-facts.ts";
import { pinOf } from "#src/peer/pins.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { callAt } from "./call-at.ts";
import { diagnosePeer, type PeerCheck } from "./diagnose.ts";
import { dialPeer } from "./dial.ts";
import { answerPeer } from "./door.ts";
import { peerLimits, peerPath, type PeerLimits } from "./limits.ts";
import { listenPeers, type PeerListener } from "./listen.ts";
import { seeCertificate } from "./reach.ts";
import { openTlsIdentity } from "./tls-file.ts";

const registry = new Registry();
const declare = (name: string, more: Partial<AnyCommand> = {}) =>
  registry.declare({
    ...{ name, summary: "A command.", access: "safe", parameters: v.strictObject({}) },
    run: () => ({ name }),
    ...more,
  });
declare("version");
declare("ticks", {
  parameters: v.strictObject({ to: v.number() }),
  run(parameters, { emit }) {
    const { to } = parameters as { to: number };
    for (let index = 0; index < to; index++) emit({ type: "tick", index });
    return { to };
  },
});
declare("wait", {
  run: (_, { signal, emit }) =>
    new Promise((_resolve, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason as Error));
      emit({ type: "waiting" });
    }),
});
declare("flood", {
  run(_, { emit }) {
    for (let index = 0; index < 40; index++) emit({ type: "piece", text: "x".repeat(900_000) });
    return null;
  },
});

const folder = mkdtempSync(join(tmpdir(), "psionic-peer-network-"));
const compositions: Composition[] = [];

async function nodeAt(name: string): Promise<Services> {
  const interaction = {
    ...{ canAsk: false, verbose: false, readLine: async () => null },
    askSecret: async () => "",
  };
  const composition = compose({ home: join(folder, name), interaction });
  compositions.push(composition);
  await composition.services.identity.openOrCreate();
  await composition.services.receipts.open();
  return composition.services;
}

let alice: Services;
let bob: Services;
let tls: TlsIdentity;
let door: PeerListener;
const signal = new AbortController().signal;

function open(limits: Partial<PeerLimits> = {}): PeerListener {
  return listenPeers(
    {
      ...{ services: bob, tls, limits, draining: () => false },
      answer: (envelope, send, gone) =>
        answerPeer(envelope, { registry, services: bob, signal: gone }, send),
      onBug(error) {
        throw error;
      },
    },
    { host: "127.0.0.1", port: 0 },
  );
}

beforeAll(async () => {
  alice = await nodeAt("alice");
  bob = await nodeAt("bob");
  const { author } = bob.receipts.opened();
  tls = await openTlsIdentity(bob, author.nodeId);
  door = open();
});
afterAll(async () => {
  await door.stop();
  for (const composition of compositions) composition.close();
  rmSync(folder, { recursive: true, force: true });
});

const bobId = () => bob.receipts.opened().author.nodeId;
const placeOf = (port: number) => ({ host: "127.0.0.1", port });
const request = (port = door.port, more: { pin?: string; to?: string } = {}) => ({
  ...{ place: placeOf(port), again: "psionic peer call version" },
  ...more,
});
const dial = (port = door.port, pin = tls.fingerprint) => dialPeer(alice, request(port, { pin }));

/** The refusal that work ends in; anything else fails the test. */
async function refusalOf(work: Promise<unknown>): Promise<Refusal> {
  try {
    await work;
  } catch (error) {
    if (error instanceof Refusal) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}

const codeOf = async (work: Promise<unknown>) => (await refusalOf(work)).code;

const call = (name: string, parameters = {}, more = request(door.port, { pin: tls.fingerprint })) =>
  callAt(alice, more, { name, parameters }, { signal, emit() {} });

type Met = Awaited<ReturnType<typeof dial>>;

/** A call over a connection that is open, and its events. */
function callOver({ connection, peer }: Met, name: string, parameters = {}) {
  const events: string[] = [];
  const log = alice.receipts.opened();
  const { clock, random, trust } = alice;
  const result = callPeer(
    connection.openLine(),
    peer,
    { name, parameters, grant: null },
    {
      ...{ clock, random, trust, signal, identity: log.author },
      ...{ rotations: ownFacts(log).rotations, emit: (event) => events.push(event.type) },
    },
  );
  return { result, events };
}

async function until(what: string, holds: () => boolean): Promise<void> {
  const deadlineMs = performance.now() + 20_000;
  while (!holds()) {
    if (performance.now() > deadlineMs) throw new Error(`waited in vain: ${what}`);
    await Bun.sleep(5);
  }
}

describe("A-2 a node is called by its address", () => {
  test("C-8 an unknown certificate is refused with the line to type, and a pin is remembered", async () => {
    const refusal = await refusalOf(call("version", {}, request()));
    expect(refusal.code).toBe("certificate_unpinned");
    expect(refusal.hint).toContain(`psionic peer call version --pin ${tls.fingerprint}`);
    expect(pinOf(alice.store, bobId())).toBeNull();
    const named = request(door.port, { to: bobId() });
    expect(await codeOf(call("version", {}, named))).toBe("certificate_unpinned");
    expect(await call("version")).toEqual({ name: "version" });
    expect(pinOf(alice.store, bobId())).toBe(tls.fingerprint);
    expect(await call("version", {}, named)).toEqual({ name: "version" });
  });

  test("A-2 several calls share a connection, each with its own events", async () => {
    const met = await dial();
    const waiting = callOver(met, "wait");
    const calls = Array.from({ length: 8 }, (_, index) =>
      callOver(met, "ticks", { to: 10 + index }),
    );
    const results = await Promise.all(calls.map(({ result }) => result));
    expect(results).toEqual(calls.map((_, index) => ({ to: 10 + index })));
    expect(calls.map(({ events }) => events.length)).toEqual([10, 11, 12, 13, 14, 15, 16, 17]);
    await until("the call waits", () => waiting.events.length > 0);
    met.connection.close();
    expect(await codeOf(waiting.result)).toBe("reply_broken");
  });

  test("A-2 calls beyond the bound are refused as busy, and a flood of them ends the connection", async () => {
    const strict = open({ callsAtOnce: 2, callBurst: 8, callsPerSecond: 0 });
    const met = await dial(strict.port);
    const held = [callOver(met, "wait"), callOver(met, "wait")];
    await until("two calls run", () => held.every(({ events }) => events.length > 0));
    expect(await codeOf(callOver(met, "version").result)).toBe("peer_busy");
    // Two greetings and three calls were spent.
    for (let index = 0; index < 3; index++)
      expect(await codeOf(callOver(met, "version").result)).toBe("peer_busy");
    const last = callOver(met, "version");
    const codes = await Promise.all([...held, last].map(({ result }) => codeOf(result)));
    expect(codes).toEqual(["peer_busy", "peer_busy", "peer_busy"]);
    expect(await call("version", {}, request(strict.port, { pin: tls.fingerprint }))).toBeTruthy();
    await strict.stop();
  });

  test("C-2 a recorded call runs once, whoever sends it over whichever connection", async () => {
    const log = alice.receipts.opened();
    const envelope = sealCall(log.author, {
      ...{ recipient: bobId(), name: "version", parameters: {}, grant: null, rotations: [] },
      ...{ nowMs: alice.clock.wallMs(), random: alice.random },
    });
    const codes: string[] = [];
    for (let round = 0; round < 2; round++) {
      const { connection } = await dial();
      const line = connection.openLine();
      await line.send(envelope);
      const reply = JSON.parse(new TextDecoder().decode((await line.receive())!));
      codes.push(reply.kind === "result" ? "result" : reply.body.code);
      connection.close();
    }
    expect(codes).toEqual(["result", "envelope_replayed"]);
  });

  test("A-2 the wrong node, the wrong pin and a blocked caller are told apart", async () => {
    const wrong = "0".repeat(64);
    expect(await codeOf(dial(door.port, wrong))).toBe("certificate_changed");
    const own = alice.receipts.opened().author.nodeId;
    const other = request(door.port, { pin: tls.fingerprint, to: own });
    expect(await codeOf(call("version", {}, other))).toBe("peer_unexpected");
    const { publicKey } = alice.receipts.opened().author.key;
    bob.trust.set({ publicKey, tier: "blocked" });
    expect(await codeOf(call("version"))).toBe("peer_blocked");
    bob.trust.forget(publicKey);
  });

  test("A-2 a caller that reads nothing is cut off, and the node goes on", async () => {
    const strict = open({ queueBytes: 1024 * 1024 });
    const met = await dial(strict.port);
    const { result } = callOver(met, "flood");
    expect(await codeOf(result)).toBe("reply_broken");
    met.connection.close();
    expect(await call("version", {}, request(strict.port, { pin: tls.fingerprint }))).toBeTruthy();
    await strict.stop();
  });

  test("A-2 a caller that is interrupted while it dials stops at once", async () => {
    const taken = Promise.withResolvers<Socket>();
    const mute = createServer((socket) => taken.resolve(socket));
    await new Promise<void>((resolve) => mute.listen(0, "127.0.0.1", () => resolve()));
    const interrupt = new AbortController();
    const { port } = mute.address() as { port: number };
    const work = callAt(
      alice,
      request(port, { pin: tls.fingerprint }),
      { name: "version", parameters: {} },
      { signal: interrupt.signal, emit() {} },
    );
    const socket = await taken.promise;
    interrupt.abort(new Refusal("interrupted", "stopped", "call again"));
    expect(await codeOf(work)).toBe("interrupted");
    socket.destroy();
    mute.close();
  });

  test("A-2 a stopping door tells its callers", async () => {
    const strict = open({ drainMs: 100 });
    const met = await dial(strict.port);
    const { result, events } = callOver(met, "wait");
    await until("the call waits", () => events.length > 0);
    const [code] = await Promise.all([codeOf(result), strict.stop()]);
    expect(code).toBe("interrupted");
    expect(await codeOf(dial(strict.port))).toBe("peer_port_closed");
  });
});

/** A man in the middle: ends the encryption with his own certificate and passes every message on. */
function middleMan(
  certificate: TlsIdentity,
  change: (document: string) => string = (each) => each,
) {
  return Bun.serve<{ far: WebSocket; held: Buffer[] }>({
    ...{ hostname: "127.0.0.1", port: 0 },
    tls: { cert: certificate.certificate, key: certificate.key },
    fetch(incoming, server) {
      const far = new WebSocket(`wss://127.0.0.1:${door.port}${peerPath}`, {
        tls: { rejectUnauthorized: false },
      });
      far.binaryType = "arraybuffer";
      if (server.upgrade(incoming, { data: { far, held: [] } })) return;
      return new Response(null, { status: 400 });
    },
    websocket: {
      open(socket) {
        const { far } = socket.data;
        far.addEventListener("message", ({ data }) => {
          socket.sendBinary(Buffer.from(change(Buffer.from(data as ArrayBuffer).toString())));
        });
        far.addEventListener("close", () => socket.close());
      },
      message: (socket, message) => socket.data.far.send(message),
      close: (socket) => socket.data.far.close(),
    },
  });
}

describe("C-1 who stands in between", () => {
  test("a man in the middle is noticed by the pin, and by the signature where his is pinned", async () => {
    const his = makeCertificate("psnx", alice.random);
    const middle = middleMan(his);
    expect(await codeOf(dial(middle.port))).toBe("certificate_changed");
    expect(await codeOf(dial(middle.port, his.fingerprint))).toBe("channel_unbound");
    expect(pinOf(alice.store, bobId())).toBe(tls.fingerprint);
    await middle.stop(true);
  });

  test("he cannot name his own certificate in the node's name, nor leave it out", async () => {
    const his = makeCertificate("psnx", alice.random);
    const renamed = middleMan(his, (text) => text.replace(tls.fingerprint, his.fingerprint));
    expect(await codeOf(dial(renamed.port, his.fingerprint))).toBe("hello_forged");
    await renamed.stop(true);
    const silent = middleMan(his, (text) =>
      text.replace(`"certificate":"${tls.fingerprint}",`, ""),
    );
    expect(await codeOf(dial(silent.port, his.fingerprint))).toBe("hello_forged");
    await silent.stop(true);
  });
});

describe("C-8 doctor --peer names the fault", () => {
  async function faultAt(port: number, more: { pin?: string; to?: string; host?: string } = {}) {
    const checks: PeerCheck[] = [];
    const { host = "127.0.0.1", ...wanted } = more;
    const work = diagnosePeer(alice, { place: { host, port }, ...wanted }, { signal }, (check) =>
      checks.push(check),
    );
    const { code } = await refusalOf(work);
    const failing = checks.filter(({ passed }) => !passed);
    expect(failing).toHaveLength(1);
    expect(failing[0]!.fix).not.toBeNull();
    return `${failing[0]!.name}: ${code}`;
  }

  /** True when one more connection is taken. */
  async function connects(port: number, sockets: Socket[]): Promise<boolean> {
    const socket = connect({ host: "127.0.0.1", port }).on("error", () => {});
    sockets.push(socket);
    const taken = new Promise<boolean>((resolve) => {
      socket.once("connect", () => resolve(true));
    });
    return Promise.race([taken, Bun.sleep(400).then(() => false)]);
  }

  async function listening(server: Server): Promise<number> {
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
    return (server.address() as { port: number }).port;
  }

  test("nothing stands in the way", async () => {
    const checks = await diagnosePeer(alice, { place: placeOf(door.port) }, { signal }, () => {});
    expect(checks.map(({ name }) => name)).toEqual([
      ...["name", "port", "tls", "pin", "psionic", "node", "clock", "standing"],
    ]);
    expect(checks.every(({ passed }) => passed)).toBe(true);
  });

  test("a name that does not resolve, a closed port, and what is not TLS", async () => {
    expect(await faultAt(1, { host: "nowhere.invalid" })).toBe("name: peer_name_unknown");
    const plain = createServer((socket) => socket.end("220 welcome\r\n"));
    const port = await listening(plain);
    expect(await faultAt(port)).toBe("tls: peer_not_tls");
    plain.close();
    expect(await faultAt(port)).toBe("port: peer_port_closed");
  });

  test("a machine that drops what is sent to it, and one that takes connections and says nothing", async () => {
    // Nobody accepts: with its queue full, the system drops what else arrives.
    const program = `require("node:net").createServer().listen({ port: 0, host: "127.0.0.1", backlog: 1 }, function () {
      console.log(this.address().port); process.kill(process.pid, "SIGSTOP"); });`;
    const child = Bun.spawn([process.execPath, "-e", program], { stdout: "pipe" });
    const sockets: Socket[] = [];
    try {
      const reader = child.stdout.getReader();
      const port = Number(new TextDecoder().decode((await reader.read()).value));
      const look = () => seeCertificate(placeOf(port), () => {}, 400);
      expect(await codeOf(look())).toBe("peer_not_tls");
      while (await connects(port, sockets)) expect(sockets.length).toBeLessThan(5_000);
      expect(await codeOf(look())).toBe("peer_silent");
    } finally {
      for (const socket of sockets) socket.destroy();
      child.kill("SIGKILL");
      await child.exited;
    }
  });

  test("TLS that is no node, and a node of another version", async () => {
    const { certificate: cert, key } = makeCertificate("psnx", alice.random);
    const web = Bun.serve({ port: 0, tls: { cert, key }, fetch: () => new Response("hello") });
    expect(await faultAt(web.port ?? 0)).toBe("psionic: peer_not_psionic");
    await web.stop(true);
    for (const [greeting, fault] of [
      ['{"challenge":"00","type":"psionic-hello-question","version":2}', "peer_version"],
      ["welcome", "peer_not_psionic"],
    ] as const) {
      const other = Bun.serve({
        ...{ port: 0, tls: { cert, key } },
        fetch: (incoming, server) =>
          server.upgrade(incoming) ? undefined : new Response(null, { status: 400 }),
        websocket: {
          open: (socket) => void socket.sendBinary(Buffer.from(greeting)),
          message() {},
        },
      });
      expect(await faultAt(other.port ?? 0)).toBe(`psionic: ${fault}`);
      await other.stop(true);
    }
  });

  test("another certificate, another node, a blocked caller, clocks that differ", async () => {
    expect(await faultAt(door.port, { pin: "0".repeat(64) })).toBe("pin: certificate_changed");
    const own = alice.receipts.opened().author;
    const to = own.nodeId;
    expect(await faultAt(door.port, { to, pin: tls.fingerprint })).toBe("node: peer_unexpected");
    bob.trust.set({ publicKey: own.key.publicKey, tier: "blocked" });
    expect(await faultAt(door.port)).toBe("standing: peer_blocked");
    bob.trust.forget(own.key.publicKey);
    const { clock } = alice;
    const late = { ...clock, wallMs: () => clock.wallMs() - 600_000 };
    const skewed = Object.create(alice, { clock: { value: late } }) as Services;
    const work = diagnosePeer(skewed, { place: placeOf(door.port) }, { signal }, () => {});
    expect(await codeOf(work)).toBe("envelope_stale");
  });
});

describe("C-1 the door bounds what a stranger may cost", () => {
  const openSocket = async (port: number) => {
    const socket = new WebSocket(`wss://127.0.0.1:${port}${peerPath}`, {
      tls: { rejectUnauthorized: false },
    });
    const closed = new Promise<number>((resolve) => {
      socket.addEventListener("close", ({ code }) => resolve(code));
    });
    await new Promise((resolve, reject) => {
      socket.addEventListener("open", resolve);
      socket.addEventListener("error", reject);
    });
    return { socket, closed };
  };

  test("a caller that does not say who it is, sends too much or text, is cut", async () => {
    const strict = open({ handshakeMs: 200 });
    const silent = await openSocket(strict.port);
    expect(await silent.closed).toBe(4001);
    const large = await openSocket(strict.port);
    large.socket.send(new Uint8Array(1024 * 1024 + 1));
    expect(await large.closed).toBe(1009);
    const talker = await openSocket(strict.port);
    talker.socket.send("hello");
    expect(await talker.closed).toBe(4001);
    const liar = await openSocket(strict.port);
    liar.socket.send(Buffer.from('{"type":"psionic-call"}'));
    expect(await liar.closed).toBe(4001);
    await strict.stop();
  });

  test("the oldest who did not say who it is makes room for the newest", async () => {
    const strict = open({ unproven: 2 });
    const oldest = await openSocket(strict.port);
    const kept = [await openSocket(strict.port), await openSocket(strict.port)];
    expect(await oldest.closed).toBe(4001);
    expect(kept.map(({ socket }) => socket.readyState)).toEqual([WebSocket.OPEN, WebSocket.OPEN]);
    expect(await call("version", {}, request(strict.port, { pin: tls.fingerprint }))).toBeTruthy();
    await strict.stop();
  });

  test("strangers fill their half, and a node that was entered still gets in", async () => {
    const strict = open({ strangerConnections: 1 });
    const met = await dial(strict.port);
    await callOver(met, "version").result;
    const to = request(strict.port, { pin: tls.fingerprint });
    expect(await codeOf(call("version", {}, to))).toBe("peer_busy");
    const { publicKey } = alice.receipts.opened().author.key;
    bob.trust.set({ publicKey, tier: "member" });
    expect(await call("version", {}, to)).toEqual({ name: "version" });
    bob.trust.forget(publicKey);
    met.connection.close();
    await strict.stop();
  });

  test("HTTP gets a bare refusal", async () => {
    const ask = (path: string) =>
      fetch(`https://127.0.0.1:${door.port}${path}`, { tls: { rejectUnauthorized: false } });
    for (const [path, status] of [
      ["/", 404],
      ["/healthz", 404],
      [peerPath, 426],
    ] as const) {
      const response = await ask(path);
      expect([response.status, await response.text()]).toEqual([status, ""]);
    }
    expect(peerLimits.connections).toBeGreaterThan(peerLimits.strangerConnections);
  });
});
