import type { TableSet } from "#src/port/store.ts";

/** What a node promised and holds of the cluster's log; append migrations, never edit one that was shipped. */
export const logTables: TableSet = {
  room: "log",
  migrations: [
    `CREATE TABLE log_ballot (
       one INTEGER PRIMARY KEY CHECK (one = 1),
       term INTEGER NOT NULL,
       vote TEXT NOT NULL
     ) STRICT;
     CREATE TABLE log_snapshot (
       one INTEGER PRIMARY KEY CHECK (one = 1),
       text TEXT NOT NULL,
       digest TEXT NOT NULL
     ) STRICT;
     CREATE TABLE log_entry (
       position INTEGER PRIMARY KEY,
       text TEXT NOT NULL,
       digest TEXT NOT NULL
     ) STRICT;`,
  ],
};
