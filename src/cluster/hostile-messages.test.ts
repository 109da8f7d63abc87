import { expect, test } from "bun:test";
import fc from "fast-check";
import { Fold } from "#src/log/fold.ts";
import type { JsonObject } from "#src/peer/signed-document.ts";
import { MeshFold } from "./mesh-fold.ts";
import { ClusterNode } from "./node.ts";
import { sessionMaximum, startOf } from "./node.fixture.ts";
import { readNodeMessage } from "./read-node-message.ts";

/** Small numbers meet what a node holds more often than large ones. */
const number = fc.oneof(
  { weight: 8, arbitrary: fc.nat(6) },
  fc.constantFrom(2 ** 31, 2 ** 48, Number.MAX_SAFE_INTEGER),
);
const id = fc.constantFrom("a", "b", "c", "x", "");
const ids = fc.array(id, { maxLength: 4 });
const membership = fc.record({ voters: ids, learners: ids });
const payload = fc.oneof(
  fc.string({ maxLength: 12 }),
  fc.json({ maxDepth: 2 }),
  fc.record({ kind: fc.constant("open") }).map((each) => JSON.stringify(each)),
  fc
    .record({ kind: fc.constant("command"), session: number, number, body: fc.json() })
    .map((each) => JSON.stringify(each)),
);
const place = { index: number, term: number };
const entry = fc.oneof(
  fc.record({ ...place, kind: fc.constant("event"), payload }),
  fc.record({ ...place, kind: fc.constant("membership"), membership }),
  fc.record({ ...place, kind: fc.constant("empty") }),
);
const entries = fc.oneof(
  fc.array(entry, { maxLength: 4 }),
  // Runs without holes get further.
  fc
    .tuple(fc.nat(4), fc.array(entry, { maxLength: 4 }))
    .map(([from, run]) => run.map((each, at) => ({ ...each, index: from + at, term: 2 }))),
);
const state = fc.oneof(
  fc.string({ maxLength: 12 }),
  fc.json({ maxDepth: 2 }),
  fc.constant(new Fold(new MeshFold(), sessionMaximum, null).save()),
);
const head = { from: fc.constantFrom("b", "c", "x"), to: fc.constant("a"), term: number };
const last = { lastIndex: number, lastTerm: number };
const round = fc.oneof(fc.constant(-1), number);
const message = fc.oneof(
  fc.record({ ...head, kind: fc.constant("pre-vote"), ...last }),
  fc.record({ ...head, kind: fc.constant("pre-vote-reply"), granted: fc.boolean() }),
  fc.record({ ...head, kind: fc.constant("vote"), ...last, transfer: fc.boolean() }),
  fc.record({ ...head, kind: fc.constant("vote-reply"), granted: fc.boolean() }),
  fc.record({
    ...{ ...head, kind: fc.constant("append"), previousIndex: number, previousTerm: number },
    ...{ entries, commitIndex: number, round },
  }),
  fc.record({
    ...{ ...head, kind: fc.constant("append-reply"), accepted: fc.boolean() },
    ...{ index: number, indexTerm: number, round },
  }),
  fc.record({
    ...{ ...head, kind: fc.constant("snapshot"), round },
    snapshot: fc.record({ ...place, membership, state }),
  }),
  fc.record({ ...head, kind: fc.constant("elect-now") }),
);
/** What is said beside the log, in bodies of their kinds. */
const ticket = number;
const outcome = fc.oneof(
  fc.record({ kind: fc.constant("done"), index: number, result: fc.oneof(fc.json(), payload) }),
  fc.record({ kind: fc.constant("uncertain"), leader: id }),
  fc.record({ kind: fc.constant("refused"), reason: fc.constant("busy"), leader: id }),
);
const beside = fc.oneof(
  fc.record({
    kind: fc.constant("submit"),
    body: fc.record({
      ...{ ticket, request: fc.constant(null) },
      session: fc.oneof(fc.constant(null), fc.record({ id: number, number })),
    }),
  }),
  fc.record({ kind: fc.constant("read"), body: fc.record({ ticket }) }),
  fc.record({ kind: fc.constant("outcome"), body: fc.record({ ticket, outcome }) }),
);
const said = fc.oneof(
  { weight: 4, arbitrary: message.map((each) => ({ kind: "log", body: { message: each } })) },
  { weight: 1, arbitrary: beside },
);
const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.tuple(said, head.from).map(([{ kind, body }, other]) => ({
      ...{ ticks: 0, kind, body },
      from: "message" in body ? body.message.from : other,
    })),
  },
  { weight: 1, arbitrary: fc.nat(25).map((ticks) => ({ ticks, kind: "", body: {}, from: "" })) },
);

test("C-2 C-4 no word of another node brings an assertion about", () => {
  let takenCount = 0;
  const run = (
    steps: readonly { ticks: number; kind: string; body: JsonObject; from: string }[],
  ) => {
    const node = new ClusterNode(
      {
        ...{ id: "a", draw: () => 0.5, meaning: new MeshFold(), sessionMaximum },
        tuning: { heartbeatTicks: 2, electionTicks: 10, entriesPerMessage: 64 },
        ...{ snapshotEvery: 4, keptEntries: 1, voterMaximum: 7, wallMs: () => 1_000 },
      },
      startOf(["a", "b", "c"]),
    );
    // A command and a read of its own are under way, whose answers others make up.
    node.step({ kind: "sync", request: 1, patienceTicks: 50 });
    const feed = (input: Parameters<ClusterNode["step"]>[0]) => {
      for (const effect of node.step(input))
        if (effect.kind === "store") feed({ kind: "stored", token: effect.token });
    };
    for (const { ticks, kind, body, from } of steps) {
      for (let count = ticks; count > 0; count--) feed({ kind: "tick" });
      const message = readNodeMessage(kind, body);
      if (message === null) continue;
      const { refusedCount } = node;
      feed({ kind: "heard", from, message });
      if (node.refusedCount === refusedCount) takenCount++;
    }
  };
  fc.assert(fc.property(fc.array(step, { maxLength: 30 }), run), { numRuns: 1_500 });
  expect(takenCount).toBeGreaterThan(1_000);
});
