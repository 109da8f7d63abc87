import { afterAll, afterEach, beforeEach, describe, expect, spyOn, test } from "bun:test";
import { canonicalText } from "#src/codec/digest.ts";
import { sealMessage } from "#src/peer/message.ts";
import { RelayBook, relayLimits } from "#src/peer/relay.ts";
import { sealBox } from "#src/peer/sealed-box.ts";
import type { JsonObject } from "#src/peer/signed-document.ts";
import { introduce, isLinked, type LinkNode, LinkNodes, mesh, until } from "./links.fixture.ts";

let nodes = new LinkNodes();
const honest = RelayBook.prototype.pass;
const pass = spyOn(RelayBook.prototype, "pass");
beforeEach(() => {
  pass.mockReset();
  pass.mockImplementation(honest);
});
afterAll(() => pass.mockRestore());
afterEach(async () => {
  await nodes.close();
  nodes = new LinkNodes();
});

const relaying = { patienceMs: 100, sayMs: 20 };
const nowhere = "127.0.0.1:1";

/** Tells all of each other, but gives two of them a dead address of the other. */
function part(a: LinkNode, b: LinkNode, ...others: readonly LinkNode[]): void {
  const all = [a, b, ...others];
  for (const node of all)
    node.links!.setMembers(
      all.map((each) => {
        const isApart = node !== each && [a, b].includes(node) && [a, b].includes(each);
        return each.member(isApart ? { places: [nowhere] } : {});
      }),
    );
}

/** Three nodes, of which the first and the second have no direct way to each other. */
async function three(): Promise<[LinkNode, LinkNode, LinkNode]> {
  const [a, b, relay] = (await nodes.several(3)) as [LinkNode, LinkNode, LinkNode];
  for (const node of [a, b, relay]) await node.open(1, { relaying });
  part(a, b, relay);
  return [a, b, relay];
}

const range = (count: number) => Array.from({ length: count }, (_, index) => index);

describe("C-8 a relay through a member that both sides reach", () => {
  test("C-8 messages arrive through the third, both ways, in order, signed end to end", async () => {
    const [a, b, relay] = await three();
    await until("the two are linked", () => isLinked(a, b));
    for (const [one, other] of [
      [a, b],
      [b, a],
    ] as const) {
      expect(one.view(other)).toMatchObject({ state: "connected", path: "relayed" });
      expect(one.view(other)!.relay).toBe(relay.id);
      expect(one.view(other)!.claims?.result).toBe("verified");
    }
    for (const number of range(100)) {
      expect(a.links!.send(b.id, "note", { number })).toBe(true);
      expect(b.links!.send(a.id, "note", { number })).toBe(true);
    }
    await until("all came", () => a.heard.length === 100 && b.heard.length === 100);
    expect(b.numbersFrom(a)).toEqual(range(100));
    expect(a.numbersFrom(b)).toEqual(range(100));
    expect(relay.heard).toEqual([]);
    for (const node of [a, b, relay]) expect(node.bugs).toEqual([]);
  });

  test("C-6 a node that stops says so through the relay too", async () => {
    const [a, b] = await three();
    await until("the two are linked", () => isLinked(a, b));
    const startedMs = performance.now();
    await a.stop();
    expect(performance.now() - startedMs).toBeLessThan(1_000);
    await until("the other knows", () => b.view(a)!.path === null, 1_000);
    expect(b.reached.at(-1)).toBe(`-${a.id}`);
  });

  test("C-8 what is large arrives whole, and what is small does not wait for it", async () => {
    const [a, b] = await three();
    await until("the two are linked", () => isLinked(a, b));
    const text = "0123456789".repeat(1_500_000);
    expect(a.links!.send(b.id, "note", { text })).toBe(true);
    a.links!.send(b.id, "note", { number: 1 });
    await until("all came", () => b.heard.length === 2);
    expect(b.heard[0]!.body).toEqual({ number: 1 });
    expect(b.heard[1]!.body["text"] === text).toBe(true);
  }, 30_000);

  test("C-8 the relay sees nothing of what it passes on", async () => {
    const [a, b] = await three();
    const seen: string[] = [];
    pass.mockImplementation(function (this: RelayBook, ...words) {
      seen.push(canonicalText(words[1]));
      return honest.apply(this, words);
    });
    await until("the two are linked", () => isLinked(a, b));
    a.links!.send(b.id, "note", { text: "the-secret-of-a" });
    await until("it came", () => b.heard.length === 1);
    expect(seen.length).toBeGreaterThan(2);
    for (const body of seen) {
      const { sealed } = JSON.parse(body) as { sealed: string };
      const box = Buffer.from(sealed, "base64");
      for (const word of ["the-secret-of-a", "note", "psionic", a.id, mesh])
        expect([word, box.includes(word)]).toEqual([word, false]);
    }
  });

  test("C-8 the direct way is taken back as soon as it is there, and the relay is left", async () => {
    const [a, b, relay] = await three();
    await until("the two are linked", () => isLinked(a, b));
    expect(a.view(b)!.nextDialMs).not.toBeNull();
    introduce(a, b, relay);
    const isDirect = (x: LinkNode, y: LinkNode) => x.view(y)!.path === "direct";
    await until("the direct way is taken", () => isDirect(a, b) && isDirect(b, a));
    // The change cost nobody a moment without a way.
    for (const node of [a, b])
      expect(node.reached.filter((each) => each.startsWith("-"))).toEqual([]);
    await until("the relay is left", () => pass.mock.calls.length > 0);
    a.links!.send(b.id, "note", { number: 1 });
    await until("it came", () => b.heard.length === 1);
    const before = pass.mock.calls.length;
    for (const number of range(50)) a.links!.send(b.id, "note", { number });
    await until("all came", () => b.heard.length === 51);
    // What ends the wire may still pass.
    expect(pass.mock.calls.length - before).toBeLessThan(4);
  });

  test("C-8 a direct way that breaks is replaced through the third", async () => {
    const [a, b, relay] = (await nodes.several(3)) as [LinkNode, LinkNode, LinkNode];
    const way = await nodes.proxy(b);
    const before = b.places;
    for (const node of [a, b, relay]) await node.open(1, { relaying });
    a.places = [nowhere];
    b.places = [way.place];
    introduce(a, b);
    b.places = before;
    await until("the two are linked", () => a.view(b)?.path === "direct");
    part(a, b, relay);
    a.links!.setMembers([b.member({ places: [way.place] }), relay.member()]);
    await until("the relay is linked", () => isLinked(a, relay) && isLinked(b, relay));
    expect(a.view(b)!.path).toBe("direct");
    way.close();
    await until("the third passes on", () => a.view(b)?.path === "relayed" && isLinked(a, b));
    a.links!.send(b.id, "note", { number: 7 });
    await until("it came", () => b.numbersFrom(a).includes(7));
  });
});

type Lie = (to: string, body: JsonObject) => JsonObject[] | Promise<JsonObject[]>;

describe("C-8 a relay that lies", () => {
  /** What the two hear of each other through a relay that does as told with each message it passes on. */
  async function through(lie: (parts: { a: LinkNode; b: LinkNode; relay: LinkNode }) => Lie) {
    const [a, b, relay] = await three();
    await until("the two are linked", () => isLinked(a, b));
    const tell = lie({ a, b, relay });
    pass.mockImplementation(function (this: RelayBook, ...words) {
      const passed = honest.apply(this, words);
      if (passed === null) return null;
      void Promise.resolve(tell(passed.to, passed.body)).then((bodies) => {
        for (const body of bodies) relay.links?.send(passed.to, "relayed", body);
      });
      return null;
    });
    for (const number of range(20)) a.links!.send(b.id, "note", { number });
    return { a, b, relay };
  }

  test("C-8 that says everything twice is heard once", async () => {
    const { a, b } = await through(() => (_to, body) => [body, body]);
    await until("all came", () => b.heard.length >= 20);
    await until("the others were refused", () => b.links!.refusals()["envelope_replayed"]! >= 20);
    expect(b.numbersFrom(a)).toEqual(range(20));
  });

  test("C-8 that changes what it passes on is not believed, and the way ends", async () => {
    const { a, b } = await through(() => (_to, body) => [{ ...body, sealed: flipped(body) }]);
    await until("it was found out", () => b.links!.refusals()["box_forged"]! > 0);
    await until("the way ended", () => !isLinked(a, b));
    expect(b.heard).toEqual([]);
  });

  test("C-8 that names another sender is not believed", async () => {
    const { b } = await through(({ relay }) => (to, body) => [
      { ...body, from: to },
      { ...body, from: relay.id },
      { ...body, from: "psn" + "a".repeat(32) },
    ]);
    await until("it was dropped", () => b.links!.refusals()["relay_dropped"]! >= 20);
    expect(b.heard).toEqual([]);
  });

  test("C-8 that seals words of its own for another's is not believed", async () => {
    const { b } = await through(({ a, b: reader, relay }) => async (to, body) => {
      const { author } = relay.services.receipts.opened();
      const way = { mesh, sender: a.id, recipient: reader.id, relay: relay.id };
      const session = String(body["session"]);
      const content = { mesh, recipient: to, epoch: 1, counter: 5_000, kind: "note" };
      const inner = sealMessage(author, {
        ...{ ...content, body: { number: 666 }, claims: null, grant: null },
      });
      const box = await sealBox(reader.box.publicKey, { ...way, session }, inner);
      return [{ ...body, sealed: Buffer.from(box).toString("base64") }];
    });
    await until("it was refused", () => b.links!.refusals()["envelope_forged"]! > 0);
    expect(b.heard).toEqual([]);
  });

  test("C-8 that swallows everything is left for another that does not", async () => {
    const [a, b, relay] = await three();
    const other = await nodes.make("another relay");
    await other.open(1, { relaying });
    part(a, b, relay, other);
    await until("the two are linked", () => isLinked(a, b) && isLinked(a, other));
    await until("both are reached by the other", () => isLinked(b, other));
    const first = a.view(b)!.relay;
    pass.mockImplementation(function (this: RelayBook, from, body, nowMs) {
      // Whoever passed on so far swallows all from now on.
      const passed = honest.call(this, from, body, nowMs);
      return a.view(b)?.relay === first ? null : passed;
    });
    await until("another is taken", () => {
      a.links!.send(b.id, "note", { number: 1 });
      return (a.view(b)?.relay ?? first) !== first && isLinked(a, b);
    });
    expect(a.view(b)!.relay).toBe([relay.id, other.id].find((id) => id !== first)!);
    b.heard.length = 0;
    a.links!.send(b.id, "note", { number: 2 });
    await until("it came", () => b.numbersFrom(a).includes(2));
  }, 20_000);
});

test("C-8 a member learns within a moment that it may go through another", () => {
  expect(relayLimits.patienceMs).toBeLessThanOrEqual(1_000);
});

function flipped(body: JsonObject): string {
  const bytes = Buffer.from(String(body["sealed"]), "base64");
  bytes[bytes.length - 1]! ^= 1;
  return bytes.toString("base64");
}
