import type { Clock } from "#src/port/clock.ts";
import type { Store, TableSet } from "#src/port/store.ts";

/**
 * What happens on this node, in order, for whoever watches it: a page, `/events`, a script. An entry
 * is small and names what changed; the facts themselves stay where they are recorded. Entries are rows,
 * so a watcher that was cut off resumes from the last id it saw, and every process of the home
 * writes to the same journal.
 */
export interface JournalEntry {
  /** Ascending and never reused. */
  readonly id: number;
  readonly atMs: number;
  /** `run.steps`, `run.checkpoint`, `grant.used`, `daemon.started`. */
  readonly type: string;
  /** What it is about: a run's id, a grant's id; empty for the node itself. */
  readonly subject: string;
  readonly body: Readonly<Record<string, unknown>>;
}

/** Entries kept; a watcher further behind is told to start over. */
export const journalMaximum = 10_000;
/** Entries are pruned once in so many, so that a write seldom pays for it. */
const pruneEvery = 500;

export const journalTables: TableSet = {
  room: "journal",
  migrations: [
    `CREATE TABLE journal (
       id INTEGER PRIMARY KEY AUTOINCREMENT,
       at_ms INTEGER NOT NULL,
       type TEXT NOT NULL,
       subject TEXT NOT NULL,
       body TEXT NOT NULL
     ) STRICT;`,
  ],
};

export class Journal {
  constructor(
    readonly store: Store,
    readonly clock: Pick<Clock, "wallMs">,
  ) {}

  /** Appends an entry and gives its id. Inside a transaction it stands or falls with it. */
  append(type: string, subject: string, body: Readonly<Record<string, unknown>>): number {
    const row = this.store.get(
      "INSERT INTO journal (at_ms, type, subject, body) VALUES (?, ?, ?, ?) RETURNING id",
      Math.floor(this.clock.wallMs()),
      type,
      subject,
      JSON.stringify(body),
    );
    const id = Number(row!["id"]);
    if (id % pruneEvery === 0)
      this.store.run("DELETE FROM journal WHERE id <= ?", id - journalMaximum);
    return id;
  }

  /** Entries after an id, ascending, at most `count`. */
  after(id: number, count: number): JournalEntry[] {
    return this.store
      .all("SELECT * FROM journal WHERE id > ? ORDER BY id LIMIT ?", id, count)
      .map((row) => ({
        id: Number(row["id"]),
        atMs: Number(row["at_ms"]),
        type: String(row["type"]),
        subject: String(row["subject"]),
        body: JSON.parse(String(row["body"])) as Record<string, unknown>,
      }));
  }

  /** The ids the journal still holds; both 0 while it is empty. */
  bounds(): { readonly first: number; readonly last: number } {
    const row = this.store.get(
      "SELECT coalesce(min(id), 0) AS first, coalesce(max(id), 0) AS last FROM journal",
    );
    return { first: Number(row!["first"]), last: Number(row!["last"]) };
  }
}
