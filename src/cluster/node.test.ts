import { describe, expect, test } from "bun:test";
import type { Command } from "./event.ts";
import { senderMaximum } from "./coordinator.ts";
import { queueMaximum } from "./lanes.ts";
import { founding, readiness } from "./mesh.fixture.ts";
import type { NodeMessage } from "./node-message.ts";
import { Bus } from "./node.fixture.ts";
import { authorityDigest } from "./state.ts";
import { readAllowance, writeAllowance } from "./sender-allowance.ts";

const labelled = (node: string, value: string): Command => ({
  ...{ kind: "node-labelled", node, label: "rack", value },
});
const rackOf = (bus: Bus, at: string, node: string) =>
  bus.of(at).node.mesh.members.find((each) => each.node === node)?.labels[0]?.value;

const three = () => {
  const bus = new Bus(["a", "b", "c"]);
  bus.led();
  bus.found(["b", "c"]);
  return bus;
};

const followerOf = (bus: Bus) => ["a", "b", "c"].find((id) => id !== bus.led().id)!;

describe("C-4 one node", () => {
  test("C-4 a single node commits at once, and its own command is answered with its place", () => {
    const bus = new Bus(["a"]);
    bus.led();
    expect(bus.ask("a", "owner", founding)).toMatchObject({ kind: "done", term: 1 });
    const again = bus.ask("a", "owner", founding);
    expect(again).toMatchObject({ kind: "denied", code: "mesh_wrong" });
    expect((again as { readonly index: number }).index).toBeGreaterThan(0);
    expect(bus.of("a").node.mesh.members.map(({ standing }) => standing)).toEqual(["ready"]);
  });

  test("C-3 every applied entry is told once, with its event and what it did", () => {
    const bus = new Bus(["a"]);
    bus.led();
    bus.ask("a", "owner", founding);
    bus.ask("a", "owner", founding);
    const applied = bus.of("a").effects.filter(({ kind }) => kind === "applied");
    expect(applied).toMatchObject([
      { entry: { kind: "empty" }, event: null },
      { entry: { kind: "event" }, event: null },
      { event: { command: { kind: "mesh-founded" }, term: 1 }, outcome: { done: true } },
      { event: { command: { kind: "mesh-founded" } }, outcome: { refused: "mesh_wrong" } },
    ]);
    expect(bus.of("a").effects.filter(({ kind }) => kind === "led")).toEqual([
      { kind: "led", term: 1, leader: "" },
      { kind: "led", term: 1, leader: "a" },
    ]);
  });
});

describe("C-3 commands go to whoever leads", () => {
  test("C-3 a follower's command is done by the leader, with the leader's time and term", () => {
    const bus = three();
    const from = followerOf(bus);
    const done = bus.ask(from, "self", labelled(from, "1"));
    expect(done).toMatchObject({ kind: "done", term: bus.leader!.node.replica.core.term });
    bus.tick(3);
    for (const at of ["a", "b", "c"]) expect(rackOf(bus, at, from)).toBe("1");
    const submits = bus.carried.filter(({ message }) => message.kind === "submit");
    expect(submits.every(({ to }) => to === bus.leader!.id)).toBe(true);
  });

  test("C-3 sync waits until this node holds what was acknowledged elsewhere", () => {
    const bus = three();
    const from = followerOf(bus);
    const leader = bus.leader!.id;
    // The follower hears of nothing new for a while.
    bus.isLost = ({ to, message }) =>
      to === from && message.kind === "log" && message.message.kind === "append";
    const done = bus.ask(leader, "self", labelled(leader, "7"));
    bus.of(from).step({ kind: "sync", request: 900, patienceTicks: 100 });
    bus.settle();
    bus.tick(2);
    expect(bus.of(from).outcome(900)).toBeUndefined();
    expect(rackOf(bus, from, leader)).toBeUndefined();
    bus.isLost = () => false;
    const synced = bus.end(from, 900) as { readonly kind: string; readonly index: number };
    expect(synced.kind).toBe("synced");
    expect(synced.index).toBeGreaterThanOrEqual((done as typeof synced).index);
    expect(rackOf(bus, from, leader)).toBe("7");
    bus.of(leader).step({ kind: "sync", request: 901, patienceTicks: 100 });
    bus.settle();
    expect(bus.end(leader, 901)).toMatchObject({ kind: "synced" });
  });

  test("C-3 a command in another's name is refused and stands nowhere", () => {
    const bus = three();
    const from = followerOf(bus);
    const leader = bus.leader!.id;
    const before = bus.leader!.node.replica.core.lastIndex;
    for (const [node, author] of [
      [from, leader],
      [leader, from],
    ] as const)
      expect(bus.ask(node, "self", labelled(author, "x"), 100, author)).toMatchObject({
        ...{ kind: "denied", code: "scope_lacking", index: 0 },
      });
    expect(rackOf(bus, leader, leader)).toBeUndefined();
    // Sessions may have been opened; no event was written.
    const entries = bus.leader!.node.replica.core.history.from(before + 1, 10);
    expect(entries.every((entry) => entry.kind === "event" && entry.payload.includes("open"))).toBe(
      true,
    );
  });

  test("C-2 what a node says in the log in another's name is not heard", () => {
    const bus = three();
    const { core } = bus.leader!.node.replica;
    const message = { from: followerOf(bus), to: bus.leader!.id, term: core.term + 5 };
    const reply = { ...message, kind: "vote-reply", granted: false } as const;
    bus.leader!.step({ kind: "heard", from: "x", message: { kind: "log", message: reply } });
    const elsewhere = { ...reply, to: "x" };
    bus.leader!.step({
      ...{ kind: "heard", from: reply.from, message: { kind: "log", message: elsewhere } },
    });
    expect(core.role).toBe("leader");
    bus.leader!.step({ kind: "heard", from: reply.from, message: { kind: "log", message: reply } });
    expect(core.role).toBe("follower");
  });

  test("C-3 only who was asked is believed about what became of a command", () => {
    const bus = three();
    const from = followerOf(bus);
    bus.isLost = ({ message }) => message.kind === "submit";
    const request = bus.begin(from, "self", labelled(from, "1"));
    const { message } = bus.carried.findLast((each) => each.message.kind === "submit")!;
    const ticket = (message as { readonly ticket: number }).ticket;
    const result = JSON.stringify({ done: true, term: 1, author: from });
    const outcome = { kind: "done" as const, index: 3, result };
    const liar = ["a", "b", "c"].find((id) => id !== from && id !== bus.leader!.id)!;
    bus.of(from).step({
      ...{ kind: "heard", from: liar, message: { kind: "outcome", ticket, outcome } },
    });
    expect(bus.of(from).outcome(request)).toBeUndefined();
    bus.isLost = () => false;
    expect(bus.end(from, request)).toMatchObject({ kind: "done" });
    expect(bus.applied(from, "node-labelled").length).toBe(1);
  });
});

test("C-4 who does not lead gives no orders, with whatever fence", () => {
  const bus = three();
  const from = followerOf(bus);
  const { mesh, replica } = bus.leader!.node;
  const fence = { term: replica.core.term, index: 2 ** 50, authority: authorityDigest(mesh) };
  const order = { kind: "order-given", order: "o", node: from, what: "x", fence } as const;
  expect(bus.ask(from, "coordinator", order)).toMatchObject({ code: "scope_lacking", index: 0 });
  expect(bus.leader!.node.mesh.fence).toBeNull();
});

describe("C-3 what one member may write", () => {
  /** Says to the leader what no program says that waits for answers. */
  function flood(bus: Bus, from: string, message: (ticket: number) => NodeMessage, count: number) {
    for (let ticket = 1; ticket <= count; ticket++) {
      bus.leader!.step({ kind: "heard", from, message: message(ticket) });
      bus.settle();
    }
  }

  test("C-3 a member that floods the log is told to wait, and the others are not held up", () => {
    const bus = three();
    const [from, other] = ["a", "b", "c"].filter((id) => id !== bus.leader!.id) as [string, string];
    const { core } = bus.leader!.node.replica;
    const before = core.lastIndex;
    const open = (ticket: number): NodeMessage => ({
      ...({ kind: "submit", ticket, session: null, request: null } as const),
    });
    flood(bus, from, open, 3 * writeAllowance.burst);
    expect(core.lastIndex - before).toBeLessThanOrEqual(writeAllowance.burst);
    const isBusy = ({ to, message }: Bus["carried"][number]) =>
      to === from &&
      message.kind === "outcome" &&
      message.outcome.kind === "refused" &&
      message.outcome.reason === "busy";
    expect(bus.carried.some(isBusy)).toBe(true);
    expect(bus.ask(other, "self", labelled(other, "1"))).toMatchObject({ kind: "done" });
    expect(bus.ask(from, "self", labelled(from, "1"))).toMatchObject({ kind: "done" });
    bus.tick(10);
    const earlier = core.lastIndex;
    flood(bus, from, open, 200);
    expect(core.lastIndex - earlier).toBeLessThanOrEqual(12 * writeAllowance.perTick);
  });

  test("C-3 one that only asks does not keep the leader asking all others", () => {
    const bus = three();
    const from = followerOf(bus);
    bus.carried.length = 0;
    const { burst } = readAllowance;
    flood(bus, from, (ticket) => ({ kind: "read", ticket }), 4 * burst);
    const beats = bus.carried.filter(({ message }) => message.kind === "log");
    expect(beats.length).toBeLessThanOrEqual(4 * burst + 16);
    expect(bus.ask(from, "self", labelled(from, "2"))).toMatchObject({ kind: "done" });
  });
});

describe("C-3 exactly once", () => {
  test("C-3 a command whose reply is lost is repeated under its number and applied once", () => {
    const bus = three();
    const from = followerOf(bus);
    bus.ask(from, "self", labelled(from, "0"));
    let lostCount = 0;
    bus.isLost = ({ to, message }) => to === from && message.kind === "outcome" && ++lostCount <= 2;
    expect(bus.ask(from, "self", labelled(from, "1"))).toMatchObject({ kind: "done" });
    expect(lostCount).toBe(3);
    expect(bus.applied(from, "node-labelled").length).toBe(2);
    expect(rackOf(bus, from, from)).toBe("1");
  });

  test("C-3 a command whose leader is lost after writing it is done once by the next", () => {
    const bus = three();
    const from = followerOf(bus);
    const old = bus.leader!.id;
    bus.ask(from, "self", labelled(from, "0"));
    bus.isLost = ({ from: sender, message }) => sender === old && message.kind === "outcome";
    const request = bus.begin(from, "self", labelled(from, "1"));
    bus.tick(1);
    bus.still.add(old);
    expect(bus.end(from, request)).toMatchObject({ kind: "done" });
    expect(bus.leader!.id).not.toBe(old);
    expect(bus.applied(from, "node-labelled").length).toBe(2);
    bus.still.delete(old);
    bus.tick(30);
    for (const at of ["a", "b", "c"]) expect(rackOf(bus, at, from)).toBe("1");
    expect(bus.applied(old, "node-labelled").length).toBe(2);
  });

  test("C-3 a leader that loses its office repeats its own command to the next", () => {
    const bus = three();
    const old = bus.leader!.id;
    bus.ask(old, "self", labelled(old, "0"));
    bus.isLost = ({ from, to }) => from === old || to === old;
    const request = bus.begin(old, "self", labelled(old, "1"), 300);
    bus.until("another leads", () => bus.leader!.id !== old);
    expect(bus.of(old).outcome(request)).toBeUndefined();
    bus.isLost = () => false;
    expect(bus.end(old, request, 300)).toMatchObject({ kind: "done" });
    expect(bus.applied(old, "node-labelled").length).toBe(2);
  });

  test("C-3 nobody leads: nothing is written, and the answer says so", () => {
    const bus = three();
    const from = followerOf(bus);
    bus.isLost = () => true;
    bus.tick(60);
    const request = bus.begin(from, "self", labelled(from, "1"), 30);
    bus.of(from).step({ kind: "sync", request: 900, patienceTicks: 30 });
    bus.tick(29);
    expect(bus.of(from).outcome(request)).toBeUndefined();
    expect(bus.end(from, request)).toEqual({ kind: "leaderless" });
    expect(bus.end(from, 900)).toEqual({ kind: "leaderless" });
    bus.isLost = () => false;
    bus.led();
    bus.tick(50);
    expect(rackOf(bus, from, from)).toBeUndefined();
  });

  test("C-3 a command that found no way was not written, and the answer says so", () => {
    const bus = three();
    const from = followerOf(bus);
    bus.ask(from, "self", labelled(from, "0"));
    bus.isUnreachable = () => true;
    expect(bus.ask(from, "self", labelled(from, "1"), 5)).toEqual({ kind: "leaderless" });
    bus.isUnreachable = () => false;
    expect(bus.ask(from, "self", labelled(from, "2"))).toMatchObject({ kind: "done" });
    expect(bus.applied(from, "node-labelled").length).toBe(2);
  });

  test("C-3 a command that was sent and never answered is uncertain, and the next is its own", () => {
    const bus = three();
    const from = followerOf(bus);
    bus.ask(from, "self", labelled(from, "0"));
    bus.isLost = ({ message }) => message.kind === "outcome";
    const request = bus.begin(from, "self", labelled(from, "1"), 30);
    expect(bus.end(from, request)).toEqual({ kind: "uncertain" });
    bus.isLost = () => false;
    expect(bus.ask(from, "self", labelled(from, "2"))).toMatchObject({ kind: "done" });
    expect(rackOf(bus, from, from)).toBe("2");
    expect(bus.applied(from, "node-labelled").length).toBe(3);
  });

  test("C-3 a session that was forgotten is opened anew where nothing was applied, else uncertain", () => {
    const bus = three();
    const from = followerOf(bus);
    const other = bus.leader!;
    const forget = () => {
      for (let count = 1; count <= 70; count++) {
        const input = { kind: "submit", request: 5000 + count, payload: { kind: "open" } } as const;
        other.step({ kind: "direct", input });
        bus.settle();
      }
      bus.tick(3);
    };
    bus.ask(from, "self", labelled(from, "0"));
    forget();
    expect(bus.ask(from, "self", labelled(from, "1"))).toMatchObject({ kind: "done" });
    expect(rackOf(bus, from, from)).toBe("1");
    bus.isLost = ({ message }) => message.kind === "outcome";
    const request = bus.begin(from, "self", labelled(from, "2"), 100);
    forget();
    bus.isLost = () => false;
    expect(bus.end(from, request)).toEqual({ kind: "uncertain" });
    expect(bus.applied(from, "node-labelled").length).toBe(3);
  });

  test("C-3 what another puts into a node's session is not taken for the node's own", () => {
    const bus = three();
    const from = followerOf(bus);
    const liar = ["a", "b", "c"].find((id) => id !== from && id !== bus.leader!.id)!;
    bus.ask(from, "self", labelled(from, "0"));
    const { message } = bus.carried.findLast((each) => each.message.kind === "submit")!;
    const { id, number } = (message as NodeMessage & { readonly kind: "submit" }).session!;
    const request = { author: liar, scope: "self", policy: null } as const;
    bus.leader!.step({
      ...{ kind: "heard", from: liar },
      message: {
        ...{ kind: "submit", ticket: 1, session: { id, number: number + 1 } },
        request: { ...request, command: labelled(liar, "mine") },
      },
    });
    bus.tick(2);
    expect(bus.ask(from, "self", labelled(from, "1"))).toMatchObject({ kind: "done" });
    expect(rackOf(bus, from, from)).toBe("1");
    expect(rackOf(bus, from, liar)).toBe("mine");
  });

  test("C-3 a result that is none, as a broken coordinator gives it, says nothing", () => {
    const bus = three();
    const from = followerOf(bus);
    for (const result of ["", "{", "{}", '{"done":true}', '{"done":1,"term":1,"author":"x"}']) {
      bus.isLost = ({ message }) => message.kind === "outcome";
      const request = bus.begin(from, "self", labelled(from, "1"), 60);
      const { message } = bus.carried.findLast((each) => each.message.kind === "submit")!;
      const { ticket } = message as NodeMessage & { readonly kind: "submit" };
      const outcome = { kind: "done" as const, index: 3, result };
      const said = { kind: "outcome" as const, ticket, outcome };
      bus.of(from).step({ kind: "heard", from: bus.leader!.id, message: said });
      bus.isLost = () => false;
      expect(bus.of(from).outcome(request)?.kind).not.toBe("done");
      expect(["done", "uncertain"]).toContain(bus.end(from, request).kind);
    }
  });

  test("C-3 a node that starts anew is not answered with what another life asked", () => {
    const bus = three();
    const from = followerOf(bus);
    bus.isLost = ({ message }) => message.kind === "outcome";
    bus.begin(from, "self", labelled(from, "1"), 100);
    const late = bus.carried.filter(({ to, message }) => to === from && message.kind === "outcome");
    bus.of(from).restart();
    bus.isLost = () => false;
    bus.led();
    const request = bus.begin(from, "self", labelled(from, "2"), 100);
    for (const { from: sender, message } of late)
      bus.of(from).step({ kind: "heard", from: sender, message });
    expect(bus.end(from, request)).toMatchObject({ kind: "done" });
    expect(rackOf(bus, from, from)).toBe("2");
  });
});

describe("C-3 bounds", () => {
  test("C-3 commands beyond the queue are refused as busy, at once, and those before it end", () => {
    const bus = three();
    const from = followerOf(bus);
    bus.isLost = () => true;
    const first = bus.begin(from, "self", labelled(from, "0"), 50);
    const requests = Array.from({ length: queueMaximum + 20 }, () =>
      bus.begin(from, "self", labelled(from, "1"), 50),
    );
    const busy = requests.filter((each) => bus.of(from).outcome(each)?.kind === "busy");
    expect(busy.length).toBeGreaterThan(0);
    expect(busy.length).toBeLessThanOrEqual(20);
    expect(bus.of(from).node.askedCount).toBeLessThanOrEqual(queueMaximum + 8);
    bus.end(from, first);
    bus.tick();
    expect(bus.of(from).node.askedCount).toBe(0);
  });

  test("C-3 one sender cannot have the coordinator work on more than its share", () => {
    const bus = three();
    const from = followerOf(bus);
    const leader = bus.leader!;
    bus.isLost = ({ message }) => message.kind === "log";
    for (let ticket = 1; ticket <= senderMaximum + 5; ticket++)
      leader.step({
        ...{ kind: "heard", from },
        message: { kind: "submit", ticket, session: null, request: null },
      });
    const refused = bus.carried.filter(
      ({ message }) => message.kind === "outcome" && message.outcome.kind === "refused",
    );
    expect(refused.length).toBe(5);
    expect(refused[0]!.message).toMatchObject({ outcome: { reason: "busy", leader: leader.id } });
    // Those of others still find room.
    const { lastIndex } = leader.node.replica.core;
    const input = { kind: "submit", ticket: 1, session: null, request: null } as const;
    leader.step({ kind: "heard", from: "other", message: input });
    expect(leader.node.replica.core.lastIndex).toBe(lastIndex + 1);
  });

  test("C-3 a command longer than an entry may be is refused before it is written", () => {
    const bus = three();
    const from = followerOf(bus);
    const what = "x".repeat(70_000);
    const command: Command = { kind: "node-evicted", node: "b", reason: what };
    expect(bus.ask(from, "owner", command)).toMatchObject({
      ...{ kind: "denied", code: "event_malformed", index: 0 },
    });
  });
});

test("C-4 two nodes decide together, and one alone decides nothing", () => {
  const bus = new Bus(["a", "b"]);
  bus.led();
  bus.found(["b"]);
  expect(bus.ask("b", "self", labelled("b", "1"))).toMatchObject({ kind: "done" });
  const lost = bus.led().id;
  const left = lost === "a" ? "b" : "a";
  bus.still.add(lost);
  bus.tick(40);
  expect(bus.ask(left, "self", labelled(left, "2"), 40)).toEqual({ kind: "leaderless" });
  bus.still.delete(lost);
  bus.led();
  expect(bus.ask(left, "self", readiness(left))).toMatchObject({ kind: "done" });
});
