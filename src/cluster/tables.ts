import type { TableSet } from "#src/port/store.ts";

/** Which mesh this home belongs to, whom it knew there last, and where its door was. */
export const clusterTables: TableSet = {
  room: "cluster",
  migrations: [
    `CREATE TABLE cluster_mesh (
       one INTEGER PRIMARY KEY CHECK (one = 1),
       mesh TEXT NOT NULL,
       founder TEXT NOT NULL,
       standing TEXT NOT NULL CHECK (standing IN ('member', 'out')),
       seen_index INTEGER NOT NULL,
       recorded_index INTEGER NOT NULL
     ) STRICT;
     CREATE TABLE cluster_known (
       node TEXT PRIMARY KEY,
       text TEXT NOT NULL
     ) STRICT;
     CREATE TABLE cluster_door (
       one INTEGER PRIMARY KEY CHECK (one = 1),
       port INTEGER NOT NULL
     ) STRICT;`,
    // Where the door was asked to be, by whoever named an address; null where nobody did.
    "ALTER TABLE cluster_door ADD COLUMN host TEXT",
  ],
};
