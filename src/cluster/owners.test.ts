import { describe, expect, test } from "bun:test";
import { ownerMaximum } from "./bounds.ts";
import { brokenState } from "./invariants.ts";
import { admission, foundedMesh, readiness, tokenCommand } from "./mesh.fixture.ts";
import { authorityDigest } from "./state.ts";

const own = (node: string, isOwner = true) => ({ kind: "owner-set" as const, node, isOwner });
const left = (node: string) => ({ kind: "node-left" as const, node, epoch: 1 });
const evicted = (node: string) => ({ kind: "node-evicted" as const, node, reason: "a test" });

describe("C-3 owners of a mesh", () => {
  test("C-3 the founder is the one owner, and makes others, who may all that it may", () => {
    const mesh = foundedMesh(true);
    expect(mesh.state).toMatchObject({ founder: "a", owners: ["a"] });
    expect(mesh.codeOf("b", "owner", tokenCommand("x"))).toBe("scope_lacking");
    expect(mesh.codeOf("b", "owner", own("b"))).toBe("scope_lacking");
    const before = authorityDigest(mesh.state);
    expect(mesh.codeOf("a", "owner", own("b"))).toBe("done");
    expect(mesh.codeOf("a", "owner", own("b"))).toBe("done");
    expect(mesh.state.owners).toEqual(["a", "b"]);
    expect(authorityDigest(mesh.state)).not.toBe(before);
    expect(mesh.codeOf("b", "owner", tokenCommand("x"))).toBe("done");
    const { provenance } = mesh.state;
    expect(provenance.find(({ subject }) => subject === "member b")?.author).toBe("a");
  });

  test("C-6 an owner neither leaves nor is evicted until it is one no longer, the founder too", () => {
    const mesh = foundedMesh(true);
    mesh.ask("a", "owner", own("b"));
    expect(mesh.codeOf("b", "self", left("b"))).toBe("member_standing_wrong");
    expect(mesh.codeOf("b", "owner", evicted("a"))).toBe("member_standing_wrong");
    expect(mesh.codeOf("b", "owner", own("a", false))).toBe("done");
    expect(mesh.codeOf("a", "owner", tokenCommand("x"))).toBe("scope_lacking");
    expect(mesh.codeOf("a", "self", left("a"))).toBe("done");
    expect(mesh.state).toMatchObject({ founder: "a", owners: ["b"] });
    expect(mesh.codeOf("b", "owner", tokenCommand("again"))).toBe("done");
    expect(brokenState(mesh.state)).toBeNull();
  });

  test("C-3 there is always one, live, and there are not too many", () => {
    const mesh = foundedMesh(true);
    expect(mesh.codeOf("a", "owner", own("a", false))).toBe("owner_last");
    expect(mesh.codeOf("a", "owner", own("z"))).toBe("member_unknown");
    expect(mesh.codeOf("a", "owner", own("z", false))).toBe("member_unknown");
    expect(mesh.codeOf("a", "owner", own("b", false))).toBe("done");
    mesh.ask("a", "owner", evicted("b"));
    expect(mesh.codeOf("a", "owner", own("b"))).toBe("member_unknown");
    mesh.ask("a", "owner", tokenCommand("many", true));
    for (let count = 1; count <= ownerMaximum; count++) {
      const node = `n${count}`;
      mesh.ask("a", "membership", admission(node, "many"));
      mesh.ask(node, "self", readiness(node));
      const isRoom = count < ownerMaximum;
      expect(mesh.codeOf("a", "owner", own(node))).toBe(isRoom ? "done" : "mesh_full");
    }
    expect(mesh.state.owners).toHaveLength(ownerMaximum);
    expect(brokenState({ ...mesh.state, owners: [] })).toContain("owners");
    expect(brokenState({ ...mesh.state, owners: ["b"] })).toContain("no member");
  });
});
