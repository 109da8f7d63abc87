import * as v from "valibot";
import { digestBytes } from "#src/codec/digest.ts";
import type { Row, Store } from "#src/port/store.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import type { Durable, Write } from "./durable.ts";
import type { Ballot, Entry, Snapshot } from "./entry.ts";

const whole = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const ids = v.array(v.string());
const membershipSchema = v.strictObject({ voters: ids, learners: ids });
const place = { index: whole, term: whole };
const entrySchema = v.variant("kind", [
  v.strictObject({ ...place, kind: v.literal("event"), payload: v.string() }),
  v.strictObject({ ...place, kind: v.literal("membership"), membership: membershipSchema }),
  v.strictObject({ ...place, kind: v.literal("empty") }),
]);
const snapshotSchema = v.strictObject({
  ...place,
  membership: membershipSchema,
  state: v.string(),
});

/** The log's durable form: a ballot, a snapshot and the entries after it, in the node's tables. */
export class LogStore {
  constructor(readonly store: Store) {}

  /**
   * What is on the disk; where nothing is, what the cluster was founded with, which is on the disk then.
   * Refused with `log_damaged` where a row was changed or is missing, and nothing is changed.
   */
  open(founding: Durable): Durable {
    const found = this.#read();
    if (found !== null) return found;
    this.store.transaction(() => {
      this.#putBallot(founding.ballot);
      this.#putSnapshot(founding.snapshot);
      for (const entry of founding.entries) this.#putEntry(entry);
    });
    return founding;
  }

  /** Carries out a write, whole or not at all. When it returns, the write is durable. */
  write({ ballot, truncateFrom, snapshot, entries }: Write): void {
    this.store.transaction(() => {
      if (ballot !== null) this.#putBallot(ballot);
      if (truncateFrom > 0)
        this.store.run("DELETE FROM log_entry WHERE position >= ?", truncateFrom);
      if (snapshot !== null) {
        this.#putSnapshot(snapshot);
        this.store.run("DELETE FROM log_entry WHERE position <= ?", snapshot.index);
      }
      for (const entry of entries) this.#putEntry(entry);
    });
  }

  #putBallot({ term, vote }: Ballot): void {
    this.store.run("INSERT OR REPLACE INTO log_ballot VALUES (1, ?, ?)", term, vote);
  }

  #putSnapshot(snapshot: Snapshot): void {
    const text = JSON.stringify(snapshot);
    const digest = digestBytes(text);
    this.store.run("INSERT OR REPLACE INTO log_snapshot VALUES (1, ?, ?)", text, digest);
  }

  #putEntry(entry: Entry): void {
    const text = JSON.stringify(entry);
    this.store.run("INSERT INTO log_entry VALUES (?, ?, ?)", entry.index, text, digestBytes(text));
  }

  #read(): Durable | null {
    // One transaction, so that what is read was there at one time.
    const [ballotRow, snapshotRow, rows] = this.store.transaction(() => [
      this.store.get("SELECT term, vote FROM log_ballot"),
      this.store.get("SELECT text, digest FROM log_snapshot"),
      this.store.all("SELECT position, text, digest FROM log_entry ORDER BY position"),
    ]);
    if (ballotRow === null && snapshotRow === null && rows.length === 0) return null;
    if (ballotRow === null) throw damaged("the ballot is missing");
    if (snapshotRow === null) throw damaged("the snapshot is missing");
    const ballot = { term: Number(ballotRow["term"]), vote: String(ballotRow["vote"]) };
    const snapshot = parsed(snapshotSchema, snapshotRow, "the snapshot");
    const entries = rows.map((row) => {
      const entry = parsed(entrySchema, row, `entry ${String(row["position"])}`);
      if (entry.index === Number(row["position"])) return entry;
      throw damaged(`entry ${String(row["position"])} says that it is entry ${entry.index}`);
    });
    refuseDisorder(ballot, snapshot, entries);
    return { ballot, snapshot, entries };
  }
}

/** Indexes have no holes, terms never go down, and no term is above the one that was promised. */
function refuseDisorder(ballot: Ballot, snapshot: Snapshot, entries: readonly Entry[]): void {
  let { index, term } = snapshot;
  for (const entry of entries) {
    if (entry.index !== index + 1) throw damaged(`entry ${entry.index} follows ${index}`);
    if (entry.term < term) throw damaged(`terms go down at entry ${entry.index}`);
    ({ index, term } = entry);
  }
  if (ballot.term < term) throw damaged(`the ballot is of term ${ballot.term}, the log of ${term}`);
}

function parsed<Schema extends v.GenericSchema>(
  schema: Schema,
  row: Row,
  what: string,
): v.InferOutput<Schema> {
  const text = String(row["text"]);
  if (digestBytes(text) !== row["digest"]) throw damaged(`${what} is not what was written`);
  try {
    return v.parse(schema, JSON.parse(text));
  } catch {
    throw damaged(`${what} has not the shape of one`);
  }
}

function damaged(why: string): Refusal {
  return new Refusal(
    "log_damaged",
    `the cluster's log on this node is damaged: ${why}`,
    "Nothing was changed. Remove this node from the cluster and let it join again with a new home.",
    { why },
  );
}
