import { describe, expect, test } from "bun:test";
import type { Command } from "./event.ts";
import { founding, tokenCommand } from "./mesh.fixture.ts";
import { Bus, startOf } from "./node.fixture.ts";
import { planRecovery, recoveryTerms } from "./recovery.ts";

const labelled = (node: string, value: string): Command => ({
  ...{ kind: "node-labelled", node, label: "rack", value },
});
const rackOf = (bus: Bus, at: string, node: string) =>
  bus.of(at).node.mesh.members.find((each) => each.node === node)?.labels[0]?.value;

/** Five that decide, of which the first three are gone; the last one was away for the latest entries. */
function lost(): Bus {
  const bus = new Bus(["a", "b", "c", "d", "e"]);
  bus.led();
  bus.found(["b", "c", "d", "e"]);
  bus.tick(10);
  bus.still.add("e");
  bus.until("one of those who stay leads", () => bus.leader !== undefined);
  expect(bus.ask("d", "self", labelled("d", "1"))).toMatchObject({ kind: "done" });
  bus.tick(10);
  for (const node of ["a", "b", "c"]) bus.still.add(node);
  return bus;
}

function recover(bus: Bus, node: string) {
  const { disk } = bus.of(node);
  const durable = { ballot: disk.ballot, snapshot: disk.snapshot, entries: disk.entries };
  const plan = planRecovery(durable, node, bus.nowMs);
  disk.carryOut(plan.write);
  bus.of(node).restart();
  return plan;
}

describe("C-5 more than half of those who decide are lost", () => {
  test("C-5 one that is left goes on alone with all it holds, owns the mesh, and the others follow", () => {
    const bus = lost();
    bus.tick(100);
    expect(bus.ask("d", "self", labelled("d", "2"), 30)).toMatchObject({ kind: "leaderless" });
    const { term } = bus.of("d").node.replica.core;
    const plan = recover(bus, "d");
    expect(plan).toMatchObject({ voters: ["a", "b", "c", "d", "e"], term: term + recoveryTerms });
    bus.until("it leads", () => bus.leader?.id === "d", 40);
    expect(rackOf(bus, "d", "d")).toBe("1");
    expect(bus.of("d").node.mesh).toMatchObject({ founder: "a", owners: ["a", "d"] });
    expect(bus.ask("d", "owner", tokenCommand("new"))).toMatchObject({ kind: "done" });
    // Who owned the mesh and is lost is put out.
    expect(bus.ask("d", "owner", { kind: "owner-set", node: "a", isOwner: false })).toMatchObject({
      kind: "done",
    });
    for (const node of ["a", "b", "c"])
      expect(bus.ask("d", "owner", { kind: "node-evicted", node, reason: "lost" })).toMatchObject({
        kind: "done",
      });
    bus.still.delete("e");
    bus.tick(60);
    expect(bus.of("e").node.replica.core.leader).toBe("d");
    expect(bus.of("e").node.replica.digest()).toBe(bus.of("d").node.replica.digest());
    expect(bus.ask("e", "self", labelled("e", "3"))).toMatchObject({ kind: "done" });
    expect(bus.leader!.node.replica.core.membership).toEqual({ voters: ["d"], learners: ["e"] });
  });

  test("C-5 what was written and never decided counts; what another wrote beside it goes", () => {
    const bus = lost();
    // Cut off, one after the other writes down what nobody else hears.
    const alone = (node: string, term: number) => {
      const { disk } = bus.of(node);
      const index = disk.lastIndex + 1;
      const payload = JSON.stringify({ kind: "open" });
      disk.carryOut({
        ...{ ballot: { term, vote: node }, truncateFrom: 0, snapshot: null },
        entries: [{ index, term, kind: "event", payload }],
      });
      return index;
    };
    const { term } = bus.of("d").node.replica.core;
    const written = alone("d", term + 1);
    alone("e", term + 2);
    bus.of("e").restart();
    expect(recover(bus, "d").lastIndex).toBe(written);
    bus.still.delete("e");
    bus.until("it leads", () => bus.leader?.id === "d", 40);
    bus.tick(60);
    expect(bus.of("e").node.replica.digest()).toBe(bus.of("d").node.replica.digest());
    expect(bus.of("d").node.replica.core.history.termAt(written)).toBe(term + 1);
    expect(bus.of("e").node.replica.core.history.termAt(written)).toBe(term + 1);
  });

  test("C-5 who decides alone, is no member or no coordinator is refused, and nothing is written", () => {
    const alone = new Bus(["a"]);
    alone.led();
    alone.ask("a", "owner", founding);
    const codeOf = (work: () => unknown) => {
      try {
        return work();
      } catch (error) {
        return (error as { readonly code?: string }).code;
      }
    };
    expect(codeOf(() => planRecovery({ ...alone.of("a").disk }, "a", 1))).toBe("recovery_unneeded");
    expect(codeOf(() => planRecovery({ ...alone.of("a").disk }, "b", 1))).toBe("recovery_unfit");
    expect(codeOf(() => planRecovery(startOf(["a", "b"]), "b", 1))).toBe("recovery_unfit");
    expect(alone.of("a").disk.ballot.term).toBeLessThan(recoveryTerms);
  });

  test("C-5 no member asks for it: a coordinator refuses to write that a mesh was recovered", () => {
    const bus = new Bus(["a", "b", "c"]);
    bus.led();
    bus.found(["b", "c"]);
    for (const node of ["a", "b", "c"])
      expect(bus.ask(node, "self", { kind: "mesh-recovered", node })).toMatchObject({
        ...{ kind: "denied", code: "scope_lacking", index: 0 },
      });
    expect(bus.of("a").node.mesh.owners).toEqual(["a"]);
  });
});
