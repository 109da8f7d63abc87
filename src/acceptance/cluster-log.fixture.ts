import { Database } from "bun:sqlite";
import { join } from "node:path";

/** What the logs of a cluster's nodes held in the end, read from their disks while they ran. */

interface LogRow {
  readonly position: number;
  readonly text: string;
}

/** A label as an applied entry of the log sets it. */
export interface LoggedLabel {
  readonly index: number;
  readonly node: string;
  readonly label: string;
  readonly value: string;
}

/** The part of an entry's payload that is read here; what else it may be is the program's matter. */
interface LoggedPayload {
  readonly kind: string;
  readonly session: number;
  readonly number: number;
  readonly body: string;
}
interface LoggedEvent {
  readonly command: { readonly kind: string } & Omit<LoggedLabel, "index">;
}

/** Entries that are kept here; a storm writes fewer. */
const entryMaximum = 1_000_000;

/**
 * Gathers the committed entries of all nodes, each once. Throws where two nodes have different ones at one
 * index, which no fault may bring about.
 */
export class LogWatcher {
  readonly #entries = new Map<number, string>();
  readonly #readTo = new Map<string, number>();

  /** Reads what is new in a home, up to an index that is known to be committed there. */
  read(home: string, commitIndex: number): void {
    const from = this.#readTo.get(home) ?? 0;
    if (commitIndex <= from) return;
    for (const { position, text } of readRows(home, from, commitIndex)) {
      const known = this.#entries.get(position);
      if (known !== undefined && known !== text)
        throw new Error(`two nodes differ at ${position}:\n${known}\n${text}`);
      this.#entries.set(position, text);
    }
    if (this.#entries.size > entryMaximum) throw new Error("more entries than a storm writes");
    this.#readTo.set(home, commitIndex);
  }

  /** Places without an entry before the last one: what nobody was seen to have. */
  get holes(): number[] {
    const last = Math.max(0, ...this.#entries.keys());
    const first = Math.min(last, ...this.#entries.keys());
    return Array.from({ length: last - first }, (_, at) => first + at).filter(
      (index) => !this.#entries.has(index),
    );
  }

  /** All labels that were set, in the order of the log; a command that stands in it twice counts once. */
  labels(): LoggedLabel[] {
    const seen = new Set<string>();
    return [...this.#entries]
      .toSorted(([one], [other]) => one - other)
      .flatMap(([index, text]) => {
        const entry = JSON.parse(text) as { kind: string; payload: string };
        if (entry.kind !== "event") return [];
        const payload = JSON.parse(entry.payload) as LoggedPayload;
        if (payload.kind !== "command") return [];
        const name = `${payload.session} ${payload.number}`;
        if (seen.has(name)) return [];
        seen.add(name);
        const { command } = JSON.parse(payload.body) as LoggedEvent;
        if (command.kind !== "node-labelled") return [];
        const { node, label, value } = command;
        return [{ index, node, label, value }];
      });
  }
}

function readRows(home: string, from: number, to: number): LogRow[] {
  const database = new Database(join(home, "node.db"), { readonly: true });
  try {
    database.run("PRAGMA busy_timeout = 5000");
    return database
      .query("SELECT position, text FROM log_entry WHERE position > ? AND position <= ?")
      .all(from, to) as LogRow[];
  } finally {
    database.close();
  }
}
