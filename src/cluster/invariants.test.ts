import { tokenKey } from "./admission-proof.ts";
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { digestBytes } from "#src/codec/digest.ts";
import { Chance } from "#src/sim/chance.ts";
import { MeshTraffic } from "#src/sim/mesh-traffic.ts";
import { brokenState, brokenStep } from "./invariants.ts";
import { admission, foundedMesh, secretOf } from "./mesh.fixture.ts";
import { MeshFold } from "./mesh-fold.ts";
import { emptyMesh, stateDigest, stateText, type MeshState } from "./state.ts";

/** Events of a mesh as its members and others might ask for them, told by a seed. */
function* eventsOf(seed: number, count: number, fold: MeshFold): Generator<string> {
  const traffic = new MeshTraffic(new Chance(seed, 1), ["a", "b", "c", "d"]);
  const chance = new Chance(seed, 2);
  let [timeMs, term] = [1_000, 1];
  for (let index = 0; index < count; index++) {
    // Clocks of leaders differ, so time comes backwards now and then.
    timeMs = Math.max(0, timeMs + chance.between(-200, 1_200));
    if (chance.happens(0.05)) term++;
    const request = traffic.body({ state: fold.mesh, commitIndex: index, nowMs: timeMs });
    yield JSON.stringify({ ...(JSON.parse(request) as object), timeMs, term });
  }
}

const seeds = fc.integer({ min: 0, max: 1_000_000 });
const eventCount = 120;

describe("C-3 any events", () => {
  test("C-3 keep what a mesh promises, give equal digests, and survive a snapshot anywhere", () => {
    let doneCount = 0;
    let refusedCount = 0;
    fc.assert(
      fc.property(seeds, fc.integer({ min: 0, max: eventCount - 1 }), (seed, snapshotAt) => {
        const [first, second] = [new MeshFold(), new MeshFold()];
        let restored = new MeshFold();
        let place = 0;
        for (const body of eventsOf(seed, eventCount, first)) {
          const before = first.mesh;
          const text = stateText(before);
          const outcome = first.outcome(body);
          if ("done" in outcome) doneCount++;
          else refusedCount++;
          expect(stateText(before)).toBe(text);
          expect(brokenStep(before, first.mesh)).toBeNull();
          expect(brokenState(first.mesh)).toBeNull();
          expect(second.outcome(body)).toEqual(outcome);
          expect(restored.outcome(body)).toEqual(outcome);
          if (place++ !== snapshotAt) continue;
          const saved = restored.save();
          restored = new MeshFold();
          restored.load(saved);
        }
        expect(second.ask("state")).toBe(first.ask("state"));
        expect(restored.save()).toBe(first.save());
      }),
      { numRuns: 40, seed: 7 },
    );
    expect(doneCount).toBeGreaterThan(500);
    expect(refusedCount).toBeGreaterThan(500);
  });

  test("C-3 equal states have one text, in whatever order their members were written", () => {
    const { state } = foundedMesh(true);
    const turned = (value: unknown): unknown => {
      if (Array.isArray(value)) return value.map(turned);
      if (typeof value !== "object" || value === null) return value;
      const members = Object.entries(value).toReversed();
      return Object.fromEntries(members.map(([name, each]) => [name, turned(each)]));
    };
    expect(stateText(turned(state) as MeshState)).toBe(stateText(state));
    expect(stateDigest({ ...state, term: 9 })).not.toBe(stateDigest(state));
    expect(() => new MeshFold().load(JSON.stringify(turned(state)))).toThrow("one text");
  });
});

describe("C-3 promises", () => {
  const { state } = foundedMesh(true);
  const [a, b] = [state.members[0]!, state.members[1]!];
  const fence = { term: 2, index: 5, authority: digestBytes("") };
  const order = { order: "o", node: "b", what: "", author: "a", fence };
  const older = { ...order, fence: { ...fence, index: 4 } };
  const states: readonly (readonly [string, Partial<MeshState>])[] = [
    ["two members of one id", { members: [a, b, b] }],
    ["members in another order", { members: [b, a] }],
    ["a token used twice", { members: [{ ...a, token: "second" }, b] }],
    ["a member whose token was not used", { members: [a, { ...b, token: "t" }] }],
    ["a lease of one who drains", { members: [a, { ...b, standing: "draining" }] }],
    ["a lease of nobody", { leases: [{ node: "z", untilMs: 1 }] }],
    ["a blob of nobody", { residency: [{ blob: digestBytes(""), holders: ["z"] }] }],
    ["a blob without holders", { residency: [{ blob: digestBytes(""), holders: [] }] }],
    ["orders that go back", { orders: [order, older] }],
    ["a fence behind the last order", { orders: [order], fence: older.fence }],
    ["too many orders", { orders: Array.from({ length: 65 }, () => order) }],
  ];
  test.each(states)("C-3 %s is found", (_, change) => {
    expect(brokenState(state)).toBeNull();
    expect(brokenState({ ...state, ...change })).not.toBeNull();
  });

  const steps: readonly (readonly [string, Partial<MeshState>])[] = [
    ["another mesh", { mesh: "other" }],
    ["an earlier time", { timeMs: state.timeMs - 1 }],
    ["an earlier term", { term: 0 }],
    ["an earlier epoch", { members: [a, { ...b, epoch: 0 }] }],
    ["an earlier fence", { fence: older.fence }],
    ["no fence any more", { fence: null }],
  ];
  test.each(steps)("C-3 a step to %s is found", (_, change) => {
    const before = { ...state, fence };
    expect(brokenStep(before, before)).toBeNull();
    expect(brokenStep(before, { ...before, ...change })).not.toBeNull();
  });

  test("C-3 a list at its bound takes nothing more, and says so", () => {
    const mesh = foundedMesh();
    const full: MeshState = {
      ...mesh.state,
      members: Array.from({ length: 1024 }, (_, place) => ({
        ...a,
        node: place === 0 ? "a" : `n${String(place).padStart(4, "0")}`,
        standing: place === 7 ? ("left" as const) : ("ready" as const),
      })),
      leases: [],
    };
    mesh.fold.load(stateText(full));
    expect(mesh.codeOf("a", "membership", admission("z", "t"))).toBe("done");
    expect(mesh.state.members.length).toBe(1024);
    expect(mesh.state.members.some(({ node }) => node === "n0007")).toBe(false);
    mesh.ask("a", "owner", {
      kind: "token-created",
      ...{ token: "u", secret: tokenKey(secretOf("u")), roles: ["trainer"] },
      ...{ isReusable: false, lifetimeMs: 1_000 },
    });
    expect(mesh.codeOf("a", "membership", admission("y", "u"))).toBe("mesh_full");
    expect(mesh.state.tokens.find(({ token }) => token === "u")!.useCount).toBe(0);
    expect(brokenState(emptyMesh)).toBeNull();
  });
});
