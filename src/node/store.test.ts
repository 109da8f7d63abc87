import { Database } from "bun:sqlite";
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TableSet } from "#src/port/store.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { homePaths } from "./home.ts";
import { lockHome } from "./home-lock.ts";
import { openStore } from "./store.ts";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "psionic-store-"));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const home = () => homePaths(root, {});
const runs = (...migrations: string[]): TableSet => ({ room: "runs", migrations });
const first = "CREATE TABLE run (id TEXT PRIMARY KEY) STRICT";
const second = "ALTER TABLE run ADD COLUMN steps INTEGER NOT NULL DEFAULT 0";

function codeOf(work: () => unknown): string {
  try {
    work();
    return "accepted";
  } catch (error) {
    if (error instanceof Refusal) return error.code;
    throw error;
  }
}

describe("A-9 the home's databases are the user's alone", () => {
  const modes = () =>
    ["node.db", "node.db-wal", "node.db-shm", "lock.db", "lock.db-journal"].map(
      (name) => statSync(join(root, name)).mode & 0o777,
    );

  test("A-9 in a home that others may look into, under any mask, and where they were not before", () => {
    chmodSync(root, 0o755);
    const mask = process.umask(0);
    try {
      for (let round = 1; round <= 2; round++) {
        const lock = lockHome(home());
        const store = openStore(home(), [runs(first)]);
        store.transaction(() => store.run("INSERT INTO run VALUES (?)", `a${round}`));
        expect(modes()).toEqual(Array.from(modes(), () => 0o600));
        // The lock holds although its file was looked at again.
        expect(codeOf(() => lockHome(home()))).toBe("home_locked");
        store.close();
        lock.release();
        for (const name of ["node.db", "lock.db"]) chmodSync(join(root, name), 0o644);
      }
    } finally {
      process.umask(mask);
    }
  });
});

describe("T-6 the store", () => {
  test("T-6 migrations of a room run once and in order, over versions", () => {
    const one = openStore(home(), [runs(first)]);
    one.run("INSERT INTO run VALUES (?)", "a");
    one.close();
    const two = openStore(home(), [runs(first, second)]);
    expect(two.all("SELECT * FROM run")).toEqual([{ id: "a", steps: 0 }]);
    two.close();
    const again = openStore(home(), [runs(first, second)]);
    expect(again.get("SELECT count(*) AS count FROM run")).toEqual({ count: 1 });
    again.close();
  });

  test("T-6 a failing migration leaves nothing of itself behind", () => {
    openStore(home(), [runs(first)]).close();
    expect(() => openStore(home(), [runs(first, second, "CREATE NONSENSE")])).toThrow(/syntax/);
    const store = openStore(home(), [runs(first)]);
    expect(store.all("SELECT name FROM pragma_table_info('run')")).toEqual([{ name: "id" }]);
    store.close();
  });

  test("T-6 acknowledged rows are durable: WAL and synchronous FULL", () => {
    const store = openStore(home(), [runs(first)]);
    expect(store.get("PRAGMA journal_mode")).toEqual({ journal_mode: "wal" });
    expect(store.get("PRAGMA synchronous")).toEqual({ synchronous: 2 });
    store.close();
  });

  test("T-6 a throw rolls the whole transaction back", () => {
    const store = openStore(home(), [runs(first)]);
    const failing = () =>
      store.transaction(() => {
        store.run("INSERT INTO run VALUES (?)", "a");
        throw new Error("stop");
      });
    expect(failing).toThrow("stop");
    expect(store.all("SELECT * FROM run")).toEqual([]);
    expect(store.transaction(() => store.run("INSERT INTO run VALUES (?)", "b").changes)).toBe(1);
    store.close();
  });

  test("T-6 a newer database is refused by name", () => {
    openStore(home(), [runs(first, second)]).close();
    expect(codeOf(() => openStore(home(), [runs(first)]))).toBe("store_newer");
  });

  test("T-6 a damaged database is refused by name and kept", () => {
    writeFileSync(home().database, "this is not a database".repeat(100));
    expect(codeOf(() => openStore(home(), [runs(first)]))).toBe("store_corrupt");
    expect(Bun.file(home().database).size).toBe(2200);
  });

  test("T-6 a database emptied beside runs is damage; without runs it is a new home", () => {
    writeFileSync(home().database, "");
    openStore(home(), [runs(first)]).close();
    rmSync(home().database);
    mkdirSync(join(home().runs, "R0"), { recursive: true });
    openStore(home(), [runs(first)]).close();
    writeFileSync(home().database, "");
    for (const suffix of ["-wal", "-shm"]) rmSync(home().database + suffix, { force: true });
    expect(codeOf(() => openStore(home(), [runs(first)]))).toBe("store_corrupt");
  });

  test("T-6 processes that make one new database at the same moment all get it", async () => {
    const script = `
      const { openStore } = await import(${JSON.stringify(join(import.meta.dir, "store.ts"))});
      const { homePaths } = await import(${JSON.stringify(join(import.meta.dir, "home.ts"))});
      console.log("ready");
      for await (const line of console) {
        const [begin, count] = line.split(" ").map(Number);
        for (let index = 0; index < count; index++) {
          while (Date.now() < begin + index * 25);
          openStore(homePaths(${JSON.stringify(root)} + "/" + index, {}), []).close();
        }
        break;
      }`;
    const others = Array.from({ length: 3 }, () =>
      Bun.spawn([process.execPath, "-e", script], {
        stdin: "pipe",
        stdout: "pipe",
        stderr: "pipe",
      }),
    );
    for (const { stdout } of others) await stdout.getReader().read();
    const beginMs = Date.now() + 100;
    for (const { stdin } of others) {
      await stdin.write(`${beginMs} 40\n`);
      await stdin.end();
    }
    const said = await Promise.all(others.map(({ stderr }) => stderr.text()));
    expect(said).toEqual(["", "", ""]);
  }, 30_000);

  test("T-6 another process reads while one has the home and writes", () => {
    const lock = lockHome(home());
    const writer = openStore(home(), [runs(first)]);
    writer.run("INSERT INTO run VALUES (?)", "a");
    const reader = openStore(home(), [runs(first)]);
    expect(reader.all("SELECT id FROM run")).toEqual([{ id: "a" }]);
    reader.close();
    writer.close();
    lock.release();
  });

  test("I-1 a home is held once, and again after it is given back", () => {
    const lock = lockHome(home());
    expect(codeOf(() => lockHome(home()))).toBe("home_locked");
    lock.release();
    lock.release();
    const next = lockHome(home());
    expect(codeOf(() => lockHome(home()))).toBe("home_locked");
    next.release();
  });

  test("I-1 what a killed holder left behind does not block", () => {
    writeFileSync(join(root, "lock.json"), JSON.stringify({ pid: process.pid, startedMs: 1 }));
    new Database(join(root, "lock.db"), { create: true }).close();
    const lock = lockHome(home());
    lock.release();
    expect(codeOf(() => lockHome(home()).release())).toBe("accepted");
  });

  test("I-1 a home that cannot be made is refused", () => {
    writeFileSync(join(root, "file"), "");
    const nested = homePaths(join(root, "file/home"), {});
    expect(codeOf(() => lockHome(nested))).toBe("home_unwritable");
    expect(codeOf(() => openStore(nested, []))).toBe("home_unwritable");
  });
});
