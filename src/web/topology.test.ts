import { expect, test } from "bun:test";
import * as v from "valibot";
import { measuredLink, nodeResult } from "#src/cluster/node-rows.ts";
import { statusResult } from "#src/cluster/status-result.ts";
import { fixtureIds, fixtureLinks, fixtureRows, fixtureStatus, manyRows } from "./mesh.fixture.ts";
import { topologyOf } from "./topology.ts";

test("the answers the page is tested with are answers the commands give", () => {
  const issues = [
    ...[...fixtureRows, ...manyRows(3)].map((row) => v.safeParse(nodeResult, row).issues),
    ...fixtureLinks.map((link) => v.safeParse(measuredLink, link).issues),
    v.safeParse(statusResult, fixtureStatus).issues,
  ];
  expect(issues.filter((each) => each !== undefined)).toEqual([]);
});

const topology = topologyOf(fixtureRows, fixtureLinks);

test("C-7 this node is first, the coordinator marked, who is gone not there", () => {
  expect(topology.nodes.map(({ node }) => node)).toEqual([
    ...[fixtureIds.self, fixtureIds.relayed, fixtureIds.degraded],
    ...[fixtureIds.refused, fixtureIds.offline],
  ]);
  expect(topology.nodes.map(({ isCoordinator }) => isCoordinator)).toEqual([
    ...[false, true, false, false, false],
  ]);
  expect(topology.nodes.map(({ note }) => note)).toEqual([
    ...["this node", "coordinator", "", "suspected", "offline"],
  ]);
  const moved = topologyOf([fixtureRows[4]!, fixtureRows[0]!], []);
  expect(moved.nodes[0]!.isSelf).toBe(true);
});

test("C-7 offline and suspected members are faded, the others are not", () => {
  expect(topology.nodes.map(({ isFaded }) => isFaded)).toEqual([false, false, false, true, true]);
});

test("C-8 each state of a link has a look, and a way through another member has dashes", () => {
  const own = topology.links.filter(({ tone }) => tone !== "told");
  expect(own.map(({ to, tone, isRelayed }) => [to, tone, isRelayed])).toEqual([
    [1, "up", true],
    [2, "degraded", false],
    [3, "refused", false],
    [4, "down", false],
  ]);
  expect(own[0]!.words).toBe("to psndq7fdq: connected through psnhm5khm, 41 ms");
  expect(own[3]!.words).toBe("to psnvz6xvz: unreachable");
  const odd = { ...fixtureRows[1]!, link: { ...fixtureRows[1]!.link!, state: "new-in-a-version" } };
  expect(topologyOf([fixtureRows[0]!, odd], []).links[0]!.tone).toBe("down");
});

test("links between others are drawn once, below this node's own, and not twice what it sees itself", () => {
  const told = topology.links.filter(({ tone }) => tone === "told");
  expect(told.map(({ from, to, isRelayed }) => [from, to, isRelayed])).toEqual([
    [1, 2, false],
    [1, 3, true],
  ]);
  expect(topology.links.indexOf(told.at(-1)!)).toBe(told.length - 1);
  const stranger = { ...fixtureLinks[0]!, from: fixtureIds.evicted };
  expect(topologyOf(fixtureRows, [stranger]).links.some(({ tone }) => tone === "told")).toBe(false);
});

test("the picture is told in a sentence", () => {
  expect(topology.words).toBe(
    "5 nodes, coordinator psndq7fdq; this node's links: 1 connected, 1 degraded, 1 unreachable, " +
      "1 refused, 1 of them through another node. The tables below have every fact.",
  );
  const alone = { ...fixtureRows[0]!, part: "none" };
  expect(topologyOf([alone], []).words).toBe(
    "1 node, nobody coordinates; no links. The tables below have every fact.",
  );
});
