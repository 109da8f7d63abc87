import type { Store, TableSet } from "#src/port/store.ts";
import { assert, Refusal } from "#src/refusal/refusal.ts";

/** Call ids remembered. While so many are fresh at once, further calls are refused as busy. */
export const callIdMaximum = 100_000;
/** The part of them that calls of nodes nobody entered may take: strangers shut no known node out. */
export const strangerIdMaximum = callIdMaximum / 2;
/** Removed together when the table is full, so that a call seldom pays for it. */
const removedAtOnce = 10_000;

export const peerTables: TableSet = {
  room: "peer",
  migrations: [
    `CREATE TABLE peer_call (
       id INTEGER PRIMARY KEY AUTOINCREMENT,
       key TEXT NOT NULL,
       call_id TEXT NOT NULL,
       sent_ms INTEGER NOT NULL,
       UNIQUE (key, call_id)
     ) STRICT;`,
    // The certificate a person confirmed for a node (src/peer/pins.ts).
    `CREATE TABLE peer_certificate (
       id INTEGER PRIMARY KEY AUTOINCREMENT,
       node_id TEXT NOT NULL UNIQUE,
       certificate TEXT NOT NULL
     ) STRICT;`,
    // Up to which counter the messages of a sender count as seen after a restart (src/peer/counters.ts).
    `CREATE TABLE peer_window (
       id INTEGER PRIMARY KEY AUTOINCREMENT,
       node_id TEXT NOT NULL UNIQUE,
       epoch INTEGER NOT NULL,
       ceiling INTEGER NOT NULL
     ) STRICT;`,
  ],
};

/** One call as the table knows it. */
export interface RememberedCall {
  /** The key that signed: nobody can use up another's ids. */
  readonly key: string;
  readonly callId: string;
  readonly sentMs: number;
}

/**
 * Remembers a call for good, or refuses the second one with `envelope_replayed`. Ids are kept by
 * count and never dropped while their call could still be taken as fresh, so that neither a
 * restart nor a clock that steps back lets a recorded call in. Run it inside the transaction that
 * admits the call.
 *
 * Refused with `peer_busy` when more than `maximum` calls are fresh at once.
 */
export function rememberCall(
  store: Store,
  { key, callId, sentMs }: RememberedCall,
  freshAfterMs: number,
  maximum: number = callIdMaximum,
): void {
  assert(Number.isSafeInteger(sentMs), "a call's time is an integer");
  const known = store.get("SELECT 1 FROM peer_call WHERE key = ? AND call_id = ?", key, callId);
  if (known !== null)
    throw new Refusal(
      "envelope_replayed",
      `the call ${callId} was answered before`,
      "send a new call; each has an id of its own",
      { callId },
    );
  makeRoom(store, freshAfterMs, maximum);
  store.run("INSERT INTO peer_call (key, call_id, sent_ms) VALUES (?, ?, ?)", key, callId, sentMs);
}

function makeRoom(store: Store, freshAfterMs: number, maximum: number): void {
  if (rowBound(store) < maximum) return;
  const removed = Math.max(1, Math.min(removedAtOnce, Math.ceil(maximum / 10)));
  store.run(
    `DELETE FROM peer_call WHERE sent_ms < ?1
     AND id IN (SELECT id FROM peer_call ORDER BY id LIMIT ?2)`,
    freshAfterMs,
    removed,
  );
  if (rowBound(store) < maximum) return;
  throw new Refusal(
    "peer_busy",
    `more than ${maximum} calls of peers arrived within minutes`,
    "try again in a few minutes",
    { maximum },
  );
}

/** At least as many as there are rows, at no cost: ids ascend and the oldest go first. */
function rowBound(store: Store): number {
  const row = store.get("SELECT max(id) - min(id) + 1 AS bound FROM peer_call");
  return Number(row?.["bound"] ?? 0);
}
