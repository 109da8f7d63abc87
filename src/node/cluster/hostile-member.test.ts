import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { digestBytes } from "#src/codec/digest.ts";
import { emptyMesh, stateText } from "#src/cluster/state.ts";
import type { JsonObject } from "#src/peer/signed-document.ts";
import { pairOf } from "./pair.fixture.ts";
import { FakeNetwork, type SessionHome, tickUntil } from "./session.fixture.ts";

/** What a member says that is not this program, to a node that is: none of it may end or mislead the node. */

let network: FakeNetwork;
let one: SessionHome;
let two: SessionHome;

beforeEach(async () => {
  network = new FakeNetwork();
  [one, two] = await pairOf(network);
});

afterEach(async () => {
  await one[Symbol.asyncDispose]();
  await two[Symbol.asyncDispose]();
});

const termOf = (home: SessionHome) => home.session.standing().term;
const lastOf = (home: SessionHome) => home.session.replica.core.lastIndex;

/** A message of the log as `two` sends it to `one`, with the envelope that names it truly. */
function say(message: JsonObject): void {
  const body = { message: { from: two.node, to: one.node, ...message } };
  network.handlers
    .get(one.node)!
    .message({ node: two.node, epoch: 1, path: "direct" }, "log", body);
}

/** A text no other test asks for is written by both, so both still take part. */
async function expectAlive(): Promise<void> {
  const value = digestBytes(String(performance.now())).slice(0, 12);
  let isDone = false;
  const label = { kind: "node-labelled", node: one.node, label: "alive", value } as const;
  const said = one.session.submit("owner", label).then(() => (isDone = true));
  await tickUntil(network, [one, two], () => isDone);
  await said;
  const labelled = (home: SessionHome) => JSON.stringify(home.session.state).includes(value);
  await tickUntil(network, [one, two], () => labelled(one) && labelled(two));
  expect(one.session.replica.hasFailed).toBe(false);
  expect(one.session.failure).toBeNull();
}

const append = (changes: JsonObject): JsonObject => ({
  ...{ kind: "append", term: termOf(one) + 1, previousIndex: lastOf(one) },
  ...{ previousTerm: one.session.replica.core.history.lastTerm, commitIndex: 0, round: 1 },
  entries: [],
  ...changes,
});
const empty = (index: number, term: number) => ({ index, term, kind: "empty" });
const event = (index: number, term: number, payload: string) => ({
  ...{ index, term, kind: "event", payload },
});

function snapshot(state: string, changes: JsonObject = {}): JsonObject {
  const term = termOf(one) + 1;
  const index = lastOf(one) + 10;
  const membership = { voters: [one.node, two.node].toSorted(), learners: [] };
  return {
    ...{ kind: "snapshot", term, round: 1 },
    snapshot: { index, term, membership, state, ...changes },
  };
}

const stateOf = (mesh: string, sessions: unknown = []) =>
  JSON.stringify({ index: lastOf(one) + 10, sessions, state: mesh });

describe("C-2 C-3 what a member says of the log ends no honest node", () => {
  const forged: readonly (readonly [string, () => JsonObject])[] = [
    ["entries with a hole", () => append({ entries: [empty(lastOf(one) + 2, termOf(one) + 1)] })],
    ["an entry of index 0", () => append({ entries: [empty(0, termOf(one) + 1)] })],
    ["terms that go down", () => append({ entries: [empty(lastOf(one) + 1, 0)] })],
    [
      "an entry of a later term than its leader's",
      () => append({ entries: [empty(lastOf(one) + 1, termOf(one) + 9)] }),
    ],
    [
      "others in place of what is committed",
      () => append({ previousIndex: 0, previousTerm: 0, entries: [empty(1, termOf(one) + 1)] }),
    ],
    ["that it leads the term in which this node does", () => append({ term: termOf(one) })],
    [
      "an event that is no JSON",
      () => {
        const [index, term] = [lastOf(one) + 1, termOf(one) + 1];
        return append({ commitIndex: index, entries: [event(index, term, "{")] });
      },
    ],
    [
      "an event of no session",
      () => {
        const [index, term] = [lastOf(one) + 1, termOf(one) + 1];
        const payload = JSON.stringify({ kind: "command", session: 1, number: 1, body: null });
        return append({ commitIndex: index, entries: [event(index, term, payload)] });
      },
    ],
    [
      "a membership of nobody",
      () => {
        const [index, term] = [lastOf(one) + 1, termOf(one) + 1];
        const membership = { voters: [], learners: [] };
        return append({ entries: [{ index, term, kind: "membership", membership }] });
      },
    ],
    ["a snapshot that is no JSON", () => snapshot("{")],
    ["a snapshot of another index", () => snapshot(stateOf(stateText(emptyMesh)), { index: 99 })],
    ["a snapshot of no state", () => snapshot(stateOf("{}"))],
    ["a snapshot of half a state", () => snapshot(stateOf('{"members":[]}'))],
    [
      "a snapshot with sessions that are none",
      () => snapshot(stateOf(stateText(one.session.state), [{ id: "a" }])),
    ],
    [
      "a snapshot of another mesh",
      () => snapshot(stateOf(stateText({ ...one.session.state, mesh: "psmother" }))),
    ],
    [
      "a snapshot with another founder",
      () => snapshot(stateOf(stateText({ ...one.session.state, founder: two.node }))),
    ],
    [
      "a snapshot with a list that is none",
      () => snapshot(stateOf(stateText({ ...one.session.state, tokens: 7 as never }))),
    ],
    ["a term after which there is none", () => append({ term: Number.MAX_SAFE_INTEGER })],
  ];
  for (const [what, make] of forged)
    test(what, async () => {
      const state = stateText(one.session.state);
      const { mesh, founder } = one.session.state;
      say(make());
      expect(one.session.replica.hasFailed).toBe(false);
      expect(stateText(one.session.state)).toBe(state);
      expect(one.session.unsoundCount).toBe(1);
      await expectAlive();
      expect(one.session.state).toMatchObject({ mesh, founder });
      await one.stop();
      await one.start();
      await expectAlive();
    });
});

describe("C-4 who has not the role coordinator neither leads nor deposes", () => {
  beforeEach(async () => {
    await one[Symbol.asyncDispose]();
    await two[Symbol.asyncDispose]();
    [one, two] = await pairOf(network, ["trainer"]);
  });

  const claims: readonly (readonly [string, () => JsonObject])[] = [
    ["as a leader of the next term", () => append({})],
    [
      "as a candidate, as if the leader had asked for it",
      () => ({
        ...{ kind: "vote", term: termOf(one) + 1, transfer: true },
        ...{ lastIndex: lastOf(one) + 1, lastTerm: termOf(one) + 1 },
      }),
    ],
    [
      "as one who heard of a later term",
      () => ({ kind: "vote-reply", term: termOf(one) + 1, granted: false }),
    ],
    [
      "as a follower of a later term",
      () => ({
        ...{ kind: "append-reply", term: termOf(one) + 1, accepted: false },
        ...{ index: 0, indexTerm: 0, round: 1 },
      }),
    ],
    ["as a leader with a snapshot", () => snapshot(stateOf(stateText(one.session.state)))],
  ];
  for (const [what, make] of claims)
    test(what, async () => {
      const term = termOf(one);
      say(make());
      expect(one.session.standing()).toMatchObject({ role: "leader", term });
      await expectAlive();
      expect(termOf(one)).toBe(term);
    });
});
