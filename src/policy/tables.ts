import type { TableSet } from "#src/port/store.ts";

/**
 * Policies as they were signed, and every execution under one for ever: a fingerprint that could be
 * forgotten could be executed twice. Append migrations, never edit one that was shipped.
 */
export const policyTables: TableSet = {
  room: "policy",
  migrations: [
    `CREATE TABLE policy (
       name TEXT NOT NULL,
       revision INTEGER NOT NULL,
       digest TEXT NOT NULL,
       added_ms INTEGER NOT NULL,
       text TEXT NOT NULL,
       PRIMARY KEY (name, revision)
     ) STRICT;
     CREATE TABLE execution (
       id TEXT PRIMARY KEY,
       fingerprint TEXT NOT NULL UNIQUE,
       state TEXT NOT NULL,
       policy TEXT NOT NULL,
       policy_digest TEXT NOT NULL,
       command TEXT NOT NULL,
       parameters_digest TEXT NOT NULL,
       caller TEXT NOT NULL,
       signals TEXT NOT NULL,
       runtime_digest TEXT NOT NULL,
       claimed_ms INTEGER NOT NULL,
       ended_ms INTEGER,
       result TEXT,
       receipt_digest TEXT
     ) STRICT;
     CREATE INDEX execution_by_time ON execution (claimed_ms);`,
  ],
};
