import { expect, test } from "bun:test";
import { fixtureRows, fixtureStatus } from "./mesh.fixture.ts";
import * as words from "./mesh-words.ts";

const [self, relayed, degraded, refused, offline] = fixtureRows;

test("C-6 a standing in words says what only this node suspects", () => {
  expect(fixtureRows.map(words.standingText)).toEqual([
    ...["ready", "ready", "ready", "ready, suspected", "offline", "evicted"],
  ]);
  expect(fixtureRows.filter(words.isGone)).toHaveLength(1);
});

test("C-7 figures of links and nodes have units, and what is unknown is a dash", () => {
  expect([240, 2_400, 188_000, null].map(words.roundTripText)).toEqual([
    ...["240 µs", "2.40 ms", "188 ms", "–"],
  ]);
  expect([2, -1_400, 0, null].map(words.skewText)).toEqual(["+2.00 ms", "−1.4 s", "+0 s", "–"]);
  expect([0, 70_000, 500].map(words.lossText)).toEqual(["0\u202f%", "7.0\u202f%", "0.1\u202f%"]);
  expect([words.loadText(self!.facts), words.loadText(null)]).toEqual(["42\u202f%", "–"]);
  expect([null, 0, 2_048].map(words.rateText)).toEqual(["–", "–", "2.00\u202fKiB/s"]);
  expect(words.speedText(self!.facts)).toBe("5.12k");
  expect(words.speedText({ exactTokensPerSecond: 0 })).toBe("–");
  expect([null, 800, 93_000].map(words.heardText)).toEqual(["never", "just now", "1 min ago"]);
  expect(words.labelsText(self!.labels)).toBe("rack=b4");
  expect(words.labelsText([])).toBe("–");
});

test("I-5 a link and the claims behind it, with the reason where they are not what they should be", () => {
  const nameOf = (node: string) => node.slice(0, 4);
  expect(words.linkText(relayed!.link, nameOf)).toBe("connected through psnh");
  expect(words.linkText(degraded!.link, nameOf)).toBe("degraded");
  expect(words.linkText(null, nameOf)).toBe("–");
  expect([relayed, refused, offline].map((row) => words.claimsText(row!.link!.claims))).toEqual([
    ...["unavailable", "refused", "–"],
  ]);
  expect(words.postureText(refused!.link!.claims)).toBe("required / none");
  expect(words.troubleText(refused!.link!)).toBe(
    "it sends no claims, and this node requires them (claims_missing); no claims came",
  );
  expect(words.troubleText({ reason: null, claims: null })).toBe("");
});

test("C-4 C-11 the mesh says what it is and whether it can decide", () => {
  expect(words.meshPostureText(fixtureStatus.posture)).toStartWith("trusted-lan: whoever");
  expect(words.meshPostureText({ ...fixtureStatus.posture, posture: "new" })).toBe("new");
  expect(words.quorumText(fixtureStatus)).toBe("3 of 3 heard, 2 needed");
  expect(words.quorumText({ ...fixtureStatus, heardCount: 1, hasQuorum: false })).toContain(
    "nothing can be decided",
  );
  expect(words.quorumText({ ...fixtureStatus, voters: [] })).toBe("one node decides alone");
  expect(words.driftText({ node: "psna", why: "not_member" })).toContain("is no member");
  expect(words.partText({ part: "leader" })).toBe("coordinator");
  expect(words.partText({ part: "none" })).toBe("–");
});
