import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { reduce } from "#src/cluster/reduce.ts";
import type { Event } from "#src/cluster/event.ts";
import { emptyMesh, type Member, type MeshState } from "#src/cluster/state.ts";
import { digestJson } from "#src/codec/digest.ts";
import { signStatement } from "#src/window/statement.ts";
import type { Applied } from "../cluster/engine.ts";
import type { ClusterRuntime } from "../cluster/runtime.ts";
import { noInteraction } from "../no-interaction.ts";
import { compose } from "../services.ts";
import { RunHistory } from "./run-history.ts";
import { RunRecords } from "./run-records.ts";
import { Sabotage } from "./sabotage.ts";

const spec = {
  ...{ seed: 1, slots: 8, slotTokens: 16, scheduleSteps: 8, windowSteps: 4, segmentSteps: 2 },
  ...({ codec: "dense", pace: "even", participants: 2, validators: 1 } as const),
  ...{ replayPerMillion: 0, quorum: 1, strikes: 2 },
  ...{ trainMs: 1_000, judgeMs: 1_000, mergeMs: 1_000, silenceMs: 1_000 },
};
const run = "r1a2b3c4";
let folder = "";
let composition: ReturnType<typeof compose>;
let records: RunRecords;
let node = "";
let mesh: MeshState;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "psionic-records-"));
  composition = compose({ home: folder, interaction: noInteraction });
  const { services } = composition;
  node = (await services.identity.openOrCreate()).nodeId;
  const { author } = await services.receipts.open();
  records = new RunRecords({
    ...{ store: services.store, journal: services.journal, node },
    receipts: () => services.receipts.opened(),
  });
  const member: Member = {
    ...{ node, key: author.key.publicKey, labels: [], epoch: 1, token: null, sinceMs: 0 },
    ...{ roles: ["host", "coordinator", "trainer", "validator"], standing: "ready" },
    contact: { places: [], certificate: "c".repeat(64), box: "b".repeat(64) },
  };
  mesh = { ...emptyMesh, mesh: "psm1", founder: node, owners: [node], members: [member] };
});
afterEach(() => {
  composition.close();
  rmSync(folder, { recursive: true, force: true });
});

/** What the log says of a command, and the state after it. */
function applied(index: number, scope: Event["scope"], command: Event["command"]): Applied {
  const event: Event = { author: node, scope, policy: null, command, timeMs: 1_000, term: 1 };
  const before = { ...mesh, timeMs: 1_000, term: 1 };
  mesh = reduce(before, event);
  const entry = { kind: "event", index, term: 1, payload: "" } as const;
  return {
    ...{ kind: "applied", index, term: 1, entry, event },
    ...{ outcome: { done: true }, mesh: { before, after: mesh } },
  };
}

function ready(): Event["command"] {
  const { key } = composition.services.receipts.opened().author;
  const said = { saying: "ready", revision: 0, digest: "d".repeat(64), lane: "avx2", rate: 5 };
  const unsigned = { mesh: "psm1", run, node, previous: null, anchor: null, said } as Parameters<
    typeof signStatement
  >[1];
  return { kind: "run-stated", node, statement: signStatement(key, unsigned) };
}

const create: Event["command"] = {
  ...{ kind: "run-created", run, name: "one", document: "a".repeat(64), spec },
};
const count = (sql: string) =>
  Number(composition.services.store.get(`SELECT count(*) AS count FROM ${sql}`)!["count"]);

describe("W-11 the record of a run", () => {
  test("W-11 every event is recorded once with what it decided, and this node's deeds with a receipt", () => {
    const log = [applied(3, "membership", create), applied(4, "self", ready())];
    const changes = records.changesOf(log);
    records.write(changes);
    // After a restart the log is applied again.
    records.write(records.changesOf(log));
    const found = records.all(run);
    expect(found.map(({ index }) => index)).toEqual([3, 4]);
    expect(found.at(-1)!.chain).toBe(mesh.runs[0]!.chain);
    expect(count("receipt WHERE kind = 'run.joined'")).toBe(1);
    expect(count("journal WHERE type = 'run.begun'")).toBe(1);
    expect(records.latest(run, 1)).toEqual(found.slice(1));
    expect(records.after(null, 3, 10)).toEqual(found.slice(1));
  });

  test("W-11 runs without end leave a bounded record, and that of a run this node worked on", () => {
    records.write(
      records.changesOf([applied(3, "membership", create), applied(4, "self", ready())]),
    );
    for (let number = 0; number < 80; number++) {
      const id = `flood${String(number).padStart(3, "0")}`;
      const begin = { ...create, run: id, name: id } as Event["command"];
      const end: Event["command"] = { kind: "run-wished", run: id, wish: "stop" };
      const log = [applied(10 + 2 * number, "membership", begin)];
      records.write(records.changesOf([...log, applied(11 + 2 * number, "membership", end)]));
    }
    expect(count("(SELECT DISTINCT run FROM run_record)")).toBe(64);
    expect(records.all(run).length).toBe(2);
    expect(records.all("flood079").length).toBe(2);
    expect(records.all("flood000")).toEqual([]);
  });

  test("W-11 what was refused, and what is about no run, is not recorded", () => {
    const refused = { ...applied(3, "membership", create), outcome: null };
    const other = { ...applied(4, "self", ready()), event: null };
    expect(records.changesOf([refused, other])).toEqual([]);
  });

  test("W-11 a history is whole where each event leads to the next, and not where one was changed", async () => {
    records.write(
      records.changesOf([applied(3, "membership", create), applied(4, "self", ready())]),
    );
    const cluster = { ownState: () => mesh } as unknown as ClusterRuntime;
    const history = new RunHistory({ cluster, records, node });
    const { signal } = new AbortController();
    const look = async () => (await history.whole(run, mesh.runs[0], signal)).isWhole;
    expect(await look()).toBe(true);
    const chain = digestJson("another");
    composition.services.store.run("UPDATE run_record SET chain = ? WHERE place = 3", chain);
    expect(await look()).toBe(false);
    composition.services.store.run("DELETE FROM run_record WHERE place = 3");
    expect(await look()).toBe(false);
  });
});

describe("W-11 a history that another member gives", () => {
  const honest = () => {
    const log = [applied(3, "membership", create), applied(4, "self", ready())];
    return records.changesOf(log).map(({ record }) => record);
  };
  const member = (name: string) => ({ ...mesh.members[0]!, node: name });
  /** What is known after having asked members who answer so. */
  const whole = async (answers: Readonly<Record<string, () => unknown>>) => {
    const state = { ...mesh, members: [...mesh.members, ...Object.keys(answers).map(member)] };
    const cluster = {
      ownState: () => state,
      standing: () => ({ appliedIndex: 10 }),
      ask: async (name: string, _: string, { after }: { after: number }) =>
        after === 0 ? { records: answers[name]!() } : { records: [] },
    } as unknown as ClusterRuntime;
    const history = new RunHistory({ cluster, records, node });
    return history.whole(run, mesh.runs[0], new AbortController().signal);
  };

  test("W-11 is taken where it fits", async () => {
    const theirs = honest();
    expect((await whole({ bo: () => theirs })).isWhole).toBe(true);
    expect(records.all(run).map(({ index }) => index)).toEqual([3, 4]);
  });

  test("W-11 takes no place in the log that is still to come", async () => {
    const theirs = honest().map((record) => ({ ...record, index: record.index + 1_000 }));
    expect((await whole({ bo: () => theirs })).isWhole).toBe(false);
    expect(records.all(run)).toEqual([]);
  });

  test("W-11 of a member that answers nonsense does not keep the next from being asked", async () => {
    const theirs = honest();
    const nonsense = [
      ...["\ud800", 0.5, JSON.parse("[".repeat(5_000) + "]".repeat(5_000))].map((decided) =>
        theirs.map((record) => ({ ...record, decided })),
      ),
      theirs.map((record) => ({ ...record, command: { ...create, run: "other" } })),
    ];
    for (const records of nonsense)
      expect((await whole({ ann: () => records, bo: () => theirs })).isWhole).toBe(true);
  });
});

describe("W-8 lies for tests", () => {
  test("W-8 only the word with its oath makes a node lie", () => {
    const kindOf = (given: string | undefined) => Sabotage.from({ PSIONIC_SABOTAGE: given }).kind;
    expect(kindOf("commitments:lie-about-my-work")).toBe("commitments");
    for (const given of [
      undefined,
      "",
      "1",
      "commitments",
      "commitments:yes",
      "x:lie-about-my-work",
    ])
      expect(kindOf(given)).toBeNull();
  });
});
