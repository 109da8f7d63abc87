/** One row as the database returns it. */
export type Row = Record<string, string | number | bigint | Uint8Array | null>;
export type Value = string | number | bigint | Uint8Array | null;

/**
 * The node's table store (SQLite behind it). Rooms declare their tables with `TableSet`
 * and speak SQL through this port; the implementation lives in `node`.
 */
export interface Store {
  all(sql: string, ...values: Value[]): Row[];
  get(sql: string, ...values: Value[]): Row | null;
  run(sql: string, ...values: Value[]): { changes: number };
  /** Runs `work` in one transaction; a throw rolls everything back. */
  transaction<T>(work: () => T): T;
}

/** Numbered schema migrations of one room, applied in order and once. */
export interface TableSet {
  readonly room: string;
  readonly migrations: readonly string[];
}
