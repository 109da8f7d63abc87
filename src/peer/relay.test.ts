import { describe, expect, test } from "bun:test";
import { nodeOf, random, refusalOf } from "./peer.fixture.ts";
import { reachMaximum, RelayBook, relayBody, relayLimits } from "./relay.ts";

const [a, b, c, d] = [1, 2, 3, 4].map((seed) => nodeOf(seed).nodeId).toSorted() as [
  ...[string, string, string, string],
];
const { patienceMs, avoidMs, sayMs } = relayLimits;
const stranger = nodeOf(99).nodeId;
const session = "0".repeat(32);
const box = Buffer.from("sealed");

/** The ways of a, whose neighbours b and c say whom they reach. */
function bookOfA({ linked = [b, c], reaches = [b, c], limits = {} } = {}): RelayBook {
  const book = new RelayBook(a, random, { ...relayLimits, ...limits });
  book.setMembers([b, c, d], 0);
  for (const node of linked) book.setLinked(node, true, 0);
  for (const node of reaches) book.heardReaches(node, { nodes: [a, d] });
  return book;
}

describe("C-8 a member is reached through another where no direct way is open", () => {
  test("C-8 not while the direct way is open, nor before it was closed for a second", () => {
    const book = bookOfA();
    expect(book.routeTo(d, patienceMs - 1)).toBeNull();
    expect(book.routeTo(d, patienceMs)?.relay).toBe(b);
    expect(book.routeTo(b, patienceMs)).toBeNull();
    book.setLinked(d, true, 2_000);
    expect(book.routeTo(d, 9_000)).toBeNull();
    book.setLinked(d, false, 10_000);
    expect(book.routeTo(d, 10_000 + patienceMs - 1)).toBeNull();
    expect(book.routeTo(d, 10_000 + patienceMs)?.relay).toBe(b);
    expect(book.routeTo(stranger, 99_000)).toBeNull();
  });

  test("C-8 a way holds while its relay does; the next one has a session of its own", () => {
    const book = bookOfA();
    const first = book.routeTo(d, 5_000);
    expect(book.routeTo(d, 6_000)).toEqual(first);
    book.leave(d, session);
    expect(book.routeTo(d, 6_000)).toEqual(first);
    book.leave(d, first!.session);
    expect(book.routeTo(d, 6_000)?.relay).toBe(b);
    expect(book.routeTo(d, 6_000)?.session).not.toBe(first?.session);
    book.setLinked(b, false, 6_000);
    const second = book.routeTo(d, 6_000);
    expect(second?.relay).toBe(c);
    expect(second?.session).not.toBe(first?.session);
    book.heardReaches(c, { nodes: [a] });
    expect(book.routeTo(d, 6_000)).toBeNull();
  });

  test("C-8 what a neighbour said ends with its link: after a return it says it again", () => {
    const book = bookOfA({ reaches: [b] });
    book.setLinked(b, false, 100);
    book.setLinked(b, true, 200);
    expect(book.routeTo(d, 5_000)).toBeNull();
    book.heardReaches(b, { nodes: [d] });
    expect(book.routeTo(d, 5_000)?.relay).toBe(b);
    // Nobody is heard of whom this node has no link with.
    book.heardReaches(stranger, { nodes: [d] });
    book.setLinked(b, false, 6_000);
    expect(book.routeTo(d, 9_000)).toBeNull();
  });

  test("C-8 a relay that failed is left out for a while, for that member alone", () => {
    const book = bookOfA();
    book.avoid(d, b, 5_000);
    expect(book.routeTo(d, 5_000)?.relay).toBe(c);
    book.avoid(d, c, 5_001);
    expect(book.routeTo(d, 5_001)).toBeNull();
    expect(book.routeTo(d, 5_000 + avoidMs)?.relay).toBe(b);
  });

  test("C-8 ways are shared out among those who can carry them", () => {
    const many = Array.from({ length: 10 }, (_, index) => nodeOf(20 + index).nodeId);
    const book = new RelayBook(a, random);
    book.setMembers([b, c, ...many], 0);
    for (const relay of [b, c]) {
      book.setLinked(relay, true, 0);
      book.heardReaches(relay, { nodes: many });
    }
    const relays = many.map((node) => book.routeTo(node, 5_000)?.relay);
    expect(relays.filter((relay) => relay === b).length).toBe(5);
    expect(relays.filter((relay) => relay === c).length).toBe(5);
  });

  test("C-8 who leaves the mesh is no relay and has no way", () => {
    const book = bookOfA();
    book.setMembers([c, d], 1_000);
    expect(book.routeTo(d, 5_000)?.relay).toBe(c);
    book.setMembers([c], 6_000);
    expect(book.routeTo(d, 9_000)).toBeNull();
  });
});

describe("C-8 members tell their neighbours whom they reach", () => {
  test("C-8 once to each, again when it changes, and not more often than the bound", () => {
    const book = bookOfA();
    expect(book.takeReaches(0)).toEqual({ to: [b, c], body: { nodes: [b, c] } });
    expect(book.takeReaches(sayMs)).toBeNull();
    book.setLinked(d, true, sayMs);
    expect(book.takeReaches(sayMs)).toEqual({ to: [b, c, d], body: { nodes: [b, c, d] } });
    book.setLinked(d, false, sayMs + 1);
    expect(book.takeReaches(sayMs + 1)).toBeNull();
    expect(book.takeReaches(2 * sayMs)).toEqual({ to: [b, c], body: { nodes: [b, c] } });
    // Who comes back has forgotten.
    book.setLinked(c, false, 3 * sayMs);
    book.setLinked(c, true, 3 * sayMs);
    expect(book.takeReaches(3 * sayMs)?.to).toEqual([b, c]);
  });

  test("C-8 more than a mesh holds, or what is no list of nodes, is refused", () => {
    const book = bookOfA();
    for (const body of [
      {},
      { nodes: "all" },
      { nodes: ["x"] },
      { nodes: [d], more: 1 },
      { nodes: Array.from({ length: reachMaximum + 1 }, () => d) },
    ])
      expect(refusalOf(() => book.heardReaches(b, body)).code).toBe("envelope_malformed");
    expect(book.routeTo(d, 5_000)).not.toBeNull();
  });
});

describe("C-8 what a relay passes on", () => {
  const ask = (to: string) => relayBody(to, { relay: a, session }, box);

  test("C-8 only between two who are linked with it, and under the name of who asked", () => {
    const book = bookOfA();
    const passed = book.pass(b, ask(c), 0);
    expect(passed).toEqual({
      to: c,
      body: { from: b, session, sealed: box.toString("base64") },
    });
    expect(book.pass(b, ask(d), 0)).toBeNull();
    expect(book.pass(b, ask(b), 0)).toBeNull();
    expect(book.pass(b, ask(a), 0)).toBeNull();
    expect(book.pass(d, ask(c), 0)).toBeNull();
    expect(book.pass(stranger, ask(c), 0)).toBeNull();
    expect(refusalOf(() => book.pass(b, { ...ask(c), from: d }, 0)).code).toBe(
      "envelope_malformed",
    );
  });

  test("C-8 what was relayed is never relayed again, even where two relays name each other", () => {
    // d is reached by nobody: b and c each claim to, through the other.
    const ofB = new RelayBook(b, random);
    ofB.setMembers([a, c, d], 0);
    for (const node of [a, c]) ofB.setLinked(node, true, 0);
    ofB.heardReaches(c, { nodes: [d] });
    expect(ofB.routeTo(d, 5_000)?.relay).toBe(c);
    expect(ofB.pass(a, ask(d), 5_000)).toBeNull();
    expect(ofB.takeReaches(5_000)?.body).toEqual({ nodes: [a, c].toSorted() });
  });

  test("C-8 a pair is bounded in messages and bytes, and takes nothing from other pairs", () => {
    const limits = { messagesPerSecond: 2, messageBurst: 4, bytesPerSecond: 8, byteBurst: 1_000 };
    const book = bookOfA({ linked: [b, c, d], limits });
    const passes = () => Array.from({ length: 6 }, () => book.pass(b, ask(c), 0) !== null);
    expect(passes()).toEqual([true, true, true, true, false, false]);
    expect(book.pass(b, ask(d), 0)).not.toBeNull();
    expect(book.pass(c, ask(b), 0)).not.toBeNull();
    expect(book.pass(b, ask(c), 500)).not.toBeNull();
    expect(book.pass(b, ask(c), 500)).toBeNull();
    const large = relayBody(c, { relay: a, session }, Buffer.alloc(720));
    expect(book.pass(d, large, 0)).not.toBeNull();
    expect(book.pass(d, large, 10_000)).toBeNull();
    expect(book.pass(d, large, 200_000)).not.toBeNull();
  });

  test("C-8 no more pairs than the bound are remembered, and idle ones make room", () => {
    const book = bookOfA({ linked: [b, c, d], limits: { pairs: 2, messagesPerSecond: 1 } });
    expect(book.pass(b, ask(c), 0)).not.toBeNull();
    expect(book.pass(c, ask(b), 0)).not.toBeNull();
    expect(book.pass(b, ask(d), 0)).toBeNull();
    expect(book.pass(b, ask(d), 5_000)).not.toBeNull();
  });
});

describe("C-8 what comes through a relay", () => {
  test("C-8 is taken from members, not from the relay itself, and bounded", () => {
    const book = bookOfA({ limits: { messageBurst: 2, messagesPerSecond: 1 } });
    const body = { from: d, session, sealed: box.toString("base64") };
    expect(book.arrive(b, body, 0)).toEqual({ from: d, session, box });
    expect(book.arrive(b, { ...body, from: b }, 0)).toBeNull();
    expect(book.arrive(b, { ...body, from: a }, 0)).toBeNull();
    expect(book.arrive(b, { ...body, from: stranger }, 0)).toBeNull();
    expect(book.arrive(b, body, 0)).not.toBeNull();
    expect(book.arrive(b, body, 0)).toBeNull();
    expect(book.arrive(b, body, 1_000)).not.toBeNull();
    for (const bad of [
      { ...body, sealed: "" },
      { ...body, sealed: "%" },
      { ...body, to: a },
    ])
      expect(refusalOf(() => book.arrive(b, bad, 0)).code).toBe("envelope_malformed");
  });
});
