import { afterEach, describe, expect, test } from "bun:test";
import { introduce, isLinked, LinkNodes, until } from "./links.fixture.ts";

let nodes = new LinkNodes();
afterEach(async () => {
  await nodes.close();
  nodes = new LinkNodes();
});

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
    const inOrder = Array.from({ length: 200 }, (_, number) => number);
    for (const [a, b] of pairs) expect(a.numbersFrom(b)).toEqual(inOrder);
    for (const { bugs, links } of three) {
      expect(bugs).toEqual([]);
      expect(links!.refusals()).toEqual({});
    }
  });
});
