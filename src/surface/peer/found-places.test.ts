import { afterEach, expect, test } from "bun:test";
import { findingLinks } from "./found-places.ts";
import { introduce, isLinked, type LinkNode, LinkNodes, until } from "./links.fixture.ts";

let nodes = new LinkNodes();
afterEach(async () => {
  await nodes.close();
  nodes = new LinkNodes();
});

test("C-8 a member that moved is dialled where it was found; somebody else there is not taken for it", async () => {
  const [a, b, other] = (await nodes.several(3)) as [LinkNode, LinkNode, LinkNode];
  for (const node of [a, b, other]) await node.open();
  const found = new Map<string, readonly string[]>();
  let members: readonly string[] = [];
  const links = findingLinks(a.links!, {
    setMembers: (known) => void (members = known.map(({ node }) => node)),
    placesOf: (node) => found.get(node) ?? [],
  });
  const moved = b.member({ places: ["127.0.0.1:1"] });
  links.setMembers([moved]);
  b.links!.setMembers([a.member({ places: [] })]);
  expect(members).toEqual([b.id]);
  await until("the old address failed", () => a.view(b)!.failureCount > 0);
  // Where it is said to be, another node answers: not with the certificate the mesh names.
  found.set(b.id, other.places);
  links.heard();
  await until("the stranger was refused", () => a.view(b)!.reason?.code === "certificate_changed");
  expect(a.view(b)!.state).toBe("refused");
  found.set(b.id, b.places);
  links.heard();
  await until("the two are linked", () => isLinked(a, b));
  expect(a.view(b)!.place).toBe(b.places[0]!);
  links.heard();
  expect(a.reached).toEqual([`+${b.id}`]);
});

test("C-8 found places add to the stated ones, which are dialled first", async () => {
  const [a, b] = (await nodes.several(2)) as [LinkNode, LinkNode];
  for (const node of [a, b]) await node.open();
  introduce(b, a);
  const links = findingLinks(a.links!, {
    setMembers() {},
    placesOf: () => ["127.0.0.1:1", ...b.places],
  });
  links.setMembers([b.member()]);
  await until("the two are linked", () => isLinked(a, b));
  expect(links.views()[0]!.failureCount).toBe(0);
});
