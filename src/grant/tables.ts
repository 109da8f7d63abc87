import type { TableSet } from "#src/port/store.ts";

/** Whom this node trusts and what it granted; append migrations, never edit one that was shipped. */
export const grantTables: TableSet = {
  room: "grant",
  migrations: [
    // history: the rotations of the peer's key this node has accepted, as a JSON list of receipts.
    // trust_key: every key an entry ever had, so that a retired one is known as the peer's.
    `CREATE TABLE trust (
       public_key TEXT PRIMARY KEY,
       node_id TEXT NOT NULL UNIQUE,
       tier TEXT NOT NULL,
       note TEXT NOT NULL,
       since_ms INTEGER NOT NULL,
       updated_ms INTEGER NOT NULL,
       history TEXT NOT NULL
     ) STRICT;
     CREATE TABLE trust_key (public_key TEXT PRIMARY KEY, node_id TEXT NOT NULL) STRICT;`,
    // watermark: the newest epoch seen per issuer, grantee and mesh. horizon: what was evicted of it.
    // spending: what of each grant's budget is gone. issued: what this node signed. presented: what
    // this node was given and stamps on its calls.
    `CREATE TABLE grant_watermark (
       issuer TEXT NOT NULL,
       grantee TEXT NOT NULL,
       mesh TEXT NOT NULL,
       epoch INTEGER NOT NULL,
       revoked_below INTEGER NOT NULL,
       live_until_ms INTEGER NOT NULL,
       PRIMARY KEY (issuer, grantee, mesh)
     ) STRICT;
     CREATE TABLE grant_horizon (issuer TEXT PRIMARY KEY, until_ms INTEGER NOT NULL) STRICT;
     CREATE TABLE grant_spending (
       id TEXT PRIMARY KEY,
       issuer TEXT NOT NULL,
       grantee TEXT NOT NULL,
       calls INTEGER NOT NULL,
       device_ms INTEGER NOT NULL,
       bytes INTEGER NOT NULL,
       used_ms INTEGER NOT NULL,
       expires_ms INTEGER NOT NULL
     ) STRICT;
     CREATE TABLE grant_issued (
       id TEXT PRIMARY KEY,
       grantee TEXT NOT NULL,
       mesh TEXT NOT NULL,
       epoch INTEGER NOT NULL UNIQUE,
       issued_ms INTEGER NOT NULL,
       expires_ms INTEGER NOT NULL,
       text TEXT NOT NULL
     ) STRICT;
     CREATE INDEX grant_issued_to ON grant_issued (grantee);
     CREATE TABLE grant_counter (one INTEGER PRIMARY KEY CHECK (one = 1), epoch INTEGER NOT NULL) STRICT;
     CREATE TABLE grant_presented (
       id TEXT PRIMARY KEY,
       issuer TEXT NOT NULL,
       mesh TEXT NOT NULL,
       epoch INTEGER NOT NULL,
       presented_ms INTEGER NOT NULL,
       expires_ms INTEGER NOT NULL,
       text TEXT NOT NULL
     ) STRICT;`,
  ],
};
