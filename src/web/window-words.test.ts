import { expect, test } from "bun:test";
import {
  deadlineText,
  doingText,
  happeningText,
  judgedText,
  legendOf,
  phaseText,
  savingText,
  verdictsText,
  waitText,
} from "./window-words.ts";
import { fixtureEvents, fixtureMesh, fixtureWindows } from "./window.fixture.ts";

const { participants, window } = fixtureMesh();

test("W-12 a phase is told with what it is owed to, and what goes on needs no words", () => {
  expect(phaseText({ phase: "active", reason: "" })).toBe("");
  expect(phaseText({ phase: "failed", reason: "windows_held" })).toBe(
    "It cannot go on: windows held.",
  );
  expect(phaseText({ phase: "of-a-newer-node", reason: "some_reason" })).toBe("Some reason.");
});

test("W-12 what a stage waits for and until when", () => {
  expect(waitText(window!)).toBe("2 of 4 have contributed");
  const sealed = { ...window!, stage: "sealed", verdictCount: 3, verdictWantedCount: 4 };
  expect(waitText(sealed)).toBe("3 of 4 verdicts are in");
  expect(waitText({ ...window!, stage: "scored", computedCount: 1 })).toBe(
    "1 of 4 have the next revision",
  );
  expect(deadlineText(98_400)).toBe("1 min 39 s left at most");
  expect(deadlineText(-1)).toBe("the time of this stage is over");
});

test("W-12 what everybody does now, in words", () => {
  expect(participants.map(doingText)).toEqual([
    ...["trains, step 19 of 32", "has contributed", "trains 16 steps", "out of this run"],
    "has contributed",
  ]);
});

test("W-12 verdicts are told with who gave them and what was recomputed", () => {
  const judged = fixtureWindows[9]!;
  const nameOf = (node: string) => node.slice(0, 9);
  expect(verdictsText(judged)).toBe("3 accepted, 1 rejected");
  expect(judgedText(judged.parts[3]!, nameOf)).toBe("psnab3cab: rejected, segment 3 recomputed");
  const waiting = { ...judged.parts[3]!, verdicts: [] };
  expect(judgedText(waiting, nameOf)).toBe("psnab3cab: not yet");
  expect(verdictsText(fixtureWindows[20]!)).toBe("–");
});

test("what happened is a sentence; of a newer node's kinds too", () => {
  const told = fixtureEvents.map(happeningText);
  expect(told).toContain("window 7: psndq7fdq was given work and gave nothing");
  expect(told).toContain("window 15: changed nothing (nobody contributed)");
  const event = { ...fixtureEvents[0]!, kind: "some_thing" };
  expect(happeningText(event)).toBe("psnab3cab some thing");
  expect(legendOf([...fixtureEvents, event]).map(([letter]) => letter)).toEqual([
    ...["B", "J", "X", "R", "C", "H", "S"],
  ]);
});

test("bytes against uncompressed ones", () => {
  expect(savingText(31_870, 3_311_616)).toBe("104× less than dense");
  expect(savingText(1_000, 3_980)).toBe("4.0× less than dense");
  expect(savingText(1_000, 1_000)).toBe("as much as dense");
  expect(savingText(1_000, null)).toBe("–");
  expect(savingText(0, 0)).toBe("–");
});
