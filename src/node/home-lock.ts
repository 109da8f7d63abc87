import { Database } from "bun:sqlite";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { HomeLock, HomePaths } from "#src/command/services.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { databaseFailure } from "./database-failure.ts";
import { keepPrivate, prepareHome } from "./home.ts";

/** Open lock databases. A collected one would close its file and drop the lock in silence. */
const heldDatabases = new Set<Database>();

/**
 * Takes a home for this process. The lock is an exclusive SQLite transaction held open on a
 * database of its own: SQLite locks the file through the operating system, which drops the
 * lock when the process ends, however it ends. A file beside it says who holds it, for the
 * message only.
 */
export function lockHome(home: HomePaths): HomeLock {
  prepareHome(home);
  const path = join(home.root, "lock.db");
  const holder = join(home.root, "lock.json");
  let database: Database | null = null;
  keepPrivate(path);
  try {
    database = new Database(path, { create: true });
    database.run("PRAGMA busy_timeout = 0");
    database.run("BEGIN EXCLUSIVE");
  } catch (error) {
    database?.close();
    throw lockFailure(error, home, path, holder);
  }
  heldDatabases.add(database);
  writeHolder(holder);
  let held: Database | null = database;
  return {
    release() {
      if (held === null) return;
      rmSync(holder, { force: true });
      held.run("ROLLBACK");
      held.close();
      heldDatabases.delete(held);
      held = null;
    },
  };
}

function lockFailure(error: unknown, home: HomePaths, path: string, holder: string): unknown {
  const code = (error as { code?: string }).code ?? "";
  if (code.startsWith("SQLITE_BUSY")) {
    const pid = readHolder(holder);
    return new Refusal(
      "home_locked",
      `${home.root} is in use by ${pid === null ? "another psionic process" : `process ${pid}`}`,
      "wait for it or stop it, or use another home with --home DIR",
      { home: home.root, ...(pid === null ? {} : { pid }) },
    );
  }
  return databaseFailure(error, path, home);
}

/** Says who holds the home. Where it cannot be said (a full disk) the lock holds all the same. */
function writeHolder(path: string): void {
  try {
    writeFileSync(path, `${JSON.stringify({ pid: process.pid, startedMs: Date.now() })}\n`);
  } catch {
    rmSync(path, { force: true });
  }
}

function readHolder(path: string): number | null {
  try {
    const { pid } = JSON.parse(readFileSync(path, "utf8")) as { pid?: unknown };
    return typeof pid === "number" ? pid : null;
  } catch {
    return null;
  }
}
