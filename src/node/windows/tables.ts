import type { TableSet } from "#src/port/store.ts";

/** Runs of the mesh on this node; append migrations, never edit one that was shipped. */
export const windowTables: TableSet = {
  room: "window",
  migrations: [
    `CREATE TABLE run_record (
       run TEXT NOT NULL,
       place INTEGER NOT NULL,
       term INTEGER NOT NULL,
       at_ms INTEGER NOT NULL,
       author TEXT NOT NULL,
       kind TEXT NOT NULL,
       command TEXT NOT NULL,
       decided TEXT NOT NULL,
       chain TEXT NOT NULL,
       PRIMARY KEY (run, place)
     ) STRICT, WITHOUT ROWID;
     CREATE INDEX run_record_place ON run_record (place);
     CREATE TABLE run_artifact (
       digest TEXT NOT NULL,
       run TEXT NOT NULL,
       kind TEXT NOT NULL,
       number INTEGER NOT NULL,
       PRIMARY KEY (digest, run)
     ) STRICT, WITHOUT ROWID;
     CREATE INDEX run_artifact_run ON run_artifact (run, kind, number);`,
    // Whose a run of this home is: without a row it is the home's own, whatever a mesh calls by its id.
    `CREATE TABLE run_of_mesh (
       run TEXT NOT NULL PRIMARY KEY,
       mesh TEXT NOT NULL,
       document TEXT NOT NULL
     ) STRICT, WITHOUT ROWID;`,
  ],
};
