import { describe, expect, test } from "bun:test";
import type { Command } from "./event.ts";
import { admission, foundedMesh, founding, readiness, tokenCommand } from "./mesh.fixture.ts";
import { Bus } from "./node.fixture.ts";
import { keepsMajority, placingOf, type LogView } from "./placing.ts";
import type { MemberStanding } from "./state.ts";

const ids = ["a", "b", "c", "d", "e"];

/** A view of the leader `a`: who votes, who learns, and how the others stand where they are not ready. */
function viewOf(
  voters: string,
  learners: string,
  others: Readonly<Record<string, MemberStanding>> = {},
  silent = "",
): LogView {
  const { state } = foundedMesh();
  const [founder] = state.members;
  const members = ids.map((node) => ({
    ...founder!,
    ...{ node, standing: others[node] ?? "ready", roles: ["coordinator" as const] },
  }));
  return {
    ...{ id: "a", mesh: { ...state, members }, commitIndex: 900, voterMaximum: 7 },
    membership: { voters: [...voters], learners: [...learners] },
    matches: new Map(ids.map((node, place) => [node, 900 - place])),
    heard: new Set(ids.filter((node) => node !== "a" && !silent.includes(node))),
  };
}

const voter = (id: string) => ({ id, place: "voter" as const });
const learner = (id: string) => ({ id, place: "learner" as const });
const everybodyElse = (but: string) => ids.filter((id) => !but.includes(id)).join("");

describe("C-4 an odd number decides", () => {
  test("C-4 one decides until two more stand ready for it", () => {
    const gone = { c: "offline", d: "offline", e: "offline" } as const;
    expect(placingOf(viewOf("a", "bcde", gone))).toBeNull();
    expect(placingOf(viewOf("a", "bcde", { d: "offline", e: "offline" }))).toEqual(voter("b"));
    expect(placingOf(viewOf("ab", "cde", { d: "offline", e: "offline" }))).toEqual(voter("c"));
    expect(placingOf(viewOf("abc", "de"))).toEqual(voter("d"));
    expect(placingOf({ ...viewOf("abc", "de"), voterMaximum: 4 })).toBeNull();
  });

  test("C-4 who is silent or far behind is not counted on", () => {
    const view = viewOf("a", "bcde", { d: "offline", e: "offline" });
    expect(placingOf({ ...view, heard: new Set(["b"]) })).toBeNull();
    const behind = new Map([...view.matches, ["c", 300]] as const);
    expect(placingOf({ ...view, matches: behind })).toBeNull();
    expect(placingOf({ ...view, matches: new Map(), commitIndex: 20 })).toBeNull();
  });

  test("C-4 an even number is left: who is offline goes back to learning first, then who lacks most", () => {
    const none = { d: "offline", e: "offline" } as const;
    expect(placingOf(viewOf("ab", "cde", { c: "offline", ...none }))).toEqual(learner("b"));
    expect(placingOf(viewOf("abcd", "e", { e: "offline" }))).toEqual(learner("d"));
    expect(placingOf(viewOf("abcd", "e", { b: "offline", e: "offline" }))).toEqual(learner("b"));
    expect(placingOf(viewOf("abcd", "e", { e: "offline" }, "c"))).toEqual(learner("c"));
    // Another can be promoted instead.
    expect(placingOf(viewOf("abcd", "e"))).toEqual(voter("e"));
    expect(placingOf(viewOf("abcd", "e", { b: "offline" }))).toEqual(voter("e"));
  });

  test("C-4 a voter that is offline is replaced where another stands ready, and stays one otherwise", () => {
    const others = { d: "offline", e: "offline" } as const;
    expect(placingOf(viewOf("abc", "de", { c: "offline", e: "offline" }, "c"))).toEqual(
      learner("c"),
    );
    expect(placingOf(viewOf("ab", "cde", { c: "offline", e: "offline" }, "c"))).toEqual(voter("d"));
    expect(placingOf(viewOf("abc", "de", { c: "offline", ...others }, "c"))).toBeNull();
    expect(placingOf(viewOf("abc", "de", others))).toBeNull();
  });

  test("C-4 no step leaves a majority that is silent, and every way ends", () => {
    const standings = ["ready", "offline", "evicted", "joining"] as const;
    let stepCount = 0;
    for (let seed = 0; seed < 4000; seed++) {
      const digit = (place: number, base: number) => Math.floor(seed / base ** place) % base;
      const voters = ids.filter((id, place) => id === "a" || digit(place, 2) === 1);
      const others = Object.fromEntries(
        ids
          .slice(1)
          .map((id, place) => [id, standings[(seed * 7 + place * (1 + digit(1, 5))) % 4]!]),
      );
      const silent = ids.slice(1).filter((_, place) => (seed * 13 + place * 5) % 7 < 2);
      let view = viewOf(voters.join(""), everybodyElse(voters.join("")), others, silent.join(""));
      const isAlive = keepsMajority(view, learner("z"));
      let steps = 0;
      for (let next = placingOf(view); next !== null; next = placingOf(view)) {
        expect(keepsMajority(view, next)).toBe(true);
        expect(next.id === "a").toBe(false);
        expect(++steps).toBeLessThan(12);
        view = { ...view, membership: changed(view, next) };
      }
      stepCount += steps;
      if (isAlive && silent.length === 0) expect(view.membership.voters.length % 2).toBe(1);
    }
    expect(stepCount).toBeGreaterThan(2000);
  });

  test("C-4 the last voter is never taken out", () => {
    const mesh = foundedMesh(true);
    const gone: Command = { kind: "node-evicted", node: "b", reason: "a test" };
    mesh.ask("a", "owner", gone);
    const view = { ...viewOf("b", ""), mesh: mesh.state };
    expect(placingOf(view)).toEqual(learner("a"));
    const two = { ...view, membership: { voters: ["a", "b"], learners: [] } };
    expect(placingOf(two)).toEqual({ id: "b", place: "out" });
  });
});

function changed({ membership }: LogView, { id, place }: { id: string; place: string }) {
  const others = (list: readonly string[]) => list.filter((each) => each !== id);
  return {
    voters: [...others(membership.voters), ...(place === "voter" ? [id] : [])],
    learners: [...others(membership.learners), ...(place === "learner" ? [id] : [])],
  };
}

const membershipOf = (bus: Bus) => bus.leader!.node.replica.core.membership;
const standingOf = (bus: Bus, node: string) =>
  bus.leader!.node.mesh.members.find((member) => member.node === node)!.standing;

/** `a` founded a mesh, and the others, all coordinators, came one after the other. */
function meshOf(...others: readonly string[]): Bus {
  const bus = new Bus(["a", ...others], ["a"]);
  bus.until("a leads", () => bus.leader?.id === "a");
  bus.ask("a", "owner", founding);
  bus.ask("a", "owner", tokenCommand("many", true));
  for (const node of others) come(bus, node);
  bus.tick(20);
  return bus;
}

function come(bus: Bus, node: string): void {
  const newcomer = { ...admission(node, "many"), roles: ["coordinator" as const] };
  bus.ask("a", "membership", { ...newcomer, clockMs: bus.nowMs });
  bus.tick(3);
  bus.ask(node, "self", readiness(node));
}

const labelled = (node: string): Command => ({
  ...{ kind: "node-labelled", node, label: "rack", value: "1" },
});

/** Renews leases as daemons do, of all but some, for so many ticks. */
function live(bus: Bus, ticks: number, but: readonly string[] = []): void {
  for (let left = ticks; left > 0; left -= 50) {
    for (const node of bus.nodes.keys())
      if (!but.includes(node))
        bus.begin(node, "self", { kind: "lease-renewed", node, epoch: 1 }, 40);
    bus.tick(50);
  }
}

describe("C-4 deciding goes on", () => {
  test("C-4 of two one decides alone, and the other may come and go", () => {
    const bus = meshOf("b");
    expect(membershipOf(bus)).toEqual({ voters: ["a"], learners: ["b"] });
    bus.still.add("b");
    expect(bus.ask("a", "self", labelled("a"))).toMatchObject({ kind: "done" });
    bus.still.delete("b");
    bus.tick(20);
    expect(bus.of("b").node.replica.digest()).toBe(bus.of("a").node.replica.digest());
  });

  test("C-4 a voter lost for good is replaced, after which another may be lost", () => {
    const bus = meshOf("b", "c", "d");
    expect(membershipOf(bus)).toEqual({ voters: ["a", "b", "c"], learners: ["d"] });
    bus.still.add("c");
    live(bus, 800, ["c"]);
    bus.until("d votes", () => membershipOf(bus).voters.includes("d"), 50);
    expect(standingOf(bus, "c")).toBe("offline");
    expect(membershipOf(bus)).toEqual({ voters: ["a", "b", "d"], learners: ["c"] });
    bus.still.add("b");
    expect(bus.ask("d", "self", labelled("d"))).toMatchObject({ kind: "done" });
    // It comes back, follows, and nobody has to make room for it.
    for (const node of ["b", "c"]) bus.still.delete(node);
    bus.ask("c", "self", readiness("c"));
    bus.tick(30);
    expect(membershipOf(bus)).toEqual({ voters: ["a", "b", "d"], learners: ["c"] });
  });

  test("C-4 a member that fell silent while the mesh takes it for ready gets no vote", () => {
    const bus = new Bus(["a", "b", "c"], ["a"]);
    bus.until("a leads", () => bus.leader?.id === "a");
    bus.ask("a", "owner", founding);
    bus.ask("a", "owner", tokenCommand("many", true));
    come(bus, "b");
    bus.still.add("b");
    bus.tick(12);
    come(bus, "c");
    bus.tick(100);
    expect(standingOf(bus, "b")).toBe("ready");
    expect(membershipOf(bus)).toEqual({ voters: ["a"], learners: ["b", "c"] });
    expect(bus.ask("c", "self", labelled("c"))).toMatchObject({ kind: "done" });
    bus.still.delete("b");
    bus.until("three vote", () => membershipOf(bus).voters.length === 3, 20);
  });

  test("C-6 who leads and decides alone has another lead before it goes", () => {
    const bus = meshOf("b", "c");
    bus.leader!.step({ kind: "hand-over" });
    bus.until("another leads", () => bus.led().id !== "a", 30);
    const second = bus.led().id;
    const third = second === "b" ? "c" : "b";
    // `a` founded the mesh and stays; the third leaves, and one of two decides: who leads.
    bus.ask(third, "self", { kind: "node-left", node: third, epoch: 1 });
    bus.until("one decides", () => membershipOf(bus).voters.length === 1, 50);
    expect(membershipOf(bus)).toEqual({ voters: [second], learners: ["a"] });
    const left = { kind: "node-left" as const, node: second, epoch: 1 };
    expect(bus.ask(second, "self", left)).toMatchObject({ kind: "done" });
    bus.until("the last decides", () => membershipOf(bus).voters[0] === "a", 50);
    bus.tick(20);
    expect(membershipOf(bus)).toEqual({ voters: ["a"], learners: [] });
  });

  test("C-6 evicting who decides alone has another lead first; where nobody can it is refused", () => {
    const bus = meshOf("b", "c");
    bus.leader!.step({ kind: "hand-over" });
    bus.until("another leads", () => bus.led().id !== "a", 30);
    const second = bus.led().id;
    const third = second === "b" ? "c" : "b";
    bus.ask("a", "owner", { kind: "node-evicted", node: third, reason: "a test" });
    bus.until("one decides", () => membershipOf(bus).voters.length === 1, 50);
    bus.isLost = ({ from, message }) =>
      from === "a" && message.kind === "log" && message.message.kind === "append-reply";
    bus.tick(15);
    const evicted: Command = { kind: "node-evicted", node: second, reason: "a test" };
    const denied = bus.ask("a", "owner", evicted);
    expect(denied).toMatchObject({ kind: "denied", code: "majority_needed", index: 0 });
    bus.isLost = () => false;
    bus.tick(15);
    expect(bus.ask("a", "owner", evicted)).toMatchObject({ kind: "done" });
    bus.until("the last leads", () => bus.leader?.id === "a", 50);
  });

  test("C-6 nobody is let go without whom nothing could be decided", () => {
    const bus = meshOf("b", "c");
    bus.still.add("b");
    bus.tick(15);
    const evicted = (node: string): Command => ({ kind: "node-evicted", node, reason: "a test" });
    const denied = bus.ask("a", "owner", evicted("c"));
    expect(denied).toMatchObject({ kind: "denied", code: "majority_needed" });
    // Who is lost comes out first; then one of the two may go.
    expect(bus.ask("a", "owner", evicted("b"))).toMatchObject({ kind: "done" });
    bus.until("one decides", () => membershipOf(bus).voters.length === 1, 50);
    expect(bus.ask("a", "owner", evicted("c"))).toMatchObject({ kind: "done" });
  });
});
