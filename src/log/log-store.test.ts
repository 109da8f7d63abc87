import { Database } from "bun:sqlite";
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { homePaths } from "#src/node/home.ts";
import { openStore, type OpenStore } from "#src/node/store.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { founding, type Write } from "./durable.ts";
import type { Entry, Snapshot } from "./entry.ts";
import { LogStore } from "./log-store.ts";
import { logTables } from "./tables.ts";

let root: string;
let store: OpenStore;
let log: LogStore;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "psionic-log-"));
  reopen();
});
afterEach(() => {
  store.close();
  rmSync(root, { recursive: true, force: true });
});

function reopen(): void {
  store?.close();
  store = openStore(homePaths(root, {}), [logTables]);
  log = new LogStore(store);
}

const membership = { voters: ["n1", "n2", "n3"], learners: [] };
const start = founding(membership, "nothing yet");
const nothing: Write = { ballot: null, truncateFrom: 0, snapshot: null, entries: [] };
const event = (index: number, term: number): Entry => ({
  ...{ index, term, kind: "event" },
  payload: `event ${index}`,
});
const events = (first: number, last: number, term: number) =>
  Array.from({ length: last - first + 1 }, (_, place) => event(first + place, term));
const snapshotAt = (index: number, term: number): Snapshot => ({
  ...{ index, term, membership },
  state: `state ${index}`,
});

function refusalOf(work: () => unknown): string {
  try {
    work();
    return "accepted";
  } catch (error) {
    if (error instanceof Refusal) return `${error.code}: ${String(error.details["why"])}`;
    throw error;
  }
}

describe("C-5 the log on disk", () => {
  test("C-5 a new node has what the cluster was founded with, and keeps it", () => {
    expect(log.open(start)).toEqual(start);
    reopen();
    expect(log.open(founding({ voters: [], learners: [] }, "another"))).toEqual(start);
  });

  test("C-5 ballots, entries of every kind, truncation and snapshots come back as written", () => {
    log.open(start);
    const changed: Entry = { index: 4, term: 2, kind: "membership", membership };
    const empty: Entry = { index: 5, term: 3, kind: "empty" };
    log.write({ ...nothing, ballot: { term: 3, vote: "n2" }, entries: events(1, 3, 1) });
    log.write({ ...nothing, entries: [changed, empty] });
    reopen();
    expect(log.open(start)).toEqual({
      ballot: { term: 3, vote: "n2" },
      snapshot: start.snapshot,
      entries: [...events(1, 3, 1), changed, empty],
    });
    log.write({ ...nothing, truncateFrom: 5, entries: [event(5, 2), event(6, 3)] });
    log.write({ ...nothing, snapshot: snapshotAt(5, 2) });
    reopen();
    expect(log.open(start)).toEqual({
      ballot: { term: 3, vote: "n2" },
      snapshot: snapshotAt(5, 2),
      entries: [event(6, 3)],
    });
  });

  test("C-5 a snapshot that contradicts the log takes its place with one write", () => {
    log.open(start);
    log.write({ ...nothing, ballot: { term: 4, vote: "" }, entries: events(1, 9, 1) });
    log.write({ ...nothing, truncateFrom: 8, snapshot: snapshotAt(7, 4), entries: [event(8, 4)] });
    expect(log.open(start).entries).toEqual([event(8, 4)]);
  });

  test("C-5 a write happens whole or not at all", () => {
    log.open(start);
    log.write({ ...nothing, ballot: { term: 1, vote: "n1" }, entries: events(1, 3, 1) });
    const twice = [event(4, 2), event(4, 2)];
    expect(() =>
      log.write({ ...nothing, ballot: { term: 2, vote: "n3" }, truncateFrom: 2, entries: twice }),
    ).toThrow();
    expect(log.open(start)).toMatchObject({ ballot: { term: 1 }, entries: events(1, 3, 1) });
  });

  test.each([
    ["a hole", "DELETE FROM log_entry WHERE position = 2", "entry 3 follows 1"],
    ["a missing beginning", "DELETE FROM log_entry WHERE position = 1", "entry 2 follows 0"],
    [
      "a changed entry",
      "UPDATE log_entry SET text = replace(text, 'event 2', 'event 7') WHERE position = 2",
      "entry 2 is not what was written",
    ],
    [
      "two entries swapped",
      "UPDATE log_entry SET text = (SELECT text FROM log_entry WHERE position = 3), digest = (SELECT digest FROM log_entry WHERE position = 3) WHERE position = 2",
      "entry 2 says that it is entry 3",
    ],
    [
      "a damaged snapshot",
      "UPDATE log_snapshot SET text = substr(text, 2)",
      "the snapshot is not what was written",
    ],
    ["no snapshot", "DELETE FROM log_snapshot", "the snapshot is missing"],
    ["no ballot", "DELETE FROM log_ballot", "the ballot is missing"],
    ["an old ballot", "UPDATE log_ballot SET term = 1", "the ballot is of term 1, the log of 2"],
  ])("C-5 %s is refused as log_damaged, and nothing is changed", (_, sql, why) => {
    log.open(start);
    log.write({ ...nothing, ballot: { term: 2, vote: "n1" }, entries: events(1, 3, 2) });
    const database = new Database(homePaths(root, {}).database);
    database.run(sql);
    const all = () => [
      ...database.query("SELECT * FROM log_entry").all(),
      ...database.query("SELECT * FROM log_ballot").all(),
      ...database.query("SELECT * FROM log_snapshot").all(),
    ];
    const before = all();
    expect(refusalOf(() => log.open(start))).toBe(`log_damaged: ${why}`);
    expect(all()).toEqual(before);
    database.close();
  });

  test("C-5 rows of another shape, and terms that go down, are refused", () => {
    log.open(start);
    log.write({ ...nothing, ballot: { term: 9, vote: "" }, entries: [event(1, 5)] });
    log.write({ ...nothing, entries: [event(2, 4)] });
    expect(refusalOf(() => log.open(start))).toBe("log_damaged: terms go down at entry 2");
    log.write({ ...nothing, truncateFrom: 2 });
    log.write({ ...nothing, entries: [{ ...event(2, 5), color: "red" } as unknown as Entry] });
    expect(refusalOf(() => log.open(start))).toBe("log_damaged: entry 2 has not the shape of one");
  });

  test("C-5 what was said to be durable is there after kill -9 at any moment", async () => {
    for (const writeCount of [1, 3, 7, 12, 30]) {
      const script = join(import.meta.dir, "log-writer.fixture.ts");
      const child = Bun.spawn([process.execPath, script, root], {
        ...{ stdout: "pipe", stderr: "inherit" },
      });
      let said = "";
      const decoder = new TextDecoder();
      for await (const chunk of child.stdout) {
        said += decoder.decode(chunk, { stream: true });
        if (said.split("\n").length > writeCount) child.kill("SIGKILL");
      }
      await child.exited;
      expect(child.signalCode).toBe("SIGKILL");
      const [term, last] = said.trimEnd().split("\n").at(-1)!.split(" ").map(Number);
      reopen();
      const { ballot, snapshot, entries } = log.open(start);
      // A write that was not answered yet may have come about.
      expect([term!, term! + 1]).toContain(ballot.term);
      const lastIndex = entries.at(-1)?.index ?? snapshot.index;
      if (ballot.term === term) expect(lastIndex).toBe(last!);
      for (const entry of entries)
        expect(entry).toMatchObject({ payload: `${entry.index}:${entry.term}` });
    }
  });
});
