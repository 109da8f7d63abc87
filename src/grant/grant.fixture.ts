import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { PeerCaller, Trust } from "#src/command/caller.ts";
import { Journal } from "#src/command/journal.ts";
import { homePaths } from "#src/node/home.ts";
import { openStore } from "#src/node/store.ts";
import { tableSets } from "#src/node/tables.ts";
import type { Clock } from "#src/port/clock.ts";
import type { Store } from "#src/port/store.ts";
import { ReceiptLog } from "#src/receipt/receipt-log.ts";
import { nodeIdOf, signingKeyFromSeed, type SigningKey } from "#src/receipt/signature.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { GrantBook } from "./grant-book.ts";
import { IssuedGrants } from "./issued-grants.ts";
import { meshIdOf } from "./mesh.ts";
import { PresentedGrants } from "./presented-grants.ts";
import { TrustRegistry } from "./trust-registry.ts";

/** A key that every run of a test makes again. */
export const keyOf = (seed: number) => signingKeyFromSeed(new Uint8Array(32).fill(seed));

export const ownerKey = keyOf(1);
export const guestKey = keyOf(2);
export const thiefKey = keyOf(3);

/** A clock that a test moves; sleepers wake when time has come to them. */
export class MovedClock implements Clock {
  nowMs = 1_800_000_000_000;
  readonly #sleepers = new Set<() => void>();

  wallMs = () => this.nowMs;
  monotonicMs = () => this.nowMs;

  sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    const untilMs = this.nowMs + delayMs;
    return new Promise((resolve, reject) => {
      const look = () => {
        if (this.nowMs < untilMs) return;
        this.#sleepers.delete(look);
        resolve();
      };
      signal?.addEventListener("abort", () => {
        this.#sleepers.delete(look);
        reject(signal.reason as Error);
      });
      this.#sleepers.add(look);
      look();
    });
  }

  /** Moves time and lets everything that was due run. */
  async pass(ms: number): Promise<void> {
    this.nowMs += ms;
    for (const look of [...this.#sleepers]) look();
    // What a woken sleeper does next is a few microtasks away; a macrotask comes after them all.
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** What a node keeps about grants, over a real database in a directory of its own. */
export function grantNode(
  options: { root?: string; key?: SigningKey; clock?: Clock; store?: (real: Store) => Store } = {},
) {
  const root = options.root ?? mkdtempSync(join(tmpdir(), "psionic-grant-"));
  const key = options.key ?? ownerKey;
  const moved = new MovedClock();
  const clock: Clock = options.clock ?? moved;
  const real = openStore(homePaths(root, {}), tableSets);
  const store = options.store?.(real) ?? real;
  const log = new ReceiptLog(store, clock, { nodeId: nodeIdOf(key.publicKey), key });
  const receipts = { opened: () => log };
  const journal = new Journal(store, clock);
  const trust = new TrustRegistry({ store: () => store, clock, receipts });
  const parts = { store: () => store, clock, receipts, trust, journal: () => journal };
  return {
    ...{ root, key, store, log, journal, trust, moved },
    nodeId: log.author.nodeId,
    mesh: meshIdOf(log.author),
    book: new GrantBook(parts),
    issued: new IssuedGrants(parts),
    presented: new PresentedGrants(parts),
    close() {
      real.close();
      if (options.root === undefined) rmSync(root, { recursive: true, force: true });
    },
  };
}

export type GrantNode = ReturnType<typeof grantNode>;

/** A peer whose key has proved itself, with what it presents. */
export function peerOf(
  key: SigningKey,
  grant: unknown,
  registered: Trust = "provisional",
): PeerCaller {
  const { publicKey } = key;
  return { provenance: "peer", publicKey, nodeId: nodeIdOf(publicKey), registered, grant };
}

/** The code of what the work throws; `accepted` where it throws nothing. */
export function codeOf(work: () => unknown): string {
  try {
    work();
    return "accepted";
  } catch (error) {
    if (error instanceof Refusal) return error.code;
    throw error;
  }
}
