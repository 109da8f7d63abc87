import type { TableSet } from "#src/port/store.ts";

/** Receipts of this node and of others; append migrations, never edit one that was shipped. */
export const receiptTables: TableSet = {
  room: "receipt",
  migrations: [
    `CREATE TABLE receipt (
       author TEXT NOT NULL,
       sequence INTEGER NOT NULL,
       digest TEXT NOT NULL UNIQUE,
       kind TEXT NOT NULL,
       subject TEXT NOT NULL,
       at_ms INTEGER NOT NULL,
       text TEXT NOT NULL,
       UNIQUE (author, sequence)
     ) STRICT;
     CREATE INDEX receipt_by_kind ON receipt (kind);
     CREATE INDEX receipt_by_subject ON receipt (subject);`,
  ],
};
