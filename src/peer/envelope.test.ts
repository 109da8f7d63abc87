import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Refusal } from "#src/refusal/refusal.ts";
import { callIdMaximum, rememberCall, strangerIdMaximum } from "./call-ids.ts";
import { freshnessMs, openCall, readCall } from "./envelope.ts";
import {
  alice,
  bob,
  call,
  changed,
  keyOf,
  mallory,
  nowMs,
  openTables,
  parsed,
  refusalOf,
  resigned,
  rotation,
  trustOf,
} from "./peer.fixture.ts";
import { depthMaximum, documentMaximumBytes } from "./signed-document.ts";

const utf8 = (text: string) => new TextEncoder().encode(text);
const textOf = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

function open(bytes: Uint8Array, more: Partial<Parameters<typeof openCall>[1]> = {}) {
  return openCall(bytes, { self: bob, trust: trustOf(), store: openTables(), nowMs, ...more });
}

const codeOf = (bytes: Uint8Array, more: Partial<Parameters<typeof openCall>[1]> = {}) =>
  refusalOf(() => open(bytes, more)).code;

describe("A-2 a call in an envelope", () => {
  test("A-2 opens to what was sealed, under the key that signed", () => {
    const parameters = { loss: 0.1, tiny: 5e-324, text: "é\u2028😀", list: [1, null, true] };
    const grant = { type: "anything", body: { calls: 3 } };
    const bytes = call({ name: "run/status", parameters, grant });
    const opened = open(bytes, { trust: trustOf({ [alice.nodeId]: "member" }) });
    expect(opened).toEqual({
      caller: {
        provenance: "peer",
        publicKey: alice.key.publicKey,
        nodeId: alice.nodeId,
        registered: "member",
        grant,
      },
      callId: String(parsed(bytes)["callId"]),
      name: "run/status",
      parameters,
    });
  });

  test("A-4 an unknown key is provisional", () => {
    expect(open(call()).caller.registered).toBe("provisional");
  });

  test("A-2 two calls never have the same id", () => {
    expect(parsed(call())["callId"]).not.toBe(parsed(call())["callId"]);
  });
});

const good = textOf(call());
const withMember = (member: string) => utf8(good.replace(/^\{/, `{${member},`));

describe("A-2 a malformed envelope is refused", () => {
  const table: [string, Uint8Array][] = [
    ["nothing", new Uint8Array()],
    ["bytes that are no UTF-8", Uint8Array.from([...utf8(good), 0xff])],
    ["an invalid byte in a text", utf8(good).map((byte) => (byte === 0x76 ? 0xc0 : byte))],
    ["a byte order mark", Uint8Array.from([0xef, 0xbb, 0xbf, ...utf8(good)])],
    ["JSON that is no object", utf8("[]")],
    ["null", utf8("null")],
    ["cut-off JSON", utf8(good.slice(0, -1))],
    ["a space", utf8(`${good} `)],
    ["members out of order", utf8(JSON.stringify({ type: "psionic-call", ...parsed(utf8(good)) }))],
    ["a member twice", withMember('"callId":"00000000000000000000000000000000"')],
    ["a member nobody knows", changed(utf8(good), { admin: true })],
    ["a number that is none", withMember('"a":1e999')],
    ["a number with a second spelling", withMember('"a":1.0')],
    ["minus zero", withMember('"a":-0')],
    ["half a character", withMember(String.raw`"a":"\ud800"`)],
    ["deep nesting", utf8("[".repeat(500_000))],
    ["nesting beyond the maximum", call({ parameters: { a: nested(depthMaximum) } })],
    ["another version", changed(utf8(good), { version: 2 })],
    ["another type", changed(utf8(good), { type: "psionic-receipt" })],
    ["an id that is too short", changed(utf8(good), { callId: "00" })],
    ["parameters that are a list", changed(utf8(good), { parameters: [] })],
    ["a grant that is a text", changed(utf8(good), { grant: "yes" })],
    ["a time with a fraction", changed(utf8(good), { sentMs: nowMs + 0.5 })],
    ["a name that is too long", changed(utf8(good), { name: "x".repeat(201) })],
    ["rotations that are none", changed(utf8(good), { rotations: [{}] })],
    ["a short signature", changed(utf8(good), { signature: "00" })],
  ];

  test.each(table)("A-2 %s", (_, bytes) => {
    expect(codeOf(bytes)).toBe("envelope_malformed");
  });

  test("A-2 one byte more than a document may have is refused before it is read", () => {
    const bytes = new Uint8Array(documentMaximumBytes + 1).fill(0x5b);
    expect(refusalOf(() => open(bytes)).message).toContain("more than 1048576");
  });

  test("A-2 a call too large for anybody is refused where it is sealed", () => {
    const parameters = { text: "x".repeat(documentMaximumBytes) };
    expect(refusalOf(() => call({ parameters })).code).toBe("message_too_large");
  });

  test("A-2 nesting up to the maximum is read", () => {
    expect(open(call({ parameters: { a: nested(depthMaximum - 2) } })).name).toBe("version");
  });
});

function nested(depth: number): unknown {
  return depth === 0 ? 0 : [nested(depth - 1)];
}

describe("A-4 only what the sender signed for this node is admitted", () => {
  test("A-4 a call for another node", () => {
    expect(codeOf(call({ recipient: mallory.nodeId }))).toBe("envelope_misdirected");
  });

  test.each([
    ["another command", { name: "grant/issue" }],
    ["other parameters", { parameters: { a: 1 } }],
    ["a grant put in", { grant: {} }],
    ["a later time", { sentMs: nowMs + 1 }],
    ["another sender", { sender: mallory.nodeId }],
    ["another key", { key: mallory.key.publicKey }],
    ["another id", { callId: "0".repeat(32) }],
    ["a signature of nothing", { signature: "0".repeat(128) }],
  ])("A-4 %s breaks the signature", (_, changes) => {
    expect(codeOf(changed(call(), changes))).toBe("envelope_forged");
  });

  test("A-4 a call signed by one key in the name of another node", () => {
    const stolen = resigned(call(), { key: mallory.key.publicKey }, mallory.key);
    expect(codeOf(stolen)).toBe("envelope_forged");
  });

  test("A-4 a key of small order signs nothing", () => {
    expect(codeOf(changed(call(), { key: `01${"00".repeat(31)}` }))).toBe("envelope_forged");
  });
});

describe("A-2 a call runs once and in its time", () => {
  test.each([freshnessMs, -freshnessMs])("A-2 %p ms apart is fresh, one more is stale", (apart) => {
    const bytes = call({ nowMs: nowMs - apart });
    expect(open(bytes).name).toBe("version");
    expect(codeOf(call({ nowMs: nowMs - apart - Math.sign(apart) }))).toBe("envelope_stale");
  });

  test("A-2 the second time it is a replay, from another process and after a restart too", () => {
    const folder = mkdtempSync(join(tmpdir(), "psionic-peer-"));
    try {
      const path = join(folder, "node.db");
      const bytes = call();
      const first = openTables(path);
      const second = openTables(path);
      expect(open(bytes, { store: first }).name).toBe("version");
      expect(codeOf(bytes, { store: first })).toBe("envelope_replayed");
      expect(codeOf(bytes, { store: second })).toBe("envelope_replayed");
      first.close();
      second.close();
      const restarted = openTables(path);
      expect(codeOf(bytes, { store: restarted })).toBe("envelope_replayed");
      expect(open(call(), { store: restarted }).name).toBe("version");
      restarted.close();
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test("A-2 the same id of another key is another call", () => {
    const store = openTables();
    const bytes = call();
    open(bytes, { store });
    const { callId } = parsed(bytes);
    const other = resigned(call({}, mallory), { callId }, mallory.key);
    expect(open(other, { store }).callId).toBe(String(callId));
  });

  test("A-2 a refused call does not use up its id", () => {
    const store = openTables();
    const bytes = call();
    expect(codeOf(bytes, { store, nowMs: nowMs + freshnessMs + 1 })).toBe("envelope_stale");
    expect(open(bytes, { store }).name).toBe("version");
  });

  test("A-7 a store that fails denies", () => {
    const failing = openTables();
    failing.close();
    expect(() => open(call(), { store: failing })).toThrow();
    const refusing = {
      ...openTables(),
      run(): never {
        throw new Refusal("disk_full", "no space", "free some");
      },
    };
    expect(codeOf(call(), { store: refusing })).toBe("disk_full");
  });

  test("A-2 remembered ids are bounded: the oldest that are not fresh go first", () => {
    const store = openTables();
    const remember = (index: number, sentMs: number) =>
      rememberCall(store, { key: "k", callId: String(index), sentMs }, nowMs, 20);
    for (let index = 0; index < 100; index++) remember(index, nowMs - 1);
    expect(Number(store.get("SELECT count(*) AS n FROM peer_call")!["n"])).toBeLessThanOrEqual(20);
    // Not fresh, yet remembered: a clock that steps back does not let it in.
    expect(refusalOf(() => remember(99, nowMs - 1)).code).toBe("envelope_replayed");
  });

  test("A-2 more fresh calls than are remembered are refused as busy, not admitted", () => {
    const store = openTables();
    const remember = (index: number) =>
      rememberCall(store, { key: "k", callId: String(index), sentMs: nowMs }, nowMs, 20);
    for (let index = 0; index < 20; index++) remember(index);
    expect(refusalOf(() => remember(20)).code).toBe("peer_busy");
    expect(refusalOf(() => remember(3)).code).toBe("envelope_replayed");
  });

  test("A-10 however many calls strangers send, a known node is admitted", () => {
    const store = openTables();
    const fill = (count: number) =>
      store.run(
        `WITH RECURSIVE more (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM more WHERE n < ?1)
         INSERT INTO peer_call (key, call_id, sent_ms) SELECT 'k' || random(), n, ?2 FROM more`,
        count,
        nowMs,
      );
    fill(strangerIdMaximum);
    expect(codeOf(call(), { store })).toBe("peer_busy");
    const trust = trustOf({ [alice.nodeId]: "member" });
    expect(open(call(), { store, trust }).name).toBe("version");
    fill(callIdMaximum - strangerIdMaximum);
    expect(codeOf(call(), { store, trust })).toBe("peer_busy");
  });
});

describe("I-6 a rotated key", () => {
  const newKey = keyOf(9);
  const renewed = { nodeId: alice.nodeId, key: newKey };
  const rotations = [rotation(alice.nodeId, alice.key, newKey)];

  test("I-6 the new key is the old node's with its rotation", () => {
    const trust = trustOf({ [alice.nodeId]: "trusted" });
    const { caller } = open(call({ rotations }, renewed), { trust });
    expect(caller).toMatchObject({
      nodeId: alice.nodeId,
      publicKey: newKey.publicKey,
      registered: "trusted",
    });
  });

  test("I-6 without its rotation it is not", () => {
    expect(codeOf(call({}, renewed))).toBe("envelope_forged");
  });

  test("I-6 the old key is accepted while the overlap lasts, and retired afterwards", () => {
    expect(open(call({ rotations })).caller.publicKey).toBe(alice.key.publicKey);
    const laterMs = nowMs + 10_000;
    const late = call({ rotations, nowMs: laterMs });
    expect(codeOf(late, { nowMs: laterMs })).toBe("key_retired");
    expect(open(call({ rotations, nowMs: laterMs }, renewed), { nowMs: laterMs }).name).toBe(
      "version",
    );
  });

  test("I-6 an old key does not come back by hiding its rotation", () => {
    const trust = trustOf({}, rotations);
    expect(open(call(), { trust }).caller.publicKey).toBe(alice.key.publicKey);
    const laterMs = nowMs + 10_000;
    expect(codeOf(call({ nowMs: laterMs }), { trust, nowMs: laterMs })).toBe("key_retired");
  });

  test("I-6 a second history of a node is not believed", () => {
    const other = keyOf(10);
    const fork = [rotation(alice.nodeId, alice.key, other)];
    const known = [...rotations, rotation(alice.nodeId, newKey, keyOf(11), { sequence: 2 })];
    const forked = call({ rotations: fork }, { nodeId: alice.nodeId, key: other });
    expect(codeOf(forked, { trust: trustOf({}, known) })).toBe("envelope_forged");
  });

  test("I-6 a rotation that another signed leads nowhere", () => {
    const forged = [{ ...rotations[0]!, signature: "0".repeat(128) }];
    expect(codeOf(call({ rotations: forged }, renewed))).toBe("receipt_signature_wrong");
    const foreign = [rotation(mallory.nodeId, mallory.key, newKey)];
    expect(codeOf(call({ rotations: foreign }, renewed))).toBe("envelope_forged");
  });
});

test("A-2 reading a call checks the bytes alone and gives their digest", () => {
  const bytes = call();
  expect(readCall(bytes, bob).digest).toBe(new Bun.SHA256().update(bytes).digest("hex"));
});
