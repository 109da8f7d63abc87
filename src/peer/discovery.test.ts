import { describe, expect, test } from "bun:test";
import {
  DiscoveryBook,
  datagramMaximumBytes,
  discoveryLimits,
  type DiscoveryLimits,
} from "./discovery.ts";
import type { Signer } from "./envelope.ts";
import {
  alice,
  bob,
  changed,
  keyOf,
  mallory,
  nodeOf,
  parsed,
  random,
  resigned,
} from "./peer.fixture.ts";

const mesh = `psm${"a".repeat(32)}`;
const at = (host: string) => ({ host, port: 50_000 });
const { patienceMs, forgetMs } = discoveryLimits;

interface Changes {
  readonly of?: string;
  readonly port?: number | null;
  readonly limits?: Partial<DiscoveryLimits>;
}

function bookOf(identity: Signer, { of = mesh, port = 7420, limits = {} }: Changes = {}) {
  return new DiscoveryBook(
    { signer: () => identity, mesh: () => of, port: () => port, random, limits },
    0,
  );
}
const keyed = ({ nodeId, key }: Signer) => ({ node: nodeId, key: key.publicKey });

/** A ping of the one answered by the other. */
function exchange(asks: DiscoveryBook, answers: DiscoveryBook, nowMs = 0, host = "10.0.0.2") {
  const hello = answers.hear(asks.ping(nowMs), at("10.0.0.1"), nowMs);
  if (hello !== null) expect(asks.hear(hello, at(host), nowMs)).toBeNull();
  return hello;
}

describe("C-8 discovery", () => {
  test("C-8 a member that answers is a further place to dial; a stranger is only shown", () => {
    const [a, b] = [bookOf(alice), bookOf(bob, { port: 7430 })];
    exchange(a, b);
    expect(a.seen(1_000)).toEqual([
      { ...keyed(bob), places: ["10.0.0.2:7430"], isMember: false, silentMs: 1_000 },
    ]);
    expect(a.placesOf(bob.nodeId, 1_000)).toEqual([]);
    a.setMembers([keyed(bob)]);
    expect(a.placesOf(bob.nodeId, 1_000)).toEqual(["10.0.0.2:7430"]);
    expect(b.seen(0)).toEqual([]);
    exchange(a, b, 2_000, "10.0.0.9");
    exchange(a, b, 3_000, "10.0.0.8");
    expect(a.placesOf(bob.nodeId, 3_000)).toEqual(["10.0.0.8:7430", "10.0.0.9:7430"]);
    expect(a.placesOf(bob.nodeId, 3_001 + forgetMs)).toEqual([]);
    expect(a.seen(3_001 + forgetMs)).toEqual([]);
  });

  test("C-8 another mesh is neither shown nor answered, and no datagram says which mesh it is of", () => {
    const [a, other] = [bookOf(alice), bookOf(bob, { of: `psm${"b".repeat(32)}` })];
    expect(other.hear(a.ping(0), at("10.0.0.1"), 0)).toBeNull();
    expect(exchange(other, a)).toBeNull();
    expect([...a.seen(0), ...other.seen(0)]).toEqual([]);
    const [first, second] = [a.ping(0), a.ping(0)].map((bytes) => parsed(bytes)["tag"]);
    expect(first).not.toBe(second);
    expect(Buffer.from(a.ping(0)).includes(mesh)).toBeFalse();
  });

  test("C-8 what is forged, moved, old, unasked for or its own is dropped", () => {
    const [a, b] = [bookOf(alice), bookOf(bob)];
    const hello = b.hear(a.ping(0), at("10.0.0.1"), 0)!;
    const heard = (bytes: Uint8Array, nowMs = 0) => {
      expect(a.hear(bytes, at("10.0.0.2"), nowMs)).toBeNull();
      return a.seen(nowMs).length;
    };
    expect(heard(changed(hello, { port: 1 }))).toBe(0);
    expect(heard(changed(hello, { kind: "ping" }))).toBe(0);
    expect(heard(resigned(hello, { key: mallory.key.publicKey }, mallory.key))).toBe(0);
    expect(heard(resigned(hello, { sender: mallory.nodeId }, bob.key))).toBe(0);
    expect(heard(resigned(hello, { port: 0 }, bob.key))).toBe(0);
    expect(heard(resigned(hello, { more: "x".repeat(datagramMaximumBytes) }, bob.key))).toBe(0);
    expect(heard(Buffer.from("{"))).toBe(0);
    expect(heard(hello, patienceMs + 1)).toBe(0);
    expect(heard(a.ping(0))).toBe(0);
    expect(heard(hello)).toBe(1);
    // A recorded hello answers no later ping.
    a.ping(60_000);
    heard(hello, 60_000);
    expect(a.seen(60_000)[0]?.silentMs).toBe(60_000);
  });

  test("C-8 a member is believed under the key the mesh knows, and under no other", () => {
    const rotated: Signer = { nodeId: bob.nodeId, key: keyOf(8) };
    const [a, b, fresh] = [bookOf(alice), bookOf(bob), bookOf(rotated)];
    exchange(a, fresh);
    expect(a.seen(0)).toEqual([]);
    a.setMembers([keyed(rotated)]);
    exchange(a, fresh);
    expect(a.placesOf(bob.nodeId, 0)).toHaveLength(1);
    exchange(a, b, 0, "10.6.6.6");
    expect(a.placesOf(bob.nodeId, 0)).toEqual(["10.0.0.2:7420"]);
    a.setMembers([]);
    expect(a.seen(0)).toEqual([]);
  });

  test("C-8 a node without a door there is shown without a place", () => {
    const a = bookOf(alice);
    exchange(a, bookOf(bob, { port: null }));
    expect(a.seen(0)[0]?.places).toEqual([]);
  });

  test("C-8 what is remembered and answered is bounded; members outlast strangers", () => {
    const a = bookOf(alice, { limits: { nodes: 3, burst: 12, perSecond: 1 } });
    a.setMembers([keyed(bob)]);
    exchange(a, bookOf(bob));
    const strangers = Array.from({ length: 5 }, (_, index) => nodeOf(40 + index));
    for (const stranger of strangers) exchange(a, bookOf(stranger));
    const shown = a.seen(0).map(({ node }) => node);
    expect(shown[0]).toBe(bob.nodeId);
    expect(shown.slice(1).toSorted()).toEqual(
      strangers
        .slice(3)
        .map((each) => each.nodeId)
        .toSorted(),
    );
    const ping = () => bookOf(mallory).ping(0);
    const answers = Array.from({ length: 12 }, () => a.hear(ping(), at("10.0.0.3"), 0));
    expect(answers.filter((each) => each !== null)).toHaveLength(6);
    expect(a.hear(ping(), at("10.0.0.3"), 1_000)).not.toBeNull();
  });
});
