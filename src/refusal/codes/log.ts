import { entry, type CodeEntry } from "./entry.ts";

/** The ordered log and its simulator. */
export const logCodes = {
  log_damaged: entry(
    14,
    412,
    false,
    "The cluster's log on this node's disk has holes, terms that go down or rows that cannot be read. Nothing was changed. Restore node.db from a backup only if no later one was ever in use; otherwise the other nodes have the log: remove this node from the cluster and let it join again with a new home.",
  ),
  simulation_failed: entry(
    13,
    422,
    false,
    "A simulated cluster broke a promise, which is a bug of this version. The details name the seeds; `psionic sim --seed N` shows each again.",
  ),
} as const satisfies Record<string, CodeEntry>;
