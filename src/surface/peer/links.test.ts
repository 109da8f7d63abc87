import { afterEach, describe, expect, test } from "bun:test";
import { rotateIdentity } from "#src/node/rotate-identity.ts";
import { introduce, isLinked, LinkNodes, quick, until, type LinkNode } from "./links.fixture.ts";
import { saidFarewell } from "./link-reasons.ts";
import { linkTuning } from "./link-tuning.ts";

let nodes = new LinkNodes();
afterEach(async () => {
  await nodes.close();
  nodes = new LinkNodes();
});

/** Two nodes by ascending id, linked. */
async function pair(): Promise<[LinkNode, LinkNode]> {
  const [a, b] = (await nodes.several(2)) as [LinkNode, LinkNode];
  await a.open();
  await b.open();
  introduce(a, b);
  await until("the two are linked", () => isLinked(a, b));
  return [a, b];
}

const sorted = (numbers: readonly unknown[]) =>
  numbers.map(Number).toSorted((one, other) => one - other);

const range = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, index) => from + index);

describe("C-2 links carry signed messages between members", () => {
  test("C-1 three nodes link by themselves, and messages go all ways in order", async () => {
    const three = await nodes.several(3);
    for (const node of three) await node.open();
    introduce(...three);
    const pairs = three.flatMap((a) => three.filter((b) => b !== a).map((b) => [a, b] as const));
    await until("all are linked", () => pairs.every(([a, b]) => isLinked(a, b)));
    for (let number = 0; number < 200; number++)
      for (const [a, b] of pairs) expect(a.links!.send(b.id, "note", { number })).toBe(true);
    await until("all came", () => pairs.every(([a, b]) => a.numbersFrom(b).length === 200));
    for (const [a, b] of pairs) expect(a.numbersFrom(b)).toEqual(range(0, 200));
    for (const { bugs, links, reached } of three) {
      expect(bugs).toEqual([]);
      expect(links!.refusals()).toEqual({});
      expect(reached.filter((each) => each.startsWith("-"))).toEqual([]);
    }
  });

  test("C-8 one of two that dial each other suffices, whichever it is", async () => {
    for (const hidden of [0, 1]) {
      const both = await nodes.several(2);
      for (const node of both) await node.open();
      const [a, b] = both as [LinkNode, LinkNode];
      both[hidden]!.places = [];
      introduce(a, b);
      await until("the two are linked", () => isLinked(a, b));
      a.links!.send(b.id, "note", { number: 1 });
      b.links!.send(a.id, "note", { number: 2 });
      await until("both came", () => a.heard.length === 1 && b.heard.length === 1);
      expect([a.numbersFrom(b), b.numbersFrom(a)]).toEqual([[2], [1]]);
    }
  });

  test("C-8 of two connections one remains, and nothing is lost over the other", async () => {
    const [a, b] = (await nodes.several(2)) as [LinkNode, LinkNode];
    const [toA, toB] = [await nodes.proxy(a), await nodes.proxy(b)];
    [a.places, b.places] = [[toA.place], [toB.place]];
    for (const node of [a, b]) await node.open(1, { tuning: { graceMs: 0, lingerMs: 200 } });
    introduce(a, b);
    let sent = 0;
    const [ofA, ofB]: [number[], number[]] = [[], []];
    await until("one of two is closed", () => {
      const number = sent++;
      if (a.links!.send(b.id, "note", { number })) ofA.push(number);
      if (b.links!.send(a.id, "note", { number })) ofB.push(number);
      return sent > 100 && toA.openCount + toB.openCount === 1;
    });
    await until("all came", () => a.heard.length === ofB.length && b.heard.length === ofA.length);
    expect(sorted(a.numbersFrom(b))).toEqual(ofB);
    expect(sorted(b.numbersFrom(a))).toEqual(ofA);
    for (const node of [a, b]) expect(node.reached).toHaveLength(1);
    // Both agree on the one that the smaller id dialled.
    expect([toA.openCount, toB.openCount]).toEqual([0, 1]);
    for (const way of [toA, toB]) expect(way.madeCount).toBeGreaterThan(1);
  });

  test("C-8 addresses are tried in order, and the one that led to it first the next time", async () => {
    const [a, b] = (await nodes.several(2)) as [LinkNode, LinkNode];
    const way = await nodes.proxy(b);
    b.places = ["127.0.0.1:1", way.place];
    a.places = [];
    await a.open();
    await b.open();
    introduce(a, b);
    await until("the two are linked", () => isLinked(a, b));
    expect(a.view(b)).toMatchObject({ place: way.place, path: "direct", failureCount: 0 });
    expect(b.view(a)).toMatchObject({ place: null, path: "direct" });
    way.cut();
    await until("the link was lost", () => a.reached.includes(`-${b.id}`));
    await until("the two are linked again", () => isLinked(a, b));
    expect(a.view(b)!.place).toBe(way.place);
  });

  test("C-7 a link knows its round trip, the other clock, loss and what it carries", async () => {
    const [a, b] = await pair();
    const measured = (x: LinkNode, y: LinkNode) => x.view(y)!.bytesPerSecond !== null;
    await until("both have measured", () => measured(a, b) && measured(b, a));
    for (const view of [a.view(b)!, b.view(a)!]) {
      expect(view.roundTripUs).toBeGreaterThan(0);
      expect(view.roundTripUs).toBeLessThan(1_000_000);
      expect(Math.abs(view.clockSkewMs!)).toBeLessThan(1_000);
      expect(view.bytesPerSecond).toBeGreaterThan(10_000);
      expect(view.lossPerMillion).toBe(0);
      expect(view.silentMs).toBeLessThan(5_000);
      expect(view.sentBytes).toBeGreaterThan(linkTuning.probeBytes[0]);
      expect(view.receivedBytes).toBeGreaterThan(linkTuning.probeBytes[0]);
      expect(view).toMatchObject({ reason: null, nextDialMs: null, epoch: 1, relay: null });
    }
  });

  test("C-2 a message too large for one document goes in parts, and small ones pass between them", async () => {
    const [a, b] = await pair();
    const text = "snapshot ".repeat(1_000_000);
    expect(a.links!.send(b.id, "log", { text })).toBe(true);
    // One at a time: the rest is dropped, and whoever needs it says it again.
    expect(a.links!.send(b.id, "log", { text })).toBe(false);
    expect(a.links!.send(b.id, "note", { number: 1 })).toBe(true);
    await until("both came", () => b.heard.length === 2);
    expect(b.heard.map(({ kind }) => kind)).toEqual(["note", "log"]);
    expect(b.heard[1]!.body["text"] === text).toBe(true);
    expect(a.links!.send(b.id, "log", { text: "x".repeat(33 * 1024 * 1024) })).toBe(false);
    expect(a.links!.refusals()).toEqual({ peer_busy: 1, message_too_large: 1 });
    expect(b.links!.refusals()).toEqual({});
    expect(a.reached).toEqual([`+${b.id}`]);
  });

  test("C-2 what waits on a line that takes nothing is bounded; what is beyond it is dropped", async () => {
    const [a, b] = (await nodes.several(2)) as [LinkNode, LinkNode];
    const way = await nodes.proxy(b);
    [a.places, b.places] = [[], [way.place]];
    const tuning = { silentMs: 60_000, pingPatienceMs: 60_000 };
    for (const node of [a, b]) await node.open(1, { tuning });
    introduce(a, b);
    await until("the two are linked", () => isLinked(a, b));
    way.pause();
    const text = "x".repeat(100_000);
    // The one end is a client's socket, the other one a server's.
    for (const [from, to] of [
      [a, b],
      [b, a],
    ] as const) {
      let taken = 0;
      await until("the queue is full", () => {
        const isTaken = from.links!.send(to.id, "note", { text });
        if (isTaken) taken++;
        return !isTaken;
      });
      expect(from.links!.refusals()["peer_busy"]).toBeGreaterThan(0);
      // What the system itself takes in comes on top of the queue.
      expect(taken * text.length).toBeLessThan(linkTuning.queueBytes + 32 * 1024 * 1024);
    }
    // Pings wait as all else does, and the line is not given up by that.
    expect([a.reached, b.reached]).toEqual([[`+${b.id}`], [`+${a.id}`]]);
  });
});

describe("C-6 what ends is known at once", () => {
  test("C-6 a node that stops says so, and comes back in its next epoch", async () => {
    const [a, b] = (await nodes.several(2)) as [LinkNode, LinkNode];
    const said: (string | undefined)[] = [];
    const reached = (node: string, isReached: boolean) => {
      a.reached.push(`${isReached ? "+" : "-"}${node}`);
      // A dial that fails says something else right after.
      if (!isReached) said.push(a.view(b)!.reason?.message);
    };
    await a.open(1, { handlers: { reached } });
    await b.open();
    introduce(a, b);
    await until("the two are linked", () => isLinked(a, b));
    await b.stop();
    await until("the farewell came", () => a.view(b)!.state === "unreachable", 1_000);
    expect(said).toEqual([saidFarewell.message]);
    expect(a.links!.send(b.id, "note", {})).toBe(false);
    await b.open(2);
    introduce(a, b);
    await until("the two are linked again", () => isLinked(a, b));
    expect(a.view(b)!.epoch).toBe(2);
    expect(a.reached).toEqual([`+${b.id}`, `-${b.id}`, `+${b.id}`]);
    b.links!.send(a.id, "note", { number: 7 });
    await until("it came", () => a.heard.length === 1);
    expect(a.heard[0]).toMatchObject({ from: b.id, epoch: 2, kind: "note" });
  });

  test("C-2 a node that restarts lets nothing in that it had seen, and everything that is new", async () => {
    const [a, b] = await pair();
    for (const number of range(0, 50)) a.links!.send(b.id, "note", { number });
    await until("all came", () => b.heard.length === 50);
    for (const epoch of [2, 3]) {
      await b.stop();
      await b.open(epoch);
      introduce(a, b);
      await until("the two are linked again", () => isLinked(a, b));
      a.links!.send(b.id, "note", { number: 100 + epoch });
      await until("the new one came", () => b.numbersFrom(a).includes(100 + epoch));
    }
    expect(b.links!.refusals()).toEqual({});
  });

  test("C-8 a line that swallows everything is dropped by both ends, and dialled anew", async () => {
    const [a, b] = (await nodes.several(2)) as [LinkNode, LinkNode];
    const way = await nodes.proxy(b);
    [a.places, b.places] = [[], [way.place]];
    for (const node of [a, b]) await node.open();
    introduce(a, b);
    await until("the two are linked", () => isLinked(a, b));
    way.isSwallowing = true;
    const startedMs = performance.now();
    await until("both know", () => !isLinked(a, b) && a.reached.length + b.reached.length === 4);
    // Nobody sent anything but pings: the one that goes unanswered tells.
    expect(performance.now() - startedMs).toBeLessThan(5_000);
    expect(a.view(b)!.reason!.code).toBe("peer_silent");
    way.isSwallowing = false;
    way.cut();
    await until("the two are linked again", () => isLinked(a, b));
  });

  test("C-8 with its real times a half-open line is dropped within fifteen seconds, a used one within three", () => {
    const { pingMs, silentMs, lookMs } = linkTuning;
    expect(pingMs + silentMs + 2 * lookMs).toBeLessThan(15_000);
    expect(silentMs).toBeLessThanOrEqual(3_000);
    // Whoever has nothing to say acknowledges well before that.
    expect(linkTuning.acknowledgeMs * 2).toBeLessThan(silentMs);
  });

  test("C-8 a process that was kept busy does not take the others for dead", async () => {
    const [a, b] = await pair();
    Bun.sleepSync(2 * quick.silentMs!);
    const answered = () => a.view(b)!.silentMs! < 500 && b.view(a)!.silentMs! < 500;
    await until("pings are answered again", answered);
    expect([a.reached, b.reached]).toEqual([[`+${b.id}`], [`+${a.id}`]]);
    expect(a.view(b)!.lossPerMillion).toBe(0);
  });

  test("I-6 a node that rotates its key while it is linked meets anew with the next one", async () => {
    const [a, b] = await pair();
    const before = a.services.receipts.opened().author.key.publicKey;
    const { key } = await rotateIdentity(a.services, 60_000);
    await a.services.receipts.open();
    expect(key.publicKey).not.toBe(before);
    await until("they met again", () => b.reached.length === 3 && isLinked(a, b));
    a.links!.send(b.id, "note", { number: 1 });
    await until("what the next key signs is taken", () => b.heard.length === 1);
  });

  test("C-2 a stream in one direction alone is heard to arrive", async () => {
    const [a, b] = (await nodes.several(2)) as [LinkNode, LinkNode];
    const tuning = { pingMs: 60_000, probeDelayMs: 60_000, silentMs: 600, acknowledgeMs: 150 };
    for (const node of [a, b]) await node.open(1, { tuning });
    introduce(a, b);
    await until("the two are linked", () => isLinked(a, b));
    const endMs = performance.now() + 1_500;
    await until("it was sent for a while", () => {
      a.links!.send(b.id, "note", {});
      return performance.now() > endMs;
    });
    expect(a.reached).toEqual([`+${b.id}`]);
  });

  test("C-6 who is no member any more is told, and is let in again when it is one", async () => {
    const [a, b] = await pair();
    const [c] = (await nodes.several(1)) as [LinkNode];
    a.links!.setMembers([c.member({ places: [] })]);
    expect(a.reached).toEqual([`+${b.id}`, `-${b.id}`]);
    await until("b is told", () => b.view(a)!.state === "refused");
    expect(b.view(a)!.reason!.code).toBe("member_unknown");
    await until("b tried again", () => (a.links!.refusals()["member_unknown"] ?? 0) > 1);
    expect(a.links!.send(b.id, "note", {})).toBe(false);
    introduce(a, b);
    await until("the two are linked again", () => isLinked(a, b));
  });

  test("C-8 a member without an address that has not come is unreachable, and says why", async () => {
    const [a, b] = (await nodes.several(2)) as [LinkNode, LinkNode];
    await a.open();
    a.links!.setMembers([b.member({ places: [] })]);
    const { reason, ...view } = a.view(b)!;
    expect(view).toMatchObject({ state: "unreachable", nextDialMs: null });
    expect(reason!.hint).toContain("--peer-host");
  });
});
