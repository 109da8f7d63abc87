import { describe, expect, test } from "bun:test";
import { dutiesOf, type DutyView } from "./duties.ts";
import { admission, foundedMesh, founding, readiness, tokenCommand } from "./mesh.fixture.ts";
import { Bus } from "./node.fixture.ts";
import { authorityDigest } from "./state.ts";

const membershipOf = (bus: Bus) => bus.leader!.node.replica.core.membership;

/** `a` founded a mesh, and its log is its own; the others come. */
function founded(others: readonly string[], voterMaximum?: number): Bus {
  const bus = new Bus(["a", ...others], ["a"], voterMaximum);
  bus.until("a leads", () => bus.leader?.id === "a");
  bus.ask("a", "owner", founding);
  bus.ask("a", "owner", tokenCommand("many", true));
  return bus;
}

function admit(bus: Bus, node: string, roles: ("coordinator" | "trainer")[] = ["coordinator"]) {
  const newcomer = { ...admission(node, "many"), roles, clockMs: bus.nowMs };
  expect(bus.ask("a", "membership", newcomer)).toMatchObject({ kind: "done" });
}

function come(bus: Bus, node: string) {
  admit(bus, node);
  bus.tick(5);
  bus.ask(node, "self", readiness(node));
}

describe("C-4 who keeps the log follows the mesh", () => {
  test("C-4 an admitted node learns, two ready coordinators vote with the first, and who leaves comes out", () => {
    const bus = founded(["b", "c", "d"]);
    admit(bus, "b");
    bus.until("b learns", () => membershipOf(bus).learners.includes("b"), 10);
    bus.tick(20);
    expect(bus.ask("b", "self", readiness("b"))).toMatchObject({ kind: "done" });
    // With two voters nothing could be decided while either is away.
    bus.tick(20);
    expect(membershipOf(bus)).toEqual({ voters: ["a"], learners: ["b"] });
    admit(bus, "c", ["trainer"]);
    bus.tick(5);
    bus.ask("c", "self", readiness("c"));
    bus.tick(20);
    expect(membershipOf(bus)).toEqual({ voters: ["a"], learners: ["b", "c"] });
    admit(bus, "d");
    bus.tick(20);
    expect(membershipOf(bus).voters).toEqual(["a"]);
    bus.ask("d", "self", readiness("d"));
    bus.until("three vote", () => membershipOf(bus).voters.length === 3, 10);
    expect(membershipOf(bus)).toEqual({ voters: ["a", "b", "d"], learners: ["c"] });
    bus.ask("c", "self", { kind: "node-left", node: "c", epoch: 1 });
    bus.ask("a", "owner", { kind: "node-evicted", node: "b", reason: "a test" });
    bus.until("one votes", () => membershipOf(bus).voters.length === 1);
    bus.tick(20);
    expect(membershipOf(bus)).toEqual({ voters: ["a"], learners: ["d"] });
  });

  test("C-4 no more than the maximum vote, and an even maximum is one less", () => {
    for (const maximum of [3, 4]) {
      const bus = founded(["b", "c", "d", "e"], maximum);
      for (const node of ["b", "c", "d", "e"]) come(bus, node);
      bus.tick(30);
      expect(membershipOf(bus)).toEqual({ voters: ["a", "b", "c"], learners: ["d", "e"] });
    }
  });

  test("C-4 a leader that drains hands over, and who is asked to hand over does", () => {
    const bus = founded(["b", "c"]);
    for (const node of ["b", "c"]) come(bus, node);
    bus.until("all vote", () => membershipOf(bus).voters.length === 3);
    const first = bus.led().id;
    bus.ask(first, "self", { kind: "node-draining", node: first });
    bus.until("another leads", () => bus.led().id !== first, 20);
    const second = bus.led().id;
    bus.leader!.step({ kind: "hand-over" });
    bus.settle();
    bus.until("the third leads", () => bus.led().id !== second, 5);
    // The one that drains is the last choice.
    expect(bus.led().id).not.toBe(first);
  });
});

describe("C-6 leases end by duty", () => {
  test("C-6 a silent member goes offline by a fenced order once its lease is over, and comes back", () => {
    const bus = founded(["b"]);
    admit(bus, "b", ["trainer"]);
    bus.tick(5);
    bus.ask("b", "self", readiness("b"));
    const endMs = bus.of("a").node.mesh.leases.find(({ node }) => node === "b")!.untilMs;
    bus.tick(Math.floor((endMs - bus.nowMs) / 100) - 2);
    expect(bus.of("a").node.mesh.members[1]!.standing).toBe("ready");
    bus.until("b is offline", () => bus.of("a").node.mesh.members[1]!.standing === "offline", 15);
    const [expired] = bus.applied("a", "lease-expired") as { readonly event: object }[];
    expect(bus.applied("a", "lease-expired").length).toBe(1);
    expect(expired!.event).toMatchObject({
      ...{ author: "a", scope: "coordinator", term: 1 },
      command: { node: "b", fence: { term: 1, authority: authorityDigest(bus.of("a").node.mesh) } },
    });
    // Its own lease is over as well; that it leads shows that it is there.
    expect(bus.of("a").node.mesh.members[0]!.standing).toBe("ready");
    expect(bus.ask("b", "self", readiness("b"))).toMatchObject({ kind: "done" });
  });

  test("C-6 a leader whose clock is put ahead ends no lease before its member could renew it", () => {
    const bus = founded(["b"]);
    admit(bus, "b", ["trainer"]);
    bus.tick(5);
    bus.ask("b", "self", readiness("b"));
    const standing = () => bus.of("a").node.mesh.members[1]!.standing;
    const { staleMs } = bus.of("a").node.mesh.configuration;
    bus.nowMs += 900_000;
    bus.tick(staleMs / 100 - 10);
    expect(standing()).toBe("ready");
    // Who does not renew then either is gone.
    bus.until("b is offline", () => standing() === "offline", 30);
    bus.ask("b", "self", readiness("b"));
    // Put back it counts from there on.
    bus.nowMs -= 900_000;
    bus.tick(100);
    expect(standing()).toBe("ready");
  });

  test("C-6 who was admitted and never came is offline after the time for that", () => {
    const bus = founded([]);
    admit(bus, "b");
    bus.until("b is offline", () => bus.of("a").node.mesh.members[1]!.standing === "offline", 310);
    expect(bus.applied("a", "node-offline").length).toBe(1);
  });
});

describe("C-4 duties are worked out from what is known", () => {
  const mesh = foundedMesh(true);
  const view: DutyView = {
    ...{ id: "a", mesh: mesh.state, term: 3, commitIndex: 9, voterMaximum: 7, lastHeir: "" },
    ...{ nowMs: mesh.timeMs + 61_000, ledSinceMs: 0, matches: new Map([["b", 9]]) },
    ...{ heard: new Set(["b"]), isParting: false, heardMs: new Map(), draw: () => "0".repeat(64) },
    membership: { voters: ["a"], learners: ["b"] },
  };

  test("C-6 a new leader lets members renew first: while nobody led nobody could", () => {
    expect(dutiesOf(view).orders).toMatchObject([{ kind: "lease-expired", node: "b" }]);
    expect(dutiesOf({ ...view, ledSinceMs: view.nowMs - 14_000 }).orders).toEqual([]);
  });

  test("C-4 who is not ready, no coordinator or no member has no such duties", () => {
    const stands = (standing: "offline" | "draining", roles = ["coordinator" as const]) => ({
      ...view,
      mesh: {
        ...mesh.state,
        members: mesh.state.members.map((each) =>
          each.node === "a" ? { ...each, standing, roles } : each,
        ),
      },
    });
    const none = { orders: [], placing: null, isHandedOver: false };
    expect(dutiesOf(stands("offline"))).toEqual(none);
    const two = { ...stands("draining"), membership: { voters: ["a", "b"], learners: [] } };
    expect(dutiesOf(two)).toEqual({ ...none, isHandedOver: true });
    expect(dutiesOf({ ...view, id: "z" })).toEqual(none);
  });
});
