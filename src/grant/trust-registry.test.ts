import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { nodeIdOf } from "#src/receipt/signature.ts";
import { codeOf, grantNode, keyOf, type GrantNode } from "./grant.fixture.ts";
import { meshIdOf } from "./mesh.ts";

const hourMs = 3_600_000;
const first = keyOf(21);
const second = keyOf(22);
const third = keyOf(23);

let node: GrantNode;
/** Another node, whose first key is `first`. */
let other: GrantNode;
beforeEach(() => {
  node = grantNode();
  other = grantNode({ key: first, clock: node.moved });
});
afterEach(() => {
  node.close();
  other.close();
});

const rotationsOf = (each: GrantNode) =>
  each.log
    .list({ kind: "key.rotated", limit: 10 })
    .map(({ receipt }) => receipt)
    .toReversed();

describe("A-4 who is trusted how far", () => {
  test("A-4 a key nobody entered is provisional, under the id that follows from it", () => {
    expect(node.trust.lookup(first.publicKey)).toEqual({
      ...{ nodeId: nodeIdOf(first.publicKey), registered: "provisional" },
    });
  });

  test("A-4 an entry counts, changes keep when it was made, and each leaves a receipt", () => {
    const made = node.trust.set({ publicKey: first.publicKey, tier: "member", note: "Ada" });
    node.moved.nowMs += hourMs;
    const changed = node.trust.set({ publicKey: first.publicKey, tier: "blocked" });
    expect(changed).toEqual({ ...made, tier: "blocked", updatedMs: made.updatedMs + hourMs });
    expect(node.trust.lookup(first.publicKey).registered).toBe("blocked");
    expect(node.trust.list()).toEqual([changed]);
    node.trust.forget(made.nodeId);
    expect(node.trust.lookup(first.publicKey).registered).toBe("provisional");
    const bodies = node.log
      .list({ kind: "trust.set", limit: 9 })
      .map(({ receipt }) => receipt.body);
    expect(bodies.toReversed()).toEqual([
      { publicKey: first.publicKey, tier: "member", before: null },
      { publicKey: first.publicKey, tier: "blocked", before: "member" },
      { publicKey: first.publicKey, tier: "provisional", before: "blocked" },
    ]);
  });

  test("A-4 nobody registers the node itself, nor forgets who was never entered", () => {
    expect(codeOf(() => node.trust.set({ publicKey: node.key.publicKey, tier: "owner" }))).toBe(
      "usage",
    );
    expect(codeOf(() => node.trust.forget(first.publicKey))).toBe("not_found");
  });

  test("A-4 a mesh is named after its founder", () => {
    expect(meshIdOf(node)).toMatch(/^psm[a-z2-7]{32}$/);
    expect(meshIdOf(node)).toBe(node.mesh);
    expect(meshIdOf(other)).not.toBe(node.mesh);
  });
});

describe("I-6 a peer that rotates its key", () => {
  test("I-6 stays who it was by the rotations that come along, and they are remembered", () => {
    node.trust.set({ publicKey: first.publicKey, tier: "trusted" });
    other.log.rotate(second, hourMs);
    expect(node.trust.lookup(second.publicKey).registered).toBe("provisional");
    const known = { nodeId: nodeIdOf(first.publicKey), registered: "trusted" };
    expect(node.trust.lookup(second.publicKey, rotationsOf(other))).toEqual(known as never);
    expect(node.trust.lookup(second.publicKey)).toEqual(known as never);
    expect(node.trust.find(known.nodeId)?.publicKey).toBe(second.publicKey);
    expect(node.log.list({ kind: "trust.rotated", limit: 2 })).toHaveLength(1);
  });

  test("I-6 its old key counts until the overlap ends, then as nobody's", () => {
    node.trust.set({ publicKey: first.publicKey, tier: "trusted" });
    other.log.rotate(second, hourMs);
    node.trust.lookup(second.publicKey, rotationsOf(other));
    expect(node.trust.lookup(first.publicKey).registered).toBe("trusted");
    node.moved.nowMs += hourMs;
    expect(node.trust.lookup(first.publicKey).registered).toBe("provisional");
    expect(node.trust.lookup(second.publicKey).registered).toBe("trusted");
  });

  test("I-6 stays blocked under every key it had or has", () => {
    node.trust.set({ publicKey: first.publicKey, tier: "blocked" });
    other.log.rotate(second, 0);
    node.moved.nowMs += hourMs;
    expect(node.trust.lookup(second.publicKey, rotationsOf(other)).registered).toBe("blocked");
    expect(node.trust.lookup(first.publicKey).registered).toBe("blocked");
  });

  test("I-6 rotations that do not lead to the key, or were changed, prove nothing", () => {
    node.trust.set({ publicKey: first.publicKey, tier: "trusted" });
    other.log.rotate(second, hourMs);
    const [rotation] = rotationsOf(other);
    const changed = { ...rotation!, atMs: rotation!.atMs + 1 };
    expect(codeOf(() => node.trust.lookup(third.publicKey, [rotation!]))).toBe(
      "receipt_author_wrong",
    );
    expect(codeOf(() => node.trust.lookup(second.publicKey, [changed]))).not.toBe("accepted");
    expect(node.trust.find(first.publicKey)?.publicKey).toBe(first.publicKey);
  });

  test("I-6 entries made under several of its keys become one, trusted as the least", () => {
    other.log.rotate(second, hourMs);
    other.log.rotate(third, hourMs);
    node.trust.set({ publicKey: first.publicKey, tier: "trusted" });
    node.trust.set({ publicKey: third.publicKey, tier: "member" });
    expect(node.trust.lookup(third.publicKey, rotationsOf(other))).toEqual({
      ...{ nodeId: nodeIdOf(first.publicKey), registered: "member" },
    });
    expect(node.trust.list()).toHaveLength(1);
  });

  test("I-6 a history that parts from the known one is refused", () => {
    const twin = grantNode({ key: first, clock: node.moved });
    other.log.rotate(second, hourMs);
    twin.log.append("x", "x", {});
    twin.log.rotate(third, hourMs);
    node.trust.set({ publicKey: second.publicKey, rotations: rotationsOf(other), tier: "member" });
    expect(codeOf(() => node.trust.lookup(third.publicKey, rotationsOf(twin)))).toBe(
      "trust_bundle_wrong",
    );
    twin.close();
  });
});
