import { describe, expect, test } from "bun:test";
import { digestJson, type Digest } from "#src/codec/digest.ts";
import type { Saying } from "#src/window/event.ts";
import type { Run } from "#src/window/run.ts";
import { keyOf as signingKeyOf, plainSpec, runId } from "#src/window/run.fixture.ts";
import { signStatement } from "#src/window/statement.ts";
import type { Command, Fence, Scope } from "./event.ts";
import { brokenState } from "./invariants.ts";
import {
  admission,
  foundedMesh,
  founding,
  readiness,
  tokenCommand,
  type TestMesh,
} from "./mesh.fixture.ts";
import { MeshFold } from "./mesh-fold.ts";
import { Bus } from "./node.fixture.ts";

const spec = { ...plainSpec, slots: 8, quorum: 1 };
const digest = (name: string): Digest => digestJson({ name });
const creation: Command = {
  ...{ kind: "run-created", run: runId, name: "first", document: digest("document"), spec },
};
const readyWords: Saying = {
  ...{ saying: "ready", revision: 0, digest: digest("revision 0"), lane: "avx2", rate: 0 },
};

/** A member as it is at a start, with a key that can sign. */
function started(node: string): Command {
  return { ...readiness(node), key: signingKeyOf(node).publicKey };
}

/** What a node says of the run, following the state as it is. */
function stated(run: Run, node: string, said: Saying): Command {
  const previous = run.workers.find((worker) => worker.node === node)?.statement ?? null;
  const anchor = "window" in said ? (run.window?.anchor ?? null) : null;
  const unsigned = { mesh: "home", run: runId, node, previous, anchor, said };
  return { kind: "run-stated", node, statement: signStatement(signingKeyOf(node), unsigned) };
}

function contributionOf(run: Run): Saying {
  const { number, tasks } = run.window!;
  return {
    ...{ saying: "contribution", window: number, sizeBytes: 1, trainMs: 1 },
    ...{ artifact: digest(`delta ${number}`), commitments: digest(`states ${number}`) },
    ...{ segments: Math.ceil(tasks[0]!.steps / spec.segmentSteps), private: digest("moments") },
  };
}

function revisionOf(run: Run): Saying {
  const { number, revision } = run.window!;
  return {
    ...{ saying: "revision", window: number, revision: revision + 1 },
    ...{ digest: digest(`revision ${number}`), artifact: digest(`artifact ${number}`) },
  };
}

/** The mesh of `a`, a host that coordinates, and of `b`, a trainer. */
function meshWithRun(): TestMesh {
  const mesh = foundedMesh(true);
  mesh.ask("b", "self", started("b"));
  expect(mesh.ask("a", "membership", creation)).toEqual({ done: true });
  return mesh;
}

const runIn = (mesh: TestMesh): Run => mesh.state.runs[0]!;

describe("W-1 runs in the mesh's state", () => {
  test("W-1 each is asked for by who may, and a coordinator's orders have a fence", () => {
    const mesh = meshWithRun();
    const again = { ...creation, run: "run00002", name: "second" } as const;
    expect(mesh.codeOf("b", "membership", again)).toBe("scope_lacking");
    expect(mesh.codeOf("a", "owner", again)).toBe("scope_lacking");
    const wish = { kind: "run-wished", run: runId, wish: "pause" } as const;
    expect(mesh.codeOf("b", "membership", wish)).toBe("scope_lacking");
    const words = stated(runIn(mesh), "b", readyWords);
    expect(mesh.codeOf("a", "self", words)).toBe("scope_lacking");
    expect(mesh.codeOf("b", "self", words)).toBe("done");
    const open = (fence: Fence): Command => ({
      ...{ kind: "window-opened", run: runId, window: 1, fence },
    });
    expect(mesh.codeOf("b", "coordinator", open(mesh.fence()))).toBe("scope_lacking");
    expect(mesh.codeOf("a", "membership", open(mesh.fence()))).toBe("scope_lacking");
    expect(mesh.codeOf("a", "coordinator", open({ ...mesh.fence(), term: 0 }))).toBe("fence_stale");
    expect(mesh.codeOf("a", "coordinator", open(mesh.fence()))).toBe("done");
    expect(mesh.codeOf("a", "coordinator", open(mesh.fence()))).toBe("window_stale");
  });

  test("W-1 go through a window, and a snapshot of it at any point goes on the same way", () => {
    const mesh = meshWithRun();
    const other = new MeshFold();
    const events: [string, Scope, () => Command][] = [
      ["b", "self", () => stated(runIn(mesh), "b", readyWords)],
      [
        "a",
        "coordinator",
        () => ({ kind: "window-opened", run: runId, window: 1, fence: mesh.fence() }),
      ],
      ["b", "self", () => stated(runIn(mesh), "b", contributionOf(runIn(mesh)))],
      [
        "a",
        "coordinator",
        () => ({
          ...{ kind: "window-sealed", run: runId, window: 1, fence: mesh.fence() },
          seed: digest("drawn"),
        }),
      ],
      ["b", "self", () => stated(runIn(mesh), "b", revisionOf(runIn(mesh)))],
    ];
    for (const [author, scope, commandOf] of events) {
      const saved = mesh.fold.save();
      expect(other.accepts(saved)).toBe(true);
      other.load(saved);
      const { timeMs, term } = mesh;
      const event = { author, scope, policy: null, timeMs, term, command: commandOf() };
      expect(mesh.fold.outcome(JSON.stringify(event))).toEqual({ done: true });
      expect(other.outcome(JSON.stringify(event))).toEqual({ done: true });
      expect(other.save()).toBe(mesh.fold.save());
      expect(brokenState(mesh.state)).toBeNull();
    }
    expect(runIn(mesh)).toMatchObject({ revision: { number: 1 }, acceptedSlots: 4 });
  });

  test("W-7 who left the mesh or is evicted is not counted on", () => {
    const mesh = meshWithRun();
    mesh.ask("b", "self", stated(runIn(mesh), "b", readyWords));
    mesh.ask("a", "owner", { kind: "node-evicted", node: "b", reason: "a test" });
    const open = { kind: "window-opened", run: runId, window: 1, fence: mesh.fence() } as const;
    expect(mesh.codeOf("a", "coordinator", open)).toBe("window_unready");
    const words = stated(runIn(mesh), "b", { saying: "gone", reason: "x" });
    expect(mesh.codeOf("b", "self", words)).toBe("member_unknown");
  });

  test("W-1 a state whose runs do not hold what they promise is not taken over", () => {
    const mesh = meshWithRun();
    const run = runIn(mesh);
    const changed: readonly Partial<Run>[] = [
      { pool: [] },
      { pool: [{ first: 0, count: 9 }] },
      { acceptedSlots: 4 },
      { revision: { number: 1, digest: null, artifact: null } },
      { phase: "completed" },
      { windowCount: 3 },
    ];
    expect(brokenState(mesh.state)).toBeNull();
    for (const change of changed)
      expect(brokenState({ ...mesh.state, runs: [{ ...run, ...change }] })).not.toBeNull();
  });
});

describe("W-7 a leader gives the orders that are due", () => {
  /** `a` founded it and coordinates; `b` and `c` can lead, and `b` trains. */
  function led(): Bus {
    const bus = new Bus(["a", "b", "c"], ["a"]);
    bus.until("a leads", () => bus.leader?.id === "a");
    bus.ask("a", "owner", founding);
    bus.ask("a", "owner", tokenCommand("many", true));
    for (const [node, roles] of [
      ["b", ["coordinator", "trainer"]],
      ["c", ["coordinator"]],
    ] as const) {
      const newcomer = { ...admission(node, "many"), roles: [...roles], clockMs: bus.nowMs };
      bus.ask("a", "membership", newcomer);
      bus.ask(node, "self", started(node));
    }
    bus.until("all vote", () => bus.leader!.node.replica.core.membership.voters.length === 3);
    bus.ask("a", "membership", creation);
    return bus;
  }

  const runAt = (bus: Bus, node: string): Run => bus.of(node).node.mesh.runs[0]!;
  const say = (bus: Bus, said: Saying) =>
    expect(bus.ask("b", "self", stated(runAt(bus, "b"), "b", said))).toMatchObject({
      ...{ kind: "done" },
    });

  test("W-7 once each, and another that leads goes on where it was", () => {
    const bus = led();
    say(bus, readyWords);
    bus.until("a window is open", () => runAt(bus, "b")?.window?.stage === "active");
    say(bus, contributionOf(runAt(bus, "b")));
    bus.until("it is scored", () => runAt(bus, "b").window?.stage === "scored");
    const first = runAt(bus, "b").window!.seed;
    expect(first).not.toBe("0".repeat(64));
    bus.still.add("a");
    bus.until("another leads", () => bus.leader !== undefined && bus.leader.id !== "a", 400);
    say(bus, revisionOf(runAt(bus, "b")));
    bus.until("the next is open", () => runAt(bus, "b").window?.number === 2);
    say(bus, contributionOf(runAt(bus, "b")));
    bus.until("it is scored", () => runAt(bus, "b").window?.stage === "scored");
    expect(runAt(bus, "b").window!.seed).not.toBe(first);
    say(bus, revisionOf(runAt(bus, "b")));
    expect(runAt(bus, "b")).toMatchObject({ phase: "completed", acceptedSlots: 8 });
    // Given more than once only where the first came to nothing, which it did not.
    expect(bus.applied("b", "window-opened").length).toBe(2);
    expect(bus.applied("b", "window-sealed").length).toBe(2);
  });
});
