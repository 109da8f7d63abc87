import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { NodeMessage } from "./node-message.ts";
import { nodeMessageBody, readNodeMessage } from "./read-node-message.ts";

const head = { from: "a", to: "b", term: 2 };
const membership = { voters: ["a"], learners: ["b"] };
const request = {
  ...({ author: "b", scope: "self", policy: null } as const),
  command: { kind: "node-draining", node: "b" } as const,
};

/** One of each thing that members say. */
const messages: readonly NodeMessage[] = [
  { kind: "log", message: { ...head, kind: "pre-vote", lastIndex: 3, lastTerm: 1 } },
  { kind: "log", message: { ...head, kind: "vote", lastIndex: 3, lastTerm: 1, transfer: true } },
  { kind: "log", message: { ...head, kind: "vote-reply", granted: false } },
  {
    kind: "log",
    message: {
      ...{ ...head, kind: "append", previousIndex: 1, previousTerm: 1, commitIndex: 2, round: 9 },
      entries: [
        { index: 2, term: 2, kind: "empty" },
        { index: 3, term: 2, kind: "event", payload: "{}" },
        { index: 4, term: 2, kind: "membership", membership },
      ],
    },
  },
  {
    kind: "log",
    message: {
      ...{ ...head, kind: "append-reply", accepted: false, index: 1, indexTerm: 1, round: -1 },
    },
  },
  {
    kind: "log",
    message: {
      ...{ ...head, kind: "snapshot", round: 0 },
      snapshot: { index: 9, term: 2, membership, state: "{}" },
    },
  },
  { kind: "log", message: { ...head, kind: "elect-now" } },
  { kind: "submit", ticket: 1, session: null, request: null },
  { kind: "submit", ticket: 2, session: { id: 7, number: 1 }, request },
  { kind: "read", ticket: 3 },
  { kind: "outcome", ticket: 1, outcome: { kind: "done", index: 4, result: "{}" } },
  { kind: "outcome", ticket: 1, outcome: { kind: "refused", reason: "busy", leader: "" } },
  { kind: "outcome", ticket: 1, outcome: { kind: "unapplied", reason: "session_unknown" } },
  { kind: "outcome", ticket: 1, outcome: { kind: "uncertain", leader: "a" } },
  {
    kind: "outcome",
    ticket: 1,
    outcome: { kind: "denied", code: "scope_lacking", message: "no", hint: "ask" },
  },
];

describe("C-2 what members say to each other", () => {
  test("everything that is sent is read as it was", () => {
    for (const message of messages) {
      const body = JSON.parse(JSON.stringify(nodeMessageBody(message))) as Record<string, unknown>;
      expect(body).not.toHaveProperty("kind");
      expect(readNodeMessage(message.kind, body)).toEqual(message);
    }
  });

  test("what nobody says is nothing: other kinds, other fields, numbers that are none", () => {
    const beat = nodeMessageBody(messages[0]!) as { message: Record<string, unknown> };
    expect(readNodeMessage("gossip", beat)).toBeNull();
    expect(readNodeMessage("read", { ticket: 1, more: 1 })).toBeNull();
    for (const term of [-1, 0.5, "2", null, 2 ** 60])
      expect(readNodeMessage("log", { message: { ...beat.message, term } })).toBeNull();
    const entry = { index: 1, term: 1, kind: "event", payload: "x".repeat(200_000) };
    const append = messages[3]! as { message: object };
    expect(readNodeMessage("log", { message: { ...append.message, entries: [entry] } })).toBeNull();
  });

  test("whatever comes, reading throws nothing", () => {
    fc.assert(
      fc.property(fc.string(), fc.dictionary(fc.string(), fc.jsonValue()), (kind, body) => {
        readNodeMessage(kind, body);
        for (const known of ["log", "submit", "read", "outcome"]) readNodeMessage(known, body);
      }),
      { numRuns: 500, seed: 4 },
    );
  });
});
