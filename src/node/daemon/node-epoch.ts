import type { Clock } from "#src/port/clock.ts";
import type { Store, TableSet } from "#src/port/store.ts";

/** One row: how often this node has started as a daemon (I-2). */
export const nodeTables: TableSet = {
  room: "node",
  migrations: [
    `CREATE TABLE node_epoch (
       only INTEGER PRIMARY KEY CHECK (only = 1),
       epoch INTEGER NOT NULL,
       ended_epoch INTEGER NOT NULL,
       at_ms INTEGER NOT NULL
     ) STRICT;`,
  ],
};

export interface NodeStart {
  readonly epoch: number;
  /** False where the daemon before was killed, or the machine went down under it. */
  readonly isAfterOrder: boolean;
}

/**
 * Counts a start and gives its epoch, from 1 up; durable when it returns, so that no epoch is ever
 * given twice. Peers that have seen a higher one refuse a lower one.
 */
export function advanceNodeEpoch(store: Store, clock: Pick<Clock, "wallMs">): NodeStart {
  const row = store.get(
    `INSERT INTO node_epoch (only, epoch, ended_epoch, at_ms) VALUES (1, 1, 0, ?1)
     ON CONFLICT (only) DO UPDATE SET epoch = epoch + 1, at_ms = ?1
     RETURNING epoch, ended_epoch`,
    Math.floor(clock.wallMs()),
  );
  const epoch = Number(row!["epoch"]);
  return { epoch, isAfterOrder: Number(row!["ended_epoch"]) === epoch - 1 };
}

/** Notes that this epoch ends in order. */
export function endNodeEpoch(store: Store, epoch: number): void {
  store.run("UPDATE node_epoch SET ended_epoch = ?", epoch);
}

/** The epoch of the latest start; 0 where the node never was a daemon. */
export function nodeEpoch(store: Store): number {
  return Number(store.get("SELECT epoch FROM node_epoch")?.["epoch"] ?? 0);
}
