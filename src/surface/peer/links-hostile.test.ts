import { afterEach, describe, expect, test } from "bun:test";
import { cpSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { dirname, join } from "node:path";
import { rotateIdentity } from "#src/node/rotate-identity.ts";
import type { JsonObject } from "#src/peer/signed-document.ts";
import { sealMessage } from "#src/peer/message.ts";
import { dialPeer } from "./dial.ts";
import { peerLimits } from "./limits.ts";
import { introduce, isLinked, LinkNodes, mesh, until, type LinkNode } from "./links.fixture.ts";

let nodes = new LinkNodes();
afterEach(async () => {
  await nodes.close();
  nodes = new LinkNodes();
});

const instances = ["1".repeat(32), "2".repeat(32)] as const;

/** A process that has a node's keys and says what it likes. */
class Liar {
  readonly got: JsonObject[] = [];
  hasEnded = false;

  private constructor(
    readonly as: LinkNode,
    readonly to: LinkNode,
    private readonly connection: Awaited<ReturnType<typeof dialPeer>>["connection"],
  ) {
    connection.handOver({
      take: (bytes) => void this.got.push(JSON.parse(Buffer.from(bytes).toString())),
      ended: () => void (this.hasEnded = true),
    });
  }

  static async dial(as: LinkNode, to: LinkNode): Promise<Liar> {
    const [host, port] = to.door!.address.split(":");
    const place = { host: host!, port: Number(port) };
    const request = { place, certificate: to.tls.fingerprint, again: null };
    const { connection } = await dialPeer(as.services, request);
    return new Liar(as, to, connection);
  }

  seal(kind: string, body: JsonObject, more: Partial<Parameters<typeof sealMessage>[1]> = {}) {
    const { author } = this.as.services.receipts.opened();
    return sealMessage(author, {
      ...{ mesh, recipient: this.to.id, epoch: 1, counter: 1, kind, body },
      ...{ claims: null, grant: null },
      ...more,
    });
  }

  meet(more: JsonObject = {}, epoch = 1): void {
    const body = { version: 1, epoch, instance: instances[0], ceiling: 0, ...more };
    this.send(this.seal("meet", body, { epoch }));
  }

  send(bytes: Uint8Array): void {
    this.connection.trySend(bytes);
  }

  get refusedWith(): unknown {
    return (this.got.find(({ kind }) => kind === "refuse")?.["body"] as JsonObject | undefined)?.[
      "code"
    ];
  }

  close(): void {
    this.connection.close();
  }
}

/** A node with open links that believes the other one to be a member, and does not dial it. */
async function target(): Promise<[LinkNode, LinkNode]> {
  const [a, b] = (await nodes.several(2)) as [LinkNode, LinkNode];
  await b.open();
  b.links!.setMembers([a.member({ places: [] })]);
  return [a, b];
}

async function metLiar(a: LinkNode, b: LinkNode): Promise<Liar> {
  const liar = await Liar.dial(a, b);
  liar.meet();
  await until("it was taken", () => liar.got.some(({ kind }) => kind === "meet"));
  return liar;
}

const refusalsOf = (node: LinkNode) => node.links!.refusals();

describe("C-2 what was recorded or made up is not let in", () => {
  test("C-2 bytes that came before are refused, on that connection, on another, and after a restart", async () => {
    const [a, b] = await target();
    const liar = await metLiar(a, b);
    const recorded = liar.seal("note", { number: 1 }, { counter: 5 });
    liar.send(recorded);
    liar.send(recorded);
    await until("the second was refused", () => refusalsOf(b)["envelope_replayed"] === 1);
    const again = await metLiar(a, b);
    again.send(recorded);
    await until("so was the third", () => refusalsOf(b)["envelope_replayed"] === 2);
    expect(b.numbersFrom(a)).toEqual([1]);
    await b.stop();
    await b.open(2);
    b.links!.setMembers([a.member({ places: [] })]);
    const late = await metLiar(a, b);
    late.send(recorded);
    await until("and the fourth", () => refusalsOf(b)["envelope_replayed"] === 1);
    const { ceiling } = late.got.find(({ kind }) => kind === "meet")!["body"] as {
      ceiling: number;
    };
    expect(ceiling).toBeGreaterThanOrEqual(5);
    late.send(late.seal("note", { number: 2 }, { counter: ceiling + 1 }));
    await until("what is new came", () => b.numbersFrom(a).length === 2);
    for (const each of [liar, again, late]) each.close();
  });

  test("C-2 each kind of false message is counted by its code, and the link goes on", async () => {
    const [a, b] = await target();
    const [c] = (await nodes.several(1)) as [LinkNode];
    const liar = await metLiar(a, b);
    const own = a.services.receipts.opened().author;
    const of = (more: Partial<Parameters<typeof sealMessage>[1]>) =>
      liar.seal("note", { number: 0 }, more);
    const text = Buffer.from(of({ counter: 9 })).toString();
    for (const bytes of [
      Buffer.from("hello"),
      Buffer.alloc(1024, 0xff),
      Buffer.from(text.replace('"number":0', '"number":1')),
      of({ counter: 10, recipient: c.id }),
      of({ counter: 10, mesh: `psm${"b".repeat(32)}` }),
      liar.seal("nonsense", {}, { counter: 11 }),
      liar.seal("meet", { version: 1, epoch: 1, instance: instances[0], ceiling: 0 }),
      liar.seal("pong", { number: "x", wallMs: null }, { counter: 12 }),
      liar.seal("ping", { number: {} }, { counter: 13 }),
    ])
      liar.send(bytes);
    liar.send(of({ counter: 14 }));
    await until("the true one came", () => b.heard.length === 1);
    expect(refusalsOf(b)).toEqual({
      ...{ envelope_malformed: 3, envelope_forged: 1, envelope_misdirected: 1 },
      ...{ mesh_wrong: 1, message_unknown: 1 },
    });
    // Another member's words over this one's connection, and this one's under another's name.
    const borrowed = sealMessage(c.services.receipts.opened().author, {
      ...{ mesh, recipient: b.id, epoch: 1, counter: 20, kind: "note", body: {} },
      ...{ claims: null, grant: null },
    });
    liar.send(borrowed);
    await until("they are refused", () => refusalsOf(b)["envelope_forged"] === 2);
    expect(own.nodeId).toBe(a.id);
    expect([b.heard.length, b.bugs]).toEqual([1, []]);
    expect(liar.hasEnded).toBe(false);
    liar.close();
  });

  test("C-2 who speaks before it has met, or in another version, is told so and sent away", async () => {
    const [a, b] = await target();
    const early = await Liar.dial(a, b);
    early.send(early.seal("note", {}));
    await until("it is sent away", () => early.hasEnded);
    expect(early.refusedWith).toBe("envelope_malformed");
    const other = await Liar.dial(a, b);
    other.meet({ version: 2 });
    await until("it is sent away", () => other.hasEnded);
    expect(other.refusedWith).toBe("peer_version");
    const huge = await Liar.dial(a, b);
    huge.meet({ ceiling: Number.MAX_SAFE_INTEGER });
    await until("it is sent away", () => huge.hasEnded);
    expect(huge.refusedWith).toBe("envelope_malformed");
    expect(b.heard).toEqual([]);
  });

  test("C-2 who sends more than a link takes loses what is beyond it", async () => {
    const [a, b] = (await nodes.several(2)) as [LinkNode, LinkNode];
    await b.open(1, { tuning: { messageRate: { perSecond: 0, burst: 10 } } });
    b.links!.setMembers([a.member({ places: [] })]);
    const liar = await metLiar(a, b);
    for (let counter = 1; counter <= 30; counter++) liar.send(liar.seal("note", {}, { counter }));
    await until("the rest is dropped", () => refusalsOf(b)["peer_busy"] === 21);
    expect(b.heard).toHaveLength(9);
    liar.close();
  });
});

describe("I-1 one node, one process", () => {
  /** Two linked nodes, and the same moment's second process of the smaller one, which dials. */
  async function twice(epochs: readonly [number, number]) {
    const [a, b] = (await nodes.several(2)) as [LinkNode, LinkNode];
    await b.open();
    await a.open(epochs[0], { instance: instances[0] });
    const first = a.links!;
    introduce(a, b);
    await until("the two are linked", () => isLinked(a, b));
    await a.open(epochs[1], { instance: instances[1] });
    const second = a.links!;
    second.setMembers([b.member()]);
    const viewOf = (links: typeof first) => links.views()[0]!;
    const end = () => Promise.all([first.stop(), second.stop()]);
    return { a, b, first, second, viewOf, end };
  }

  test("I-1 a copied home is refused while the first process lives; both see why", async () => {
    const { a, b, first, second, viewOf, end } = await twice([4, 4]);
    await until("the copy is refused", () => viewOf(second).state === "refused");
    const { reason } = viewOf(second);
    expect(reason!.code).toBe("home_copied");
    expect(reason!.message).toContain(instances[0].slice(0, 8));
    expect(reason!.message).toContain(instances[1].slice(0, 8));
    expect(second.send(b.id, "note", {})).toBe(false);
    expect(b.view(a)).toMatchObject({ state: "degraded", reason: { code: "home_copied" } });
    expect(b.reached).toEqual([`+${a.id}`]);
    first.send(b.id, "note", { number: 1 });
    await until("the first still speaks", () => b.heard.length === 1);
    // Once the first has said farewell, the other one is the node.
    await first.stop();
    await until("the second is linked", () => viewOf(second).state === "connected");
    await end();
  });

  test("I-2 a later start takes the place of an earlier one, which is refused from then on", async () => {
    const { a, b, first, second, viewOf, end } = await twice([4, 5]);
    await until(
      "the later one is linked",
      () => b.view(a)?.epoch === 5 && second.send(b.id, "note", {}),
    );
    await until("it is heard", () => b.heard.some(({ epoch }) => epoch === 5));
    await until("the earlier one is refused", () => viewOf(first).state === "refused");
    // It lived on beside the later one: its home was copied.
    expect(viewOf(first).reason!.code).toBe("home_copied");
    expect(first.send(b.id, "note", {})).toBe(false);
    await until("its view says so", () => b.view(a)!.state === "degraded");
    expect(b.view(a)!.reason!.code).toBe("home_copied");
    expect(b.reached).toEqual([`+${a.id}`, `-${a.id}`, `+${a.id}`]);
    await end();
  });

  test("I-2 an epoch that the mesh has seen beyond is refused, and one that stands is ended", async () => {
    const [a, b] = (await nodes.several(2)) as [LinkNode, LinkNode];
    for (const node of [a, b]) await node.open();
    introduce(a, b);
    await until("the two are linked", () => isLinked(a, b));
    b.links!.setMembers([a.member({ epoch: 3 })]);
    await until("the earlier start is refused", () => a.view(b)!.reason?.code === "epoch_stale");
    expect(b.view(a)!.state).not.toBe("connected");
  });

  test("I-1 another process of this very node is told that it is a copy", async () => {
    const [a, b] = await target();
    const copy = await Liar.dial(b, b);
    copy.meet();
    await until("it is sent away", () => copy.hasEnded);
    expect(copy.refusedWith).toBe("home_copied");
    expect(a.id).not.toBe(b.id);
  });
});

describe("C-1 who is not meant is not linked", () => {
  test("C-1 a node that is no member, the wrong certificate, and the wrong node", async () => {
    const [a, b] = (await nodes.several(2)) as [LinkNode, LinkNode];
    const [c] = (await nodes.several(1)) as [LinkNode];
    await a.open();
    await b.open();
    a.links!.setMembers([
      b.member(),
      c.member({ places: b.places, certificate: b.tls.fingerprint }),
    ]);
    await until("b does not know it", () => a.view(b)!.state === "refused");
    expect(a.view(b)!.reason!.code).toBe("member_unknown");
    await until("that is not c", () => a.view(c)!.state === "refused");
    expect(a.view(c)!.reason!.code).toBe("peer_unexpected");
    a.links!.setMembers([b.member({ certificate: "0".repeat(64) })]);
    await until(
      "the certificate is wrong",
      () => a.view(b)!.reason?.code === "certificate_changed",
    );
    // An address of every machine tells nothing of another one's certificate.
    expect(a.view(b)!.reason!.message).toContain("on this machine that is somebody else");
    expect(a.view(b)!.reason!.hint).toContain("--peer-host");
    a.links!.setMembers([b.member({ places: ["127.0.0.1:1"] })]);
    await until("nobody is there", () => a.view(b)!.reason?.code === "peer_port_closed");
    expect(a.view(b)!.state).toBe("unreachable");
    expect([a.reached, b.reached]).toEqual([[], []]);
  });

  test("I-4 claims are shown, and asked for under the policy that requires them", async () => {
    const [a, b] = (await nodes.several(2)) as [LinkNode, LinkNode];
    await a.open(1, { hasClaims: false });
    await b.open();
    introduce(a, b);
    await until("the two are linked", () => isLinked(a, b));
    expect(a.view(b)!.claims).toMatchObject({ result: "verified", proofPosture: "best_effort" });
    expect(a.view(b)!.claims!.identityDigest).toMatch(/^[0-9a-f]{64}$/);
    expect(b.view(a)!.claims).toMatchObject({ result: "unavailable", policy: "best_effort" });
    await b.stop();
    await b.open(2, { policy: "required" });
    introduce(a, b);
    await until("a is refused", () => a.view(b)!.reason?.code === "claims_missing");
    expect(b.view(a)!.claims).toMatchObject({ result: "refused", policy: "required" });
    expect(isLinked(a, b)).toBe(false);
    await a.stop();
    await a.open(2);
    introduce(a, b);
    await until("with claims it is let in", () => isLinked(a, b));
  });

  test("I-4 the claims of another node are refused as detached", async () => {
    const [a, b] = await target();
    const [c] = (await nodes.several(1)) as [LinkNode];
    const liar = await Liar.dial(a, b);
    const claims = {
      ...{ nodeId: c.id, publicKey: c.services.receipts.opened().author.key.publicKey },
      ...{ path: { kind: "direct" }, identityDigest: "0".repeat(64) },
      ...{ manifestDigest: "0".repeat(64), profile: "runtime/1", proofPosture: "best_effort" },
    };
    const body = { version: 1, epoch: 1, instance: instances[0], ceiling: 0 };
    liar.send(liar.seal("meet", body, { claims }));
    await until("it is sent away", () => liar.hasEnded);
    expect(liar.refusedWith).toBe("claims_detached");
  });

  test("C-1 one member takes a bounded share of the door, and strangers none of the members'", async () => {
    const [a, b] = await target();
    const [c] = (await nodes.several(1)) as [LinkNode];
    const { connectionsEach } = peerLimits;
    const liars: Liar[] = [];
    for (let index = 0; index <= connectionsEach; index++) liars.push(await Liar.dial(a, b));
    await until("the oldest gave way", () => liars[0]!.hasEnded);
    expect(liars.filter(({ hasEnded }) => hasEnded)).toHaveLength(1);
    const stranger = await Liar.dial(c, b);
    stranger.send(stranger.seal("note", {}));
    await until("a stranger is sent away", () => stranger.hasEnded);
    expect(stranger.refusedWith).toBe("envelope_malformed");
    const other = await Liar.dial(c, b);
    other.meet();
    await until("so is one that meets", () => other.hasEnded);
    expect(other.refusedWith).toBe("member_unknown");
    for (const each of liars) each.close();
  });

  test("C-1 a thousand hostile connections leave links up", async () => {
    const [a, b] = (await nodes.several(2)) as [LinkNode, LinkNode];
    for (const node of [a, b]) await node.open();
    introduce(a, b);
    await until("the two are linked", () => isLinked(a, b));
    const sockets: Socket[] = [];
    const hello = Buffer.from("16030100ff010000fb0303", "hex");
    const kinds = [Buffer.alloc(0), hello, Buffer.alloc(65_536, 0xff)];
    for (let index = 0; index < 1_000; index++) {
      const socket = connect({ host: "127.0.0.1", port: b.door!.port }).on("error", () => {});
      socket.resume();
      const kind = kinds[index % kinds.length]!;
      if (kind.length > 0) socket.write(kind);
      sockets.push(socket);
      if (index % 100 === 0) a.links!.send(b.id, "note", { number: index });
    }
    await until("all are connected", () => sockets.every(({ connecting }) => !connecting));
    await until("all messages came", () => b.numbersFrom(a).length === 10);
    expect([a.reached, b.reached]).toEqual([[`+${b.id}`], [`+${a.id}`]]);
    for (const socket of sockets) socket.destroy();
    b.links!.send(a.id, "note", { number: 1 });
    await until("the other way too", () => a.heard.length === 1);
  }, 60_000);
});

describe("I-6 a key that was rotated away", () => {
  /** What a thief took of a home before its key was rotated. */
  async function stolen(from: LinkNode): Promise<LinkNode> {
    const { root } = from.services.home;
    cpSync(join(root, "identity"), join(dirname(root), "thief", "identity"), { recursive: true });
    return nodes.make("thief");
  }

  test("I-6 speaks for its node no more, in whatever epoch it comes", async () => {
    const [a, b] = (await nodes.several(2)) as [LinkNode, LinkNode];
    const thief = await stolen(a);
    await rotateIdentity(a.services, 0);
    for (const node of [a, b]) await node.open();
    introduce(a, b);
    await until("the two are linked", () => isLinked(a, b));
    expect(thief.id).toBe(a.id);
    expect(thief.key).not.toBe(a.key);
    await thief.open(9);
    thief.links!.setMembers([b.member()]);
    await until("the thief is refused", () => thief.view(b)!.state === "refused");
    expect(thief.view(b)!.reason!.code).toBe("key_retired");
    expect(isLinked(a, b)).toBe(true);
    await a.stop();
    const { failureCount } = thief.view(b)!;
    await until("it tried again", () => thief.view(b)!.failureCount > failureCount);
    thief.links!.send(b.id, "note", { number: 1 });
    expect(b.heard).toEqual([]);
    expect(b.reached).toEqual([`+${a.id}`, `-${a.id}`]);
  });

  test("I-6 is dropped once the mesh knows the next one, and takes no member's place at the door", async () => {
    const [a, b] = (await nodes.several(2)) as [LinkNode, LinkNode];
    const thief = await stolen(a);
    await thief.open(2);
    await b.open();
    thief.links!.setMembers([b.member()]);
    b.links!.setMembers([a.member({ places: [] })]);
    await until("nobody knows better yet", () => b.view(a)!.state === "connected");
    const { key: first } = a;
    await rotateIdentity(a.services, 0);
    await a.services.receipts.open();
    b.links!.setMembers([a.member({ places: [] })]);
    await until("the thief is out", () => b.view(a)!.state !== "connected");
    await until("the thief is refused", () => thief.view(b)!.reason?.code === "key_retired");
    expect(b.links!.isMember(a.id, [first])).toBe(false);
    expect(b.links!.isMember(a.id, [first, a.key])).toBe(true);
  });
});
