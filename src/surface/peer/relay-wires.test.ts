import { describe, expect, test } from "bun:test";
import type { LinkMember } from "#src/peer/link.ts";
import { nodeOf, random } from "#src/peer/peer.fixture.ts";
import { RelayBook, relayLimits } from "#src/peer/relay.ts";
import { boxKeyFromSeed, sealBox } from "#src/peer/sealed-box.ts";
import type { JsonObject } from "#src/peer/signed-document.ts";
import { RelayWires } from "./relay-wires.ts";
import type { Wire } from "./wire.ts";

const mesh = `psm${"a".repeat(32)}`;
const signers = [1, 2, 3, 4]
  .map((seed) => ({ seed, signer: nodeOf(seed) }))
  .toSorted((a, b) => (a.signer.nodeId < b.signer.nodeId ? -1 : 1));
const ids = signers.map(({ signer }) => signer.nodeId);
const [a, b, c, d] = ids as [string, string, string, string];
const boxOf = (node: string) =>
  boxKeyFromSeed(new Uint8Array(32).fill(signers[ids.indexOf(node)]!.seed));
const members: LinkMember[] = signers.map(({ signer }) => ({
  ...{ node: signer.nodeId, places: [], certificate: "0".repeat(64), epoch: 1 },
  ...{ box: boxOf(signer.nodeId).publicKey, key: signer.key.publicKey },
}));

type Tamper = (to: string, kind: string, body: JsonObject) => JsonObject | null;

/** One node of a network in memory: what it sends reaches the other at once. */
class Station {
  nowMs = 0;
  readonly book: RelayBook;
  readonly wires: RelayWires;
  readonly links: Wire[] = [];
  readonly ended: Wire[] = [];
  readonly got: string[] = [];
  readonly counts: string[] = [];
  readonly passed: JsonObject[] = [];
  readonly reached = new Set<string>();
  tamper: Tamper = (_to, _kind, body) => body;

  constructor(
    private readonly net: Map<string, Station>,
    readonly node: string,
  ) {
    this.book = new RelayBook(node, random);
    this.wires = new RelayWires({
      ...{ node, mesh, box: boxOf(node), book: this.book, nowMs: () => this.nowMs },
      sleep: (delayMs) => Bun.sleep(delayMs),
      member: (id) => members.find((each) => each.node === id) ?? null,
      isReached: (id) => this.reached.has(id) || this.book.isLinked(id),
      send: (to, kind, body) => this.#send(to, kind, body),
      attach: (wire) => {
        this.links.push(wire);
        return {
          take: (document) => void this.got.push(Buffer.from(document).toString()),
          ended: () => void this.ended.push(wire),
        };
      },
      count: (code) => void this.counts.push(code),
      onBug(error) {
        throw error;
      },
    });
    net.set(node, this);
  }

  #send(to: string, kind: string, body: JsonObject): boolean {
    if (!this.book.isLinked(to)) return false;
    const altered = this.tamper(to, kind, body);
    if (altered !== null) this.net.get(to)!.wires.take(this.node, kind, altered);
    return true;
  }

  at(nowMs: number): void {
    this.nowMs = nowMs;
    this.wires.look(ids.filter((id) => id !== this.node));
  }
}

/** a and d are linked with b and c, and not with each other. */
function network() {
  const net = new Map<string, Station>();
  const stations = ids.map((id) => new Station(net, id));
  for (const station of stations) station.book.setMembers(ids, 0);
  const link = (one: string, other: string, isUp = true, nowMs = 0) => {
    net.get(one)!.book.setLinked(other, isUp, nowMs);
    net.get(other)!.book.setLinked(one, isUp, nowMs);
  };
  for (const relay of [b, c]) for (const end of [a, d]) link(relay, end);
  link(b, c);
  const all = (nowMs: number) => {
    for (const station of stations) station.at(nowMs);
  };
  all(0);
  const [ofA, ofB, ofC, ofD] = stations as [Station, Station, Station, Station];
  return { ofA, ofB, ofC, ofD, all, link };
}

async function until(what: string, holds: () => boolean): Promise<void> {
  const deadlineMs = performance.now() + 10_000;
  while (!holds()) {
    if (performance.now() > deadlineMs) throw new Error(`waited in vain: ${what}`);
    await Bun.sleep(1);
  }
}

const say = (wire: Wire, text: string) => wire.send(Buffer.from(text));

describe("C-8 wires through another member", () => {
  test("C-8 documents go both ways, in order, over the wire that one end opened", async () => {
    const { ofA, ofB, ofD, all } = network();
    all(relayLimits.patienceMs);
    expect(ofA.links.map(({ node, relay, isDialled }) => ({ node, relay, isDialled }))).toEqual([
      { node: d, relay: b, isDialled: true },
    ]);
    for (let index = 0; index < 20; index++) say(ofA.links[0]!, `word ${index}`);
    expect(ofA.links[0]!.waitingBytes).toBeGreaterThan(0);
    await until("all came", () => ofD.got.length === 20);
    expect(ofD.got).toEqual(Array.from({ length: 20 }, (_, index) => `word ${index}`));
    expect(ofD.links).toHaveLength(1);
    expect(ofD.links[0]).toMatchObject({ node: a, relay: b, isDialled: false, path: "relayed" });
    expect(ofA.links[0]!.waitingBytes).toBe(0);
    say(ofD.links[0]!, "answer");
    await until("the answer came", () => ofA.got.length === 1);
    all(10_000);
    expect([ofA.links.length, ofD.links.length]).toEqual([1, 1]);
    expect([...ofA.counts, ...ofB.counts, ...ofD.counts]).toEqual([]);
  });

  test("C-8 an end that closes tells the other; what still comes of it opens nothing", async () => {
    const { ofA, ofB, ofD, all } = network();
    const seen: JsonObject[] = [];
    ofB.tamper = (_to, kind, body) => {
      if (kind === "relayed") seen.push(body);
      return body;
    };
    all(relayLimits.patienceMs);
    say(ofA.links[0]!, "word");
    ofA.links[0]!.close(4_000, "");
    await until("the other end knows", () => ofD.ended.length === 1);
    expect(ofD.got).toEqual(["word"]);
    // The relay says again what it has recorded.
    for (const body of seen) ofD.wires.take(b, "relayed", body);
    all(1_100);
    expect(ofD.links).toHaveLength(1);
    // After a pause another way is taken, under another session.
    all(5_000);
    expect(ofA.links).toHaveLength(2);
    say(ofA.links[1]!, "again");
    await until("it came", () => ofD.got.includes("again"));
  });

  test("C-8 a relay that changes, moves or makes up what it passes on is found out and left out", async () => {
    for (const lie of [
      (body: JsonObject) => ({ ...body, sealed: flipped(String(body["sealed"])) }),
      (body: JsonObject) => ({ ...body, session: "f".repeat(32) }),
      (body: JsonObject) => ({ ...body, from: c }),
    ]) {
      const { ofA, ofB, ofD, all } = network();
      all(relayLimits.patienceMs);
      say(ofA.links[0]!, "first");
      await until("the first came", () => ofD.got.length === 1);
      ofB.tamper = (_to, kind, body) => (kind === "relayed" ? lie(body) : body);
      say(ofA.links[0]!, "second");
      await until("it was found out", () => ofD.counts.includes("box_forged"));
      expect(ofD.got).toEqual(["first"]);
      expect(ofD.links).toHaveLength(1);
      // The end that hears nothing drops the wire, and goes through the other relay.
      ofA.links[0]!.drop();
      all(5_000);
      expect(ofA.links[1]).toMatchObject({ node: d, relay: c });
    }
  });

  test("C-8 a relay that seals something itself opens a wire on which nothing is signed by who it names", async () => {
    const { ofD } = network();
    const session = "e".repeat(32);
    const way = { mesh, sender: a, recipient: d, relay: b, session };
    const box = await sealBox(boxOf(d).publicKey, way, Buffer.from("I am a"));
    const sealed = Buffer.from(box).toString("base64");
    ofD.wires.take(b, "relayed", { from: a, session, sealed });
    await until("it came", () => ofD.got.length === 1);
    // The wire says whose key must have signed: that of a, which the relay has not.
    expect(ofD.links[0]!.key).toBe(members[0]!.key!);
  });

  test("C-8 wires end with their relay's link, and with who is no member any more", async () => {
    const { ofA, ofD, all, link } = network();
    all(relayLimits.patienceMs);
    say(ofA.links[0]!, "word");
    await until("it came", () => ofD.got.length === 1);
    link(a, b, false, 1_500);
    all(1_500);
    expect(ofA.ended).toHaveLength(1);
    all(5_000);
    expect(ofA.links[1]).toMatchObject({ relay: c });
    ofA.wires.retain(new Set([b, c]));
    expect(ofA.ended).toHaveLength(2);
  });
});

function flipped(base64: string): string {
  const bytes = Buffer.from(base64, "base64");
  bytes[bytes.length - 1]! ^= 1;
  return bytes.toString("base64");
}
