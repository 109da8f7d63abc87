import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash, createPublicKey, verify } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { machineRandom } from "#src/node/random.ts";
import { sealCall } from "#src/peer/envelope.ts";
import { frameOf } from "#src/peer/framing.ts";
import { signingKeyFromPem } from "#src/receipt/signature.ts";
import { binaryPath, jsonLines, runBinary, start, TemporaryFolder } from "./binary.ts";
import { trainToEnd } from "./training.fixture.ts";

/** Two homes on one machine: bob's node answers on a pipe, alice's calls it. */

const folder = new TemporaryFolder();
afterAll(() => folder[Symbol.dispose]());

interface Home {
  readonly path: string;
  readonly nodeId: string;
  readonly publicKey: string;
}

let alice: Home;
let bob: Home;
/** The command line that reaches bob. */
let toBob: string;

const quoted = (word: string) => `'${word.replaceAll("'", "'\\''")}'`;

async function newHome(name: string): Promise<Home> {
  const path = folder.file(name);
  expect((await runBinary(["init"], { home: path })).status).toBe(0);
  const { stdout } = await runBinary(["identity", "show", "--json"], { home: path });
  const { nodeId, publicKey } = jsonLines(stdout)[0]!;
  return { path, nodeId: String(nodeId), publicKey: String(publicKey) };
}

beforeAll(async () => {
  alice = await newHome("alice");
  bob = await newHome("bob");
  toBob = `${quoted(await binaryPath())} peer pipe --home ${quoted(bob.path)}`;
  const tiny = ["--size", "nano", "--steps", "2", "--name", "tiny"];
  await trainToEnd(bob.path, tiny);
});

/** Alice calls a command of bob's; the JSON lines, the last of which is the result or refusal. */
async function call(name: string, parameters: object = {}, via = toBob, more: string[] = []) {
  const words = ["peer", "call", name, JSON.stringify(parameters), "--via", via, ...more, "--json"];
  const { stdout, stderr, status } = await runBinary(words, { home: alice.path });
  const lines = jsonLines(stdout);
  expect({ stderr, lines: lines.length > 0 }).toEqual({ stderr, lines: true });
  return { lines, last: lines.at(-1)!, status, stderr };
}

const codeOf = async (...words: Parameters<typeof call>) => (await call(...words)).last["code"];

async function ofBob(...words: string[]): Promise<void> {
  const { status, stderr } = await runBinary(words, { home: bob.path });
  expect({ status, stderr }).toMatchObject({ status: 0 });
}

type Listed = { name: string; access: string }[];

async function listed(): Promise<Listed> {
  const { last } = await call("commands/list");
  return last["commands"] as Listed;
}

describe("A-4 two nodes and a pipe", () => {
  afterAll(() => ofBob("trust", "set", alice.publicKey, "--tier", "provisional"));

  test("A-3 an unknown peer sees the safe commands, and no other runs for it", async () => {
    const { stdout } = await runBinary(["commands", "list", "--json"], { home: bob.path });
    const all = jsonLines(stdout)[0]!["commands"] as Listed;
    const safe = all.filter(({ access }) => access === "safe").map(({ name }) => name);
    const seen = await listed();
    expect(seen.every(({ access }) => access === "safe")).toBe(true);
    expect(safe).toEqual(expect.arrayContaining(seen.map(({ name }) => name)));
    expect(seen.map(({ name }) => name)).toContain("version");
    for (const name of ["runs", "sample", "identity/show", "trust/set", "peer/pipe", "peer/call"])
      expect([name, await codeOf(name)]).toEqual([name, "not_authorised"]);
  });

  test("A-4 a member sees more and calls it; a blocked peer gets nothing", async () => {
    const before = (await listed()).length;
    await ofBob("trust", "set", alice.publicKey, "--tier", "member");
    expect((await listed()).length).toBeGreaterThan(before);
    expect((await call("runs")).last["runs"]).toMatchObject([{ name: "tiny" }]);
    expect(await codeOf("identity/show")).toBe("not_authorised");
    await ofBob("trust", "set", alice.publicKey, "--tier", "blocked");
    for (const name of ["commands/list", "runs", "version"])
      expect(await codeOf(name)).toBe("peer_blocked");
  });

  test("A-2 the result is shown as this node's own command shows it", async () => {
    await ofBob("trust", "set", alice.publicKey, "--tier", "provisional");
    const own = await runBinary(["version"], { home: alice.path });
    const words = ["peer", "call", "version", "--via", toBob];
    const remote = await runBinary(words, { home: alice.path });
    expect(remote.stdout).toBe(own.stdout);
    expect(remote.stderr).toContain(`${bob.nodeId} answers`);
  });

  test("A-2 the node that must answer is named, and no other will do", async () => {
    expect((await call("version", {}, toBob, ["--to", bob.nodeId])).status).toBe(0);
    const { last, status } = await call("version", {}, toBob, ["--to", alice.nodeId]);
    expect({ status, code: last["code"] }).toEqual({ status: 13, code: "peer_unexpected" });
  });

  test("A-2 a command line that reaches nobody is a refusal that says so", async () => {
    expect(await codeOf("version", {}, "/absent/ssh host")).toBe("program_unavailable");
    expect(await codeOf("version", {}, "true")).toBe("peer_unreachable");
    expect(await codeOf("version", {}, "echo Welcome to the machine")).toBe("envelope_malformed");
    expect(await codeOf("version", {}, "cat")).toBe("hello_forged");
    expect(await codeOf("version", {}, "'ssh host")).toBe("usage");
  });
});

describe("A-6 a peer with a grant", () => {
  beforeAll(async () => {
    const file = folder.file("grant.json");
    const lend = ["--to", alice.publicKey, "--capability", "sample", "--calls", "20"];
    await ofBob("grant", "issue", ...lend, "--file", file);
    const { status, stderr } = await runBinary(["grant", "present", file], { home: alice.path });
    expect({ status, stderr }).toMatchObject({ status: 0 });
  });

  test("A-6 calls what was conferred, events and all, and nothing else", async () => {
    const { lines, status } = await call("sample", { prompt: "1234+5678=", tokens: 4 });
    expect(status).toBe(0);
    const types = lines.map(({ type }) => type);
    expect(types[0]).toBe("peer.met");
    expect(types.filter((type) => type === "token").length).toBeGreaterThan(0);
    expect((await listed()).map(({ name }) => name)).toContain("sample");
    expect(await codeOf("run/status", { run: "tiny" })).toBe("grant_not_conferred");
    expect(await codeOf("runs")).toBe("grant_not_conferred");
    expect(await codeOf("identity/show")).toBe("not_authorised");
    expect(await codeOf("grant/issue", {})).toBe("not_authorised");
  });

  test.each([
    ["changes a reply", "change", "reply_forged"],
    ["leaves a reply out", "drop", "reply_broken"],
    ["changes the order", "swap", "reply_broken"],
    ["repeats a reply", "repeat", "reply_broken"],
    ["cuts the answer off", "truncate", "reply_broken"],
    ["puts in what bob said to another call", "splice", "reply_broken"],
    ["answers in bob's name with another hello", "hello", "hello_forged"],
  ])("A-2 a middle man who %s is noticed", async (_, mode, code) => {
    const middle = folder.file("middle.ts");
    writeFileSync(middle, middleMan);
    const record = folder.file("record.bin");
    const through = (how: string) =>
      `${[process.execPath, middle, how, record].map(quoted).join(" ")} ${toBob}`;
    const parameters = { prompt: "1+1=", tokens: 4, temperature: 1 };
    const honest = await call("sample", parameters, through("none"));
    expect(honest.status).toBe(0);
    expect(honest.lines.filter(({ type }) => type === "token").length).toBeGreaterThan(1);
    expect(await codeOf("sample", parameters, through(mode))).toBe(code);
  });
});

/**
 * Stands between a caller and the program of its other words, and does one thing to the frames that
 * come back: frame 0 is the hello, the others answer the call. What passed is kept in a file.
 */
const middleMan = `
  import { existsSync, readFileSync, writeFileSync } from "node:fs";
  const [mode, record, ...words] = process.argv.slice(2);
  const child = Bun.spawn(words, { stdin: "inherit", stdout: "pipe", stderr: "inherit" });
  const before = mode !== "none" && existsSync(record) ? framesOf(readFileSync(record)) : [];
  const out = [];
  let held = Buffer.alloc(0);
  let index = 0;
  let swapped = null;
  for await (const piece of child.stdout) {
    held = Buffer.concat([held, piece]);
    while (held.length >= 4 && held.length >= 4 + held.readUInt32LE(0)) {
      const size = 4 + held.readUInt32LE(0);
      pass(held.subarray(0, size), index++);
      held = held.subarray(size);
    }
  }
  if (mode === "none") writeFileSync(record, Buffer.concat(out));
  function pass(frame, place) {
    out.push(Buffer.from(frame));
    if (mode === "hello" && place === 0) return put(before[0]);
    if (mode === "change" && place === 2)
      return put(Buffer.from(frame.toString("latin1").replace('"index":1', '"index":7'), "latin1"));
    if (mode === "drop" && place === 2) return;
    if (mode === "swap" && place === 1) return void (swapped = Buffer.from(frame));
    if (mode === "swap" && place === 2) return put(frame), put(swapped);
    if (mode === "repeat" && place === 1) put(frame);
    if (mode === "splice" && place === 1) return put(before[1]);
    if (mode === "truncate" && place === 2) { child.kill(); process.exit(0); }
    put(frame);
  }
  function put(frame) { Bun.stdout.writer().write(frame); Bun.stdout.writer().flush(); }
  function framesOf(bytes) {
    const frames = [];
    for (let at = 0; at < bytes.length; ) {
      const end = at + 4 + bytes.readUInt32LE(at);
      frames.push(bytes.subarray(at, end));
      at = end;
    }
    return frames;
  }
`;

/** Frames as docs/FORMATS.md describes them, read without the program. */
function framesOf(bytes: Buffer): Buffer[] {
  const frames: Buffer[] = [];
  for (let at = 0; at < bytes.length;) {
    const end = at + 4 + bytes.readUInt32LE(at);
    frames.push(bytes.subarray(at + 4, end));
    at = end;
  }
  return frames;
}

const parsed = (bytes: Buffer) => JSON.parse(bytes.toString()) as Record<string, unknown>;
const sha256 = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");

/** Feeds bytes to a pipe of bob's and gives what it answers. */
async function feed(bytes: Uint8Array<ArrayBuffer>): Promise<Buffer[]> {
  const child = start([await binaryPath(), "peer", "pipe"], bob.path, { stdin: bytes });
  const [out] = await Promise.all([child.stdout.bytes(), child.exited]);
  return framesOf(Buffer.from(out));
}

describe("A-2 a recorded call", () => {
  /** One call of alice's, every byte of it kept. */
  async function recorded(): Promise<{ sent: Uint8Array<ArrayBuffer>; got: Buffer[] }> {
    const [sent, got] = [folder.file("sent.bin"), folder.file("got.bin")];
    const line = `tee ${quoted(sent)} | ${toBob} | tee ${quoted(got)}`;
    expect((await call("version", {}, `sh -c ${quoted(line)}`)).status).toBe(0);
    return { sent: new Uint8Array(readFileSync(sent)), got: framesOf(readFileSync(got)) };
  }

  test("A-2 is refused when it comes again, from a new process and through a daemon", async () => {
    const { sent } = await recorded();
    for (let time = 0; time < 2; time++) {
      const [hello, reply, ...more] = (await feed(sent)).map(parsed);
      expect(hello).toMatchObject({ type: "psionic-hello", sender: bob.nodeId });
      expect(reply).toMatchObject({ kind: "refusal", body: { code: "envelope_replayed" } });
      expect(more).toEqual([]);
    }
    await ofBob("up", "--detach", "--port", "0");
    try {
      const [, reply] = (await feed(sent)).map(parsed);
      expect(reply).toMatchObject({ kind: "refusal", body: { code: "envelope_replayed" } });
      expect((await call("version")).status).toBe(0);
      expect((await call("sample", { prompt: "1+1=", tokens: 2 })).status).toBe(0);
    } finally {
      await ofBob("down");
    }
    expect((await call("version")).status).toBe(0);
  });

  test("A-2 is answered once, however many processes get it at the same time", async () => {
    const key = signingKeyFromPem(readFileSync(`${alice.path}/identity/node.key`, "utf8"))!;
    const envelope = sealCall(
      { nodeId: alice.nodeId, key },
      {
        ...{ recipient: bob.nodeId, name: "version", parameters: {}, grant: null, rotations: [] },
        ...{ nowMs: Date.now(), random: machineRandom },
      },
    );
    const bytes = new Uint8Array(frameOf(envelope));
    const answers = await Promise.all(Array.from({ length: 6 }, () => feed(bytes)));
    const kinds = answers.map(([reply]) => String(parsed(reply!)["kind"]));
    expect(kinds.filter((kind) => kind === "result")).toHaveLength(1);
    expect(kinds.filter((kind) => kind === "refusal")).toHaveLength(5);
  });

  test("A-2 proves, with nothing of psionic, who asked what and who answered what", async () => {
    const { sent, got } = await recorded();
    const [, request] = framesOf(Buffer.from(sent));
    const isSignedBy = (publicKey: string, bytes: Buffer) => {
      // RFC 8785 of these documents is what travels: sorted members without spaces.
      const own = /,"signature":"[0-9a-f]{128}"(?=,"type":"[a-z-]+","version":1\}$)/;
      const text = bytes.toString().replace(own, "");
      const der = Buffer.from(`302a300506032b6570032100${publicKey}`, "hex");
      const key = createPublicKey({ key: der, format: "der", type: "spki" });
      const signature = Buffer.from(String(parsed(bytes)["signature"]), "hex");
      return verify(null, Buffer.from(text), key, signature);
    };
    expect(isSignedBy(alice.publicKey, request!)).toBe(true);
    let previous = sha256(request!);
    for (const reply of got.slice(1)) {
      expect(isSignedBy(bob.publicKey, reply)).toBe(true);
      expect(parsed(reply)["previous"]).toBe(previous);
      previous = sha256(reply);
    }
    expect(parsed(got.at(-1)!)).toMatchObject({ kind: "result", last: true });
  });

  test("A-10 noise on a pipe is refused in one frame, and the pipe ends", async () => {
    const frames = await feed(new TextEncoder().encode("GET / HTTP/1.1\r\n\r\n"));
    expect(frames.map(parsed)).toMatchObject([
      { kind: "refusal", callId: null, body: { code: "envelope_malformed" } },
    ]);
    expect(await feed(new Uint8Array())).toEqual([]);
  });
});
