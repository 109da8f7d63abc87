import type { Clock } from "#src/port/clock.ts";
import type { Store, TableSet } from "#src/port/store.ts";

/** One row: how often this node has started as a daemon (I-2). */
export const nodeTables: TableSet = {
  room: "node",
  migrations: [
    `CREATE TABLE node_epoch (
       only INTEGER PRIMARY KEY CHECK (only = 1),
       epoch INTEGER NOT NULL,
       at_ms INTEGER NOT NULL
     ) STRICT;`,
  ],
};

/**
 * Counts a start and gives its epoch, from 1 up; durable when it returns, so that no epoch is ever
 * given twice. Peers that have seen a higher one refuse a lower one.
 */
export function advanceNodeEpoch(store: Store, clock: Pick<Clock, "wallMs">): number {
  const row = store.get(
    `INSERT INTO node_epoch (only, epoch, at_ms) VALUES (1, 1, ?1)
     ON CONFLICT (only) DO UPDATE SET epoch = epoch + 1, at_ms = ?1 RETURNING epoch`,
    Math.floor(clock.wallMs()),
  );
  return Number(row!["epoch"]);
}

/** The epoch of the latest start; 0 where the node never was a daemon. */
export function nodeEpoch(store: Store): number {
  return Number(store.get("SELECT epoch FROM node_epoch")?.["epoch"] ?? 0);
}
