import { homePaths } from "#src/node/home.ts";
import { openStore } from "#src/node/store.ts";
import { founding } from "./durable.ts";
import type { Entry } from "./entry.ts";
import { LogStore } from "./log-store.ts";
import { logTables } from "./tables.ts";

/**
 * Writes to the log of a home for ever, in batches as a node would, and says after each what is durable:
 * "term lastIndex". Killed by its test.
 */
const log = new LogStore(openStore(homePaths(process.argv[2], {}), [logTables]));
const found = log.open(founding({ voters: ["n1"], learners: [] }, "empty"));
let { term } = found.ballot;
let last = found.entries.at(-1)?.index ?? found.snapshot.index;
let snapshotIndex = found.snapshot.index;
const terms = new Map(found.entries.map((entry) => [entry.index, entry.term]));
for (;;) {
  term++;
  const truncateFrom = term % 3 === 0 && last > snapshotIndex ? last : 0;
  if (truncateFrom > 0) last--;
  const isFull = last - snapshotIndex > 20;
  const membership = { voters: ["n1"], learners: [] };
  const index = last - 5;
  const state = `${index}`;
  const snapshot = isFull ? { index, term: terms.get(index)!, membership, state } : null;
  if (snapshot !== null) snapshotIndex = snapshot.index;
  const entries: Entry[] = Array.from({ length: 1 + (term % 4) }, () => ({
    ...{ index: ++last, term, kind: "event" },
    payload: `${last}:${term}`,
  }));
  for (const entry of entries) terms.set(entry.index, entry.term);
  log.write({ ballot: { term, vote: "n1" }, truncateFrom, snapshot, entries });
  process.stdout.write(`${term} ${last}\n`);
}
