import type { TableSet } from "#src/port/store.ts";

/** The tables of the record of runs; append migrations, never edit one that was shipped. */
export const trainTables: TableSet = {
  room: "train",
  migrations: [
    `CREATE TABLE run (
       id TEXT PRIMARY KEY,
       name TEXT NOT NULL UNIQUE,
       created_ms INTEGER NOT NULL,
       state TEXT NOT NULL,
       heartbeat_ms INTEGER NOT NULL,
       manifest TEXT NOT NULL,
       digest TEXT NOT NULL,
       summary TEXT
     ) STRICT;
     CREATE TABLE run_step (
       run TEXT NOT NULL REFERENCES run (id) ON DELETE CASCADE,
       step INTEGER NOT NULL,
       loss REAL NOT NULL,
       gradient_norm REAL NOT NULL,
       parameter_norm REAL NOT NULL,
       update_norm REAL NOT NULL,
       learning_rate REAL NOT NULL,
       tokens INTEGER NOT NULL,
       loss_bits TEXT NOT NULL,
       gradient_norm_bits TEXT NOT NULL,
       tokens_per_second REAL NOT NULL,
       PRIMARY KEY (run, step)
     ) STRICT, WITHOUT ROWID;
     CREATE TABLE run_evaluation (
       run TEXT NOT NULL REFERENCES run (id) ON DELETE CASCADE,
       step INTEGER NOT NULL,
       is_full INTEGER NOT NULL,
       loss REAL NOT NULL,
       bits_per_byte REAL,
       exact_match REAL NOT NULL,
       targets INTEGER NOT NULL,
       row_count INTEGER NOT NULL,
       PRIMARY KEY (run, step, is_full)
     ) STRICT, WITHOUT ROWID;
     CREATE TABLE run_checkpoint (
       run TEXT NOT NULL REFERENCES run (id) ON DELETE CASCADE,
       step INTEGER NOT NULL,
       state_digest TEXT NOT NULL,
       manifest_digest TEXT NOT NULL,
       is_kept INTEGER NOT NULL,
       PRIMARY KEY (run, step)
     ) STRICT, WITHOUT ROWID;
     CREATE TABLE run_event (
       run TEXT NOT NULL REFERENCES run (id) ON DELETE CASCADE,
       sequence INTEGER NOT NULL,
       at_ms INTEGER NOT NULL,
       type TEXT NOT NULL,
       body TEXT NOT NULL,
       PRIMARY KEY (run, sequence)
     ) STRICT, WITHOUT ROWID;`,
    `CREATE TABLE machine_peak (
       name TEXT PRIMARY KEY,
       flops REAL NOT NULL,
       measured_ms INTEGER NOT NULL
     ) STRICT, WITHOUT ROWID;`,
    `ALTER TABLE run ADD COLUMN progress_ms INTEGER;
     ALTER TABLE run_step ADD COLUMN data_seconds REAL;
     ALTER TABLE run_step ADD COLUMN gradient_seconds REAL;
     ALTER TABLE run_step ADD COLUMN norm_seconds REAL;
     ALTER TABLE run_step ADD COLUMN update_seconds REAL;
     ALTER TABLE run_step ADD COLUMN evaluate_seconds REAL;
     ALTER TABLE run_step ADD COLUMN checkpoint_seconds REAL;
     CREATE TABLE run_intent (
       run TEXT PRIMARY KEY REFERENCES run (id) ON DELETE CASCADE,
       wanted INTEGER NOT NULL,
       since_ms INTEGER NOT NULL,
       options TEXT NOT NULL
     ) STRICT, WITHOUT ROWID;
     CREATE TABLE run_sample (
       run TEXT NOT NULL REFERENCES run (id) ON DELETE CASCADE,
       step INTEGER NOT NULL,
       at_ms INTEGER NOT NULL,
       prompt TEXT NOT NULL,
       text TEXT NOT NULL,
       PRIMARY KEY (run, step)
     ) STRICT, WITHOUT ROWID;
     CREATE TABLE runtime_manifest (
       identity_digest TEXT PRIMARY KEY,
       manifest TEXT NOT NULL
     ) STRICT, WITHOUT ROWID;`,
  ],
};
