import { Database, type SQLQueryBindings } from "bun:sqlite";
import { copyFileSync, existsSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { HomePaths } from "#src/command/services.ts";
import type { Row, Store, TableSet } from "#src/port/store.ts";
import { assert, Refusal } from "#src/refusal/refusal.ts";
import { databaseFailure } from "./database-failure.ts";
import { fileFailure } from "./file-failure.ts";
import { keepPrivate, prepareHome } from "./home.ts";

/** How long one statement waits for another process before it is refused as busy. */
const busyTimeoutMs = 5_000;
const busyRetryMs = 5;

/** A store that can be closed; only composition closes it. */
export interface OpenStore extends Store {
  close(): void;
}

/**
 * Opens the node's database and brings every room's tables up to date. Acknowledged rows
 * survive kill -9 and power loss: WAL with synchronous=FULL.
 *
 * Refusals: `home_unwritable`, `store_corrupt`, `store_newer`, `store_busy`, `disk_full`.
 */
export function openStore(home: HomePaths, tableSets: readonly TableSet[]): OpenStore {
  const guard = <T>(work: () => T): T => {
    try {
      return work();
    } catch (error) {
      throw databaseFailure(error, home.database, home);
    }
  };
  const copy = isWritable(home) ? null : copyDatabase(home);
  refuseEmptied(home);
  if (copy === null) keepPrivate(home.database);
  const open = () => {
    const opened = new Database(copy?.path ?? home.database, { create: true });
    opened.run(`PRAGMA busy_timeout = ${busyTimeoutMs}`);
    enterWal(opened);
    opened.run("PRAGMA synchronous = FULL");
    opened.run("PRAGMA foreign_keys = ON");
    migrate(opened, tableSets, home);
    if (copy !== null) opened.run("PRAGMA query_only = ON");
    return opened;
  };
  const database = guard(open);
  return {
    all: (sql, ...values) =>
      guard(() => database.query(sql).all(...(values as SQLQueryBindings[])) as Row[]),
    get: (sql, ...values) =>
      guard(() => database.query(sql).get(...(values as SQLQueryBindings[])) as Row | null),
    run: (sql, ...values) =>
      guard(() => ({
        changes: database.query(sql).run(...(values as SQLQueryBindings[])).changes,
      })),
    transaction: (work) => guard(() => database.transaction(work).immediate()),
    close() {
      database.close();
      copy?.remove();
    },
  };
}

/**
 * Changes a new database to WAL. Where another process does so at the same moment SQLite says busy at
 * once, whatever the time-out, so it is asked again for as long.
 */
function enterWal(database: Database): void {
  for (let waitedMs = 0; ; waitedMs += busyRetryMs) {
    try {
      database.run("PRAGMA journal_mode = WAL");
      return;
    } catch (error) {
      const code = (error as { code?: string }).code ?? "";
      if (!code.startsWith("SQLITE_BUSY") || waitedMs >= busyTimeoutMs) throw error;
      Bun.sleepSync(busyRetryMs);
    }
  }
}

/** False when the home can only be read. A home without a database must be writable. */
function isWritable(home: HomePaths): boolean {
  try {
    prepareHome(home);
    return true;
  } catch (error) {
    if (existsSync(home.database)) return false;
    throw error;
  }
}

/**
 * The database as it is now, copied to where it can be opened: SQLite needs to write beside a
 * database in WAL mode even to read it. Writing to the copy is refused as writing to the home is.
 */
function copyDatabase(home: HomePaths): { readonly path: string; remove(): void } {
  const folder = mkdtempSync(join(tmpdir(), "psionic-read-"));
  const path = join(folder, "node.db");
  const remove = () => rmSync(folder, { recursive: true, force: true });
  try {
    for (const suffix of ["", "-wal"])
      if (existsSync(home.database + suffix)) copyFileSync(home.database + suffix, path + suffix);
  } catch (error) {
    remove();
    throw fileFailure(error, "read", home.database);
  }
  return { path, remove };
}

/** A database emptied under a node's runs is damage, not a new home. */
function refuseEmptied(home: HomePaths): void {
  if (!existsSync(home.database) || statSync(home.database).size > 0) return;
  if (!existsSync(home.runs) || readdirSync(home.runs).length === 0) return;
  throw new Refusal(
    "store_corrupt",
    `${home.database} is empty, but ${home.runs} holds runs`,
    "restore it from a backup, or remove it to begin a new record",
    { path: home.database },
  );
}

/** Applies each room's missing migrations in order, all rooms in one transaction. */
function migrate(database: Database, tableSets: readonly TableSet[], home: HomePaths): void {
  const rooms = tableSets.map((set) => set.room);
  assert(new Set(rooms).size === rooms.length, "two table sets of one room");
  const applied = appliedVersions(database);
  for (const { room, migrations } of tableSets) {
    if ((applied.get(room) ?? 0) > migrations.length) {
      throw new Refusal(
        "store_newer",
        `${home.database} was written by a newer psionic (tables of ${room})`,
        "use that version, or another home with --home DIR",
        { room, found: applied.get(room), known: migrations.length },
      );
    }
  }
  const isCurrent = tableSets.every(
    ({ room, migrations }) => applied.get(room) === migrations.length,
  );
  if (isCurrent) return;
  database
    .transaction(() => {
      database.run(
        "CREATE TABLE IF NOT EXISTS table_version (room TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT",
      );
      // Read again inside the transaction: another process may have migrated meanwhile.
      const versions = appliedVersions(database);
      for (const { room, migrations } of tableSets) {
        for (const migration of migrations.slice(versions.get(room) ?? 0)) database.run(migration);
        database.run(
          "INSERT INTO table_version VALUES (?1, ?2) ON CONFLICT (room) DO UPDATE SET version = max(version, ?2)",
          [room, migrations.length],
        );
      }
    })
    .immediate();
}

function appliedVersions(database: Database): Map<string, number> {
  const known = database
    .query("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'table_version'")
    .get();
  if (known === null) return new Map();
  const rows = database.query("SELECT room, version FROM table_version").all() as {
    room: string;
    version: number;
  }[];
  return new Map(rows.map(({ room, version }) => [room, version]));
}
