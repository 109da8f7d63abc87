import { describe, expect, test } from "bun:test";
import { meshIdOf } from "#src/grant/mesh.ts";
import type { RefusalCode } from "#src/refusal/codes.ts";
import { ReceiveWindows } from "./counters.ts";
import { mesh, message, proven, self } from "./message.fixture.ts";
import { admitMessage, isMessage, readMessage, type ProvenSender } from "./message.ts";
import {
  alice,
  bob,
  call,
  changed,
  keyOf,
  mallory,
  openTables,
  parsed,
  refusalOf,
  resigned,
} from "./peer.fixture.ts";
import { depthMaximum, documentMaximumBytes } from "./signed-document.ts";

const utf8 = (text: string) => new TextEncoder().encode(text);
const good = message();
const codeOf = (bytes: Uint8Array) => refusalOf(() => readMessage(bytes, self)).code;

function nested(depth: number): unknown {
  return depth === 0 ? 0 : [nested(depth - 1)];
}

describe("C-2 a message between members", () => {
  test("C-2 reads as what was sealed", () => {
    const body = { loss: 0.1, text: "é\u2028😀", list: [1, null, true] };
    const more = { claims: { nodeId: "a" }, grant: { calls: 3 }, epoch: 7, counter: 2 ** 53 - 1 };
    const bytes = message({ kind: "log", body, ...more });
    const { envelope, sizeBytes } = readMessage(bytes, self);
    expect(sizeBytes).toBe(bytes.length);
    expect(envelope).toMatchObject({
      ...{ type: "psionic-message", version: 1, mesh, kind: "log", body, ...more },
      ...{ sender: alice.nodeId, key: alice.key.publicKey, recipient: bob.nodeId },
    });
  });

  test("C-2 without claims and grant it has no members of those names", () => {
    expect(Object.keys(parsed(good)).toSorted()).toEqual([
      ...["body", "counter", "epoch", "key", "kind", "mesh", "recipient", "sender"],
      ...["signature", "type", "version"],
    ]);
    expect(readMessage(good, self).envelope.claims).toBeUndefined();
  });

  test("C-2 is told from a call by its type", () => {
    expect([isMessage(parsed(good)), isMessage(parsed(call()))]).toEqual([true, false]);
    expect(codeOf(call())).toBe("envelope_malformed");
  });
});

describe("C-2 a malformed message is refused", () => {
  const table: [string, Uint8Array][] = [
    ["nothing", new Uint8Array()],
    ["no JSON", utf8("psionic")],
    ["a list", utf8("[]")],
    ["cut off", good.slice(0, -1)],
    ["a space after it", Uint8Array.from([...good, 0x20])],
    ["members out of order", utf8(JSON.stringify({ type: "", ...parsed(good) }))],
    ["a member nobody knows", changed(good, { admin: true })],
    ["another version", changed(good, { version: 2 })],
    ["no counter", changed(good, { counter: undefined })],
    ["a counter of 0", changed(good, { counter: 0 })],
    ["a counter with a fraction", changed(good, { counter: 1.5 })],
    ["a counter that is not exact", changed(good, { counter: 2 ** 53 })],
    ["a counter as text", changed(good, { counter: "1" })],
    ["an epoch below 1", changed(good, { epoch: -1 })],
    ["an empty kind", changed(good, { kind: "" })],
    ["a kind of 33 letters", changed(good, { kind: "a".repeat(33) })],
    ["a kind with a capital", changed(good, { kind: "Ping" })],
    ["a kind of two lines", changed(good, { kind: "ping\n" })],
    ["a body that is a list", changed(good, { body: [] })],
    ["a body that is null", changed(good, { body: null })],
    ["claims that are null", changed(good, { claims: null })],
    ["a grant that is text", changed(good, { grant: "all" })],
    ["a mesh that is none", changed(good, { mesh: "lan" })],
    ["a sender that is none", changed(good, { sender: "alice" })],
    ["a short key", changed(good, { key: "00" })],
    ["a signature in capitals", changed(good, { signature: "AB".repeat(64) })],
    ["deep nesting", message({ body: { a: nested(depthMaximum) } })],
  ];

  test.each(table)("C-2 %s", (_, bytes) => {
    expect(codeOf(bytes)).toBe("envelope_malformed");
  });

  test("C-2 a kind of 32 letters is read", () => {
    expect(readMessage(message({ kind: "a".repeat(32) }), self).envelope.kind).toHaveLength(32);
  });

  test("C-2 beyond a mebibyte it is refused on both sides", () => {
    const body = { text: "x".repeat(documentMaximumBytes) };
    expect(refusalOf(() => message({ body })).code).toBe("message_too_large");
    const bytes = new Uint8Array(documentMaximumBytes + 1).fill(0x5b);
    expect(refusalOf(() => readMessage(bytes, self)).message).toContain("more than 1048576");
  });
});

describe("C-2 only what a member signed for this node and mesh is read", () => {
  test.each<[string, Uint8Array, RefusalCode]>([
    ["for another node", message({ recipient: mallory.nodeId }), "envelope_misdirected"],
    ["of another mesh", message({ mesh: meshIdOf(alice) }), "mesh_wrong"],
    ["under another key", changed(good, { key: mallory.key.publicKey }), "envelope_forged"],
    ["of a key of small order", changed(good, { key: `01${"00".repeat(31)}` }), "envelope_forged"],
    ["with no signature", changed(good, { signature: "0".repeat(128) }), "envelope_forged"],
    ["with another counter", changed(good, { counter: 2 }), "envelope_forged"],
    ["with another epoch", changed(good, { epoch: 2 }), "envelope_forged"],
    ["of another kind", changed(good, { kind: "log" }), "envelope_forged"],
    ["with another body", changed(good, { body: {} }), "envelope_forged"],
    ["with claims put in", changed(good, { claims: {} }), "envelope_forged"],
    ["with a grant put in", changed(good, { grant: {} }), "envelope_forged"],
    ["in another's name", changed(good, { sender: mallory.nodeId }), "envelope_forged"],
    ["signed as a call", changed(call(), { type: "psionic-message" }), "envelope_malformed"],
  ])("C-2 %s", (_, bytes, code) => {
    expect(codeOf(bytes)).toBe(code);
  });
});

describe("C-2 a message is admitted once, of the proven sender", () => {
  const windows = () => new ReceiveWindows(openTables());
  const admit = (bytes: Uint8Array, who: ProvenSender = proven, into = windows()) =>
    admitMessage(readMessage(bytes, self), { proven: who, windows: into });

  test("C-2 the second time it is a replay", () => {
    const into = windows();
    admit(good, proven, into);
    expect(refusalOf(() => admit(good, proven, into)).code).toBe("envelope_replayed");
    admit(message({ counter: 2 }), proven, into);
  });

  test("C-2 another member's message over this way is forged", () => {
    expect(refusalOf(() => admit(message({}, mallory))).code).toBe("envelope_forged");
    const inHerName = resigned(good, { key: mallory.key.publicKey }, mallory.key);
    expect(refusalOf(() => admit(inHerName)).code).toBe("envelope_forged");
  });

  test("I-6 a key the member does not sign with now", () => {
    const renewed = { nodeId: alice.nodeId, key: keyOf(9) };
    expect(refusalOf(() => admit(message({}, renewed))).code).toBe("envelope_forged");
    admit(message({}, renewed), { ...proven, key: renewed.key.publicKey });
  });

  test("I-2 an epoch lower than the mesh has seen", () => {
    expect(refusalOf(() => admit(good, { ...proven, epoch: 2 })).code).toBe("epoch_stale");
    admit(message({ epoch: 2 }), { ...proven, epoch: 2 });
  });

  test("C-2 a refused message uses no counter up", () => {
    const into = windows();
    expect(refusalOf(() => admit(good, { ...proven, node: bob.nodeId }, into)).code).toBe(
      "envelope_forged",
    );
    admit(good, proven, into);
  });

  test("A-7 a store that fails admits nothing", () => {
    const store = openTables();
    store.close();
    const into = new ReceiveWindows(store);
    expect(() => admit(good, proven, into)).toThrow();
  });
});
