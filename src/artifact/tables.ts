import type { TableSet } from "#src/port/store.ts";

/**
 * The index of `artifacts/`: what the disk holds, who wants it kept and who works on it. All of it but
 * pulls and holds can be made again from the files. Append migrations, never edit one that was shipped.
 *
 * `tick` orders touches of blobs (chunks and manifests) against collections whatever the clock does; `doomed_ms` marks a
 * blob whose file a collection is removing.
 */
export const artifactTables: TableSet = {
  room: "artifact",
  migrations: [
    `CREATE TABLE artifact (
       digest TEXT PRIMARY KEY,
       title TEXT,
       media_type TEXT NOT NULL,
       size_bytes INTEGER NOT NULL,
       chunk_count INTEGER NOT NULL,
       file_count INTEGER,
       origin TEXT NOT NULL,
       since_ms INTEGER NOT NULL,
       is_whole INTEGER NOT NULL
     ) STRICT, WITHOUT ROWID;
     CREATE TABLE artifact_blob (
       kind TEXT NOT NULL,
       digest TEXT NOT NULL,
       size_bytes INTEGER NOT NULL,
       touched_ms INTEGER NOT NULL,
       tick INTEGER NOT NULL,
       doomed_ms INTEGER,
       PRIMARY KEY (kind, digest)
     ) STRICT, WITHOUT ROWID;
     CREATE TABLE artifact_pointer (
       name TEXT PRIMARY KEY,
       artifact TEXT NOT NULL,
       since_ms INTEGER NOT NULL
     ) STRICT, WITHOUT ROWID;
     CREATE TABLE artifact_pull (
       artifact TEXT PRIMARY KEY,
       hold TEXT,
       since_ms INTEGER NOT NULL,
       updated_ms INTEGER NOT NULL,
       size_bytes INTEGER NOT NULL,
       done_bytes INTEGER NOT NULL
     ) STRICT, WITHOUT ROWID;
     CREATE TABLE artifact_hold (
       id TEXT PRIMARY KEY,
       since_tick INTEGER NOT NULL,
       beat_ms INTEGER NOT NULL
     ) STRICT, WITHOUT ROWID;
     CREATE TABLE artifact_state (
       one INTEGER PRIMARY KEY CHECK (one = 1),
       tick INTEGER NOT NULL
     ) STRICT;`,
    `CREATE TABLE artifact_kept (
       artifact TEXT NOT NULL,
       owner TEXT NOT NULL,
       kind TEXT NOT NULL,
       number INTEGER NOT NULL,
       PRIMARY KEY (artifact, owner)
     ) STRICT, WITHOUT ROWID;
     CREATE INDEX artifact_kept_owner ON artifact_kept (owner, kind, number);`,
  ],
};
