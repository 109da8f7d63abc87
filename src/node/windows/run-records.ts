import { surroundingsOf } from "#src/cluster/runs.ts";
import type { Digest } from "#src/codec/digest.ts";
import type { Journal } from "#src/command/journal.ts";
import type { Facts } from "#src/receipt/receipt.ts";
import type { ReceiptLog } from "#src/receipt/receipt-log.ts";
import type { Row, Store } from "#src/port/store.ts";
import type { RunCommand } from "#src/window/event.ts";
import { decide, idOf } from "#src/window/reduce.ts";
import { isOver, type Run, type VerdictKind, verdicts as verdictKinds } from "#src/window/run.ts";
import type { RunRecord } from "#src/window/services.ts";
import { statementDigest } from "#src/window/statement.ts";
import { workerOf } from "#src/window/workers.ts";
import type { Applied } from "../cluster/engine.ts";

/** Records of runs that this mesh has forgotten are kept for so many runs, the newest. */
export const recordedRunMaximum = 64;
/** Records given at once. */
export const recordMaximum = 1_000;

export interface RecorderParts {
  readonly store: Store;
  readonly journal: Journal;
  readonly node: string;
  receipts(): ReceiptLog;
}

/** What an applied event changed among the runs. */
interface Change {
  readonly record: RunRecord;
  readonly before: Run | null;
  readonly after: Run;
}

/**
 * Every event of a run that this node applied, with what it decided: the source of a run's evidence and of its story.
 * Written in the transaction in which the mesh's other records are, with the journal's entries and this node's
 * receipts of what it did itself.
 */
export class RunRecords {
  constructor(readonly parts: RecorderParts) {}

  /** What of these entries is about runs, in order; nothing is written. */
  changesOf(applied: readonly Applied[]): readonly Change[] {
    return applied.flatMap((entry) => changeOf(entry) ?? []);
  }

  /** Inside a transaction. An event that is known already is not written again, and told to nobody. */
  write(changes: readonly Change[]): void {
    for (const change of changes) if (this.#insert(change.record)) this.#tell(change);
    // Whoever may begin runs may begin many, also on nodes that work on none of them.
    if (changes.some(({ record }) => record.command.kind === "run-created")) this.prune();
  }

  /** Enters what another node recorded; the caller has checked that it fits. */
  adopt(records: readonly RunRecord[]): void {
    this.parts.store.transaction(() => {
      for (const record of records) this.#insert(record);
    });
  }

  /** Forgets runs where there are too many: those in which this node said nothing first, then the oldest. */
  prune(): void {
    this.parts.store.run(
      `DELETE FROM run_record WHERE run NOT IN
       (SELECT run FROM run_record GROUP BY run
        ORDER BY max(kind = 'run-stated' AND author = ?) DESC, max(place) DESC LIMIT ?)`,
      ...[this.parts.node, recordedRunMaximum],
    );
  }

  after(run: string | null, place: number, count: number): readonly RunRecord[] {
    const limit = Math.min(count, recordMaximum);
    const rows =
      run === null
        ? this.parts.store.all(
            "SELECT * FROM run_record WHERE place > ? ORDER BY place LIMIT ?",
            ...[place, limit],
          )
        : this.parts.store.all(
            "SELECT * FROM run_record WHERE run = ? AND place > ? ORDER BY place LIMIT ?",
            ...[run, place, limit],
          );
    return rows.map(asRecord);
  }

  latest(run: string, count: number): readonly RunRecord[] {
    return this.parts.store
      .all(
        "SELECT * FROM run_record WHERE run = ? ORDER BY place DESC LIMIT ?",
        ...[run, Math.min(count, recordMaximum)],
      )
      .map(asRecord)
      .reverse();
  }

  /** All of a run, ascending. */
  all(run: string): readonly RunRecord[] {
    return this.parts.store
      .all("SELECT * FROM run_record WHERE run = ? ORDER BY place", run)
      .map(asRecord);
  }

  /** Verdicts by kind and windows without a revision, of what was recorded. */
  tally(run: string): {
    readonly verdicts: Readonly<Record<VerdictKind, number>>;
    readonly held: number;
  } {
    const { store } = this.parts;
    const rows = store.all(
      `SELECT json_extract(command, '$.statement.said.verdict') AS verdict, count(*) AS count
       FROM run_record WHERE run = ? AND kind = 'run-stated' GROUP BY verdict`,
      run,
    );
    const counts = new Map(rows.map((row) => [row["verdict"], Number(row["count"])]));
    const held = store.get(
      "SELECT count(*) AS count FROM run_record WHERE run = ? AND json_extract(decided, '$.held') IS NOT NULL",
      run,
    );
    return {
      verdicts: Object.fromEntries(
        verdictKinds.map((kind) => [kind, counts.get(kind) ?? 0]),
      ) as Record<VerdictKind, number>,
      held: Number(held!["count"]),
    };
  }

  #insert(record: RunRecord): boolean {
    const { run, index, term, atMs, author, command, decided, chain } = record;
    const { changes } = this.parts.store.run(
      "INSERT OR IGNORE INTO run_record (run, place, term, at_ms, author, kind, command, decided, chain) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
      ...[run, index, term, atMs, author, command.kind],
      ...[JSON.stringify(command), JSON.stringify(decided), chain],
    );
    return changes > 0;
  }

  #tell({ record, before, after }: Change): void {
    const { journal, receipts, node } = this.parts;
    const { run, index, term, command } = record;
    const place = { index, term, window: after.windowCount };
    const turns = turnsOf(command, before, after);
    for (const { kind, body } of turns) journal.append(`run.${kind}`, run, { ...place, ...body });
    for (const { kind, body } of deedsOf(node, command, before, after))
      receipts().append(`run.${kind}`, run, { ...place, chain: record.chain, ...body });
  }
}

function changeOf({ index, term, event, outcome, mesh }: Applied): Change | null {
  if (event === null || mesh === null || outcome === null || !("done" in outcome)) return null;
  const { author, timeMs, command } = event;
  const before = mesh.before.runs;
  if (before === mesh.after.runs) return null;
  const runCommand = command as RunCommand;
  const run = idOf(runCommand);
  const after = mesh.after.runs.find((each) => each.run === run);
  if (after === undefined) return null;
  const { decided } = decide(
    before,
    { author, timeMs, term: event.term, command: runCommand },
    surroundingsOf(mesh.after),
  );
  return {
    before: before.find((each) => each.run === run) ?? null,
    after,
    record: {
      ...{ run, index, term, atMs: timeMs, author, command: runCommand, decided },
      chain: after.chain,
    },
  };
}

interface Told {
  readonly kind: string;
  readonly body: Facts;
}

/** What the journal says of an event: enough for who watches to ask for more. */
function turnsOf(command: RunCommand, before: Run | null, after: Run): readonly Told[] {
  const told: Told[] = [{ kind: kindOf(command), body: whoOf(command) }];
  if (before !== null && before.phase !== after.phase)
    told.push({ kind: "phase", body: { phase: after.phase, reason: after.reason } });
  if (before !== null && before.revision.number !== after.revision.number)
    told.push({ kind: "promoted", body: { revision: after.revision.number } });
  const isPast = before !== null && before.past?.number !== after.past?.number;
  if (isPast && after.past?.outcome === "held")
    told.push({ kind: "held", body: { reason: after.past.reason } });
  return told;
}

function kindOf(command: RunCommand): string {
  if (command.kind === "run-created") return "begun";
  if (command.kind === "run-stated") return `said-${command.statement.said.saying}`;
  return command.kind.replace(/^run-/, "");
}

function whoOf(command: RunCommand): Facts {
  if (command.kind === "run-stated") return { node: command.statement.node };
  return command.kind === "run-wished" ? { wish: command.wish } : {};
}

/** What this node did itself and stands for in its own chain of receipts. */
function deedsOf(
  node: string,
  command: RunCommand,
  before: Run | null,
  after: Run,
): readonly Told[] {
  if (command.kind !== "run-stated" || command.statement.node !== node) return [];
  const { said } = command.statement;
  const statement: Digest = statementDigest(command.statement);
  switch (said.saying) {
    case "ready": {
      const isNew = before === null || (workerOf(before, node)?.statement ?? null) === null;
      return isNew && !isOver(after)
        ? [{ kind: "joined", body: { statement, revision: said.revision, lane: said.lane } }]
        : [];
    }
    case "contribution": {
      const { window, commitments, sizeBytes, trainMs } = said;
      const body = { statement, window, commitments, sizeBytes, trainMs };
      return [{ kind: "contributed", body }];
    }
    case "verdict": {
      const { window, worker, verdict, reasons, segment, tookMs } = said;
      const body = { statement, window, worker, verdict, reasons: [...reasons], segment, tookMs };
      return [{ kind: "judged", body }];
    }
    case "revision": {
      const { window, revision, digest } = said;
      return [{ kind: "merged", body: { statement, window, revision, digest } }];
    }
    case "gone":
    case "evaluation":
      return [];
  }
}

function asRecord(row: Row): RunRecord {
  return {
    run: String(row["run"]),
    index: Number(row["place"]),
    term: Number(row["term"]),
    atMs: Number(row["at_ms"]),
    author: String(row["author"]),
    command: JSON.parse(String(row["command"])) as RunCommand,
    decided: JSON.parse(String(row["decided"])) as unknown,
    chain: String(row["chain"]),
  };
}
