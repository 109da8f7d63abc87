import { Database, type SQLQueryBindings } from "bun:sqlite";
import type { Row, Store } from "#src/port/store.ts";
import { ReceiptLog } from "./receipt-log.ts";
import type { Receipt } from "./receipt.ts";
import { nodeIdOf, signingKeyFromSeed, type SigningKey } from "./signature.ts";
import { receiptTables } from "./tables.ts";

/** A key that every run of a test makes again. */
export function keyOf(seed: number): SigningKey {
  return signingKeyFromSeed(new Uint8Array(32).fill(seed));
}

/** A store in memory with the tables of this room. */
export function memoryStore(): Store {
  const database = new Database(":memory:");
  for (const migration of receiptTables.migrations) database.run(migration);
  return {
    all: (sql, ...values) => database.query(sql).all(...(values as SQLQueryBindings[])) as Row[],
    get: (sql, ...values) =>
      database.query(sql).get(...(values as SQLQueryBindings[])) as Row | null,
    run: (sql, ...values) => ({
      changes: database.query(sql).run(...(values as SQLQueryBindings[])).changes,
    }),
    transaction: (work) => database.transaction(work).immediate(),
  };
}

/** A clock that stands still unless a test moves it. */
export class StandingClock {
  nowMs = 1_800_000_000_000;
  wallMs = () => this.nowMs;
}

/** A node in memory: its first key is that of the seed. */
export function memoryNode(seed = 1, store = memoryStore(), clock = new StandingClock()) {
  const key = keyOf(seed);
  const log = new ReceiptLog(store, clock, { nodeId: nodeIdOf(key.publicKey), key });
  return { nodeId: log.author.nodeId, key, log, store, clock };
}

/** A chain of nine receipts whose key is rotated at 4 and at 7. */
export function rotatedChain(seed = 1): {
  readonly nodeId: string;
  readonly receipts: readonly Receipt[];
  readonly log: ReceiptLog;
} {
  const { log, nodeId, clock } = memoryNode(seed);
  for (let place = 1; place <= 9; place++) {
    clock.nowMs += 1_000;
    if (place === 4) log.rotate(keyOf(seed + 100), 60_000);
    else if (place === 7) log.rotate(keyOf(seed + 101), 0);
    else log.append("run.checkpoint", place % 2 === 0 ? "even" : "odd", { step: place, ok: true });
  }
  return { nodeId, receipts: log.chain(nodeId).map(({ receipt }) => receipt), log };
}
