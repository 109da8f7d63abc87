import { existsSync, readdirSync } from "node:fs";
import type { HomePaths, IdentityService } from "#src/command/services.ts";
import type { Clock } from "#src/port/clock.ts";
import type { Disk } from "#src/port/disk.ts";
import type { Random } from "#src/port/random.ts";
import type { Store } from "#src/port/store.ts";
import { createIdentity, keyMissing, loadIdentity } from "#src/receipt/identity.ts";
import { ReceiptArchive } from "#src/receipt/receipt-log.ts";
import { Refusal } from "#src/refusal/refusal.ts";

/** The identity of one home. */
export function identityService(
  home: HomePaths,
  parts: {
    readonly disk: Disk;
    readonly random: Random;
    readonly clock: Clock;
    /** Where the chain is, which settles what key files leave open. */
    readonly store?: () => Store;
  },
): IdentityService {
  const place = { disk: parts.disk, directory: home.identity };
  const { store } = parts;
  const chain =
    store === undefined
      ? undefined
      : () => (existsSync(home.database) ? new ReceiptArchive(store()).rotations() : []);
  const look = async () => {
    const identity = await loadIdentity(place, chain);
    if (identity === null && holdsState(home)) throw keyMissing(place);
    return identity;
  };
  // Another process may make the identity between two looks at its files; its key comes first.
  const load = () =>
    look().catch((error: unknown) => {
      if (error instanceof Refusal && error.code === "identity_key_missing") return look();
      throw error;
    });
  return {
    async open() {
      const identity = await load();
      if (identity !== null) return identity;
      throw new Refusal(
        "identity_absent",
        `${home.root} has no node identity yet`,
        "`psionic init` makes one",
        { home: home.root },
      );
    },
    async openOrCreate() {
      const identity = await load();
      if (identity !== null) return { ...identity, created: false };
      return { ...(await createIdentity(place, parts.random, parts.clock)), created: true };
    },
  };
}

/** True when a node has worked here. An empty database does not count: looking at a new home makes one. */
function holdsState(home: HomePaths): boolean {
  const filled = (path: string) => existsSync(path) && readdirSync(path).length > 0;
  return filled(home.runs) || filled(home.artifacts);
}
