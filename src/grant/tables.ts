import type { TableSet } from "#src/port/store.ts";

/** Whom this node trusts and what it granted; append migrations, never edit one that was shipped. */
export const grantTables: TableSet = {
  room: "grant",
  migrations: [
    // history: the rotations of the peer's key this node has accepted, as a JSON list of receipts.
    `CREATE TABLE trust (
       public_key TEXT PRIMARY KEY,
       node_id TEXT NOT NULL UNIQUE,
       tier TEXT NOT NULL,
       note TEXT NOT NULL,
       since_ms INTEGER NOT NULL,
       updated_ms INTEGER NOT NULL,
       history TEXT NOT NULL
     ) STRICT;`,
  ],
};
