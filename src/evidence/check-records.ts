import { canonicalText, digestJson, type Digest } from "#src/codec/digest.ts";
import type { KeyHistory } from "#src/receipt/rotation.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import type { RunCommand, Statement } from "#src/window/event.ts";
import { reduceRuns } from "#src/window/reduce.ts";
import type { Run } from "#src/window/run.ts";
import type { RunRecord } from "#src/window/services.ts";
import { isSignedBy, statementDigest } from "#src/window/statement.ts";
import type { EvidenceHeader } from "./header.ts";
import { linkBroken } from "./parts.ts";
import {
  endedWindow,
  privatesOf,
  type WindowNotes,
  type RunFacts,
  type WindowFacts,
} from "./run-facts.ts";
import { surroundingsFor } from "./surroundings.ts";

/**
 * Folds the events of a run once more, with the rules the mesh folded them with. Every statement is held against its
 * node's keys and its node's statement before, every event against the run's chain, and what the rules make of it
 * against what was decided. Refused with `evidence_broken` naming the first link that does not hold.
 */
export class RecordChecker {
  #count = 0;
  #runs: readonly Run[] = [];
  #last: RunRecord | null = null;
  #notes: WindowNotes = { privates: new Map(), judged: [] };
  readonly #statements = new Map<string, Digest>();
  /** Which event each chain stands after, and to which each node vouched for the run's history. */
  readonly #places = new Map<Digest, number>();
  readonly #vouched = new Map<string, number>();
  readonly #windows: WindowFacts[] = [];
  readonly #tally = { statements: 0, verdicts: 0, replays: 0, rejections: 0, leanPromotions: 0 };
  #seedDigest: Digest | null = null;

  constructor(
    readonly header: EvidenceHeader,
    readonly keys: ReadonlyMap<string, KeyHistory>,
  ) {}

  /** Takes the next event. */
  add(record: RunRecord): void {
    const link = `record ${++this.#count}`;
    this.#checkPlace(record, link);
    const signer = this.#checkStatement(record, link);
    const before = this.#runs[0] ?? null;
    const after = this.#fold(record, before, signer, link);
    if (after.chain !== record.chain)
      throw linkBroken(link, "the rules decide otherwise than it says", {
        ...{ kind: record.command.kind, chain: record.chain, found: after.chain },
      });
    this.#last = record;
    this.#runs = [after];
    this.#places.set(record.chain, this.#count);
    this.#note(record.command, before, after);
  }

  /** What the run came to, after its last event. */
  end(): RunFacts {
    const [run] = this.#runs;
    if (run === undefined) throw linkBroken("record 1", "there are no events");
    if (run.chain !== this.header.chain)
      throw linkBroken("the header", "the last event leads to another chain than it names");
    const windows = this.#windows;
    const facts = { run, spec: run.spec, windows, ...this.#tally };
    return { ...facts, ...this.#vouching(run), seedDigest: this.#seedDigest };
  }

  /** How far a quorum of nodes vouched for all events, in statements that name the chain there. */
  #vouching({ spec }: Run): Pick<RunFacts, "vouchers" | "vouchedRecords"> {
    const places = [...this.#vouched.values()].toSorted((a, b) => b - a);
    const vouchers = Math.max(1, Math.min(spec.quorum, places.length));
    return { vouchers, vouchedRecords: places[vouchers - 1] ?? 0 };
  }

  #checkPlace(record: RunRecord, link: string): void {
    const { command, run } = record;
    const of = command.kind === "run-stated" ? command.statement.run : command.run;
    if (run !== this.header.run || of !== this.header.run)
      throw linkBroken(link, `it is of run ${of}, not ${this.header.run}`);
    if (!this.keys.has(record.author))
      throw linkBroken(link, `${record.author} is not among the nodes of the bundle`);
    if (this.#last === null) {
      if (command.kind !== "run-created") throw linkBroken(link, "the run does not begin with it");
      this.#checkCreation(record, command, link);
      return;
    }
    if (record.index <= this.#last.index)
      throw linkBroken(link, `it stands at ${record.index} of the log, not after the one before`);
    if (record.term < this.#last.term) throw linkBroken(link, "its term is before the last one's");
  }

  #checkCreation(
    { author }: RunRecord,
    { name, document, spec }: Extract<RunCommand, { kind: "run-created" }>,
    link: string,
  ): void {
    const { header } = this;
    const said = canonicalText({ author, name, document, spec });
    const named = { author: header.author, name: header.name };
    if (said !== canonicalText({ ...named, document: header.document, spec: header.spec }))
      throw linkBroken(link, "it begins another run than the header describes");
  }

  /** Who signed the statement in an event, and under which of its keys; null where there is none. */
  #checkStatement({ command, author }: RunRecord, link: string) {
    if (command.kind !== "run-stated") return null;
    const { statement, node } = command;
    const of = `${link}: the statement of ${statement.node}`;
    if (statement.node !== node || node !== author)
      throw linkBroken(of, `it was handed in by ${author} in the name of ${node}`);
    if (statement.mesh !== this.header.mesh) throw linkBroken(of, "it is of another mesh");
    const history = this.keys.get(node)!;
    const key = signingKey(history, statement);
    if (key === null) throw linkBroken(of, "no key of that node signed it", { node });
    const previous = this.#statements.get(node) ?? null;
    if (statement.previous !== previous)
      throw linkBroken(of, "it does not follow that node's statement before", {
        ...{ node, previous: statement.previous, expectedPrevious: previous },
      });
    this.#statements.set(node, statementDigest(statement));
    return { node, key };
  }

  /** The run after an event, under the surroundings it may have had. */
  #fold(
    record: RunRecord,
    before: Run | null,
    signer: { readonly node: string; readonly key: string } | null,
    link: string,
  ): Run {
    const { author, atMs: timeMs, term, command, decided } = record;
    if (before !== null) {
      const chain = digestJson({ chain: before.chain, author, timeMs, term, command, decided });
      if (chain !== record.chain)
        throw linkBroken(link, "its chain does not follow from it and the events before", {
          ...{ chain: record.chain, found: chain },
        });
    }
    let found: Run | null = null;
    let refused: Refusal | null = null;
    for (const around of surroundingsFor(record, before, this.header.mesh, this.keys, signer)) {
      try {
        const runs = reduceRuns(this.#runs, { author, timeMs, term, command }, around);
        found = runs.find(({ run }) => run === this.header.run) ?? null;
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        refused = error;
      }
      if (found?.chain === record.chain) return found;
    }
    if (found !== null) return found;
    throw linkBroken(link, `the rules refuse it: ${refused?.message ?? "it begins no run"}`, {
      ...{ kind: command.kind, cause: refused?.code ?? null },
    });
  }

  #note(command: RunCommand, before: Run | null, after: Run): void {
    if (command.kind === "run-stated") this.#tallyStatement(command.statement);
    if (before === null) return;
    const ended = endedWindow(before, after, this.#notes);
    if (ended !== null) this.#windows.push(ended);
    const holders = after.workers.filter(({ revision }) => revision === after.revision.number);
    const isPromotion = after.revision.number > before.revision.number;
    if (isPromotion && holders.length < after.spec.quorum) this.#tally.leanPromotions++;
    if (after.windowCount > before.windowCount)
      this.#notes = { privates: privatesOf(after), judged: [] };
  }

  #tallyStatement({ node, anchor, said }: Statement): void {
    this.#tally.statements++;
    const place = anchor === null ? undefined : this.#places.get(anchor);
    if (place !== undefined) this.#vouched.set(node, place);
    if (said.saying === "ready" && said.revision === 0) this.#seedDigest ??= said.digest;
    if (said.saying !== "verdict") return;
    this.#tally.verdicts++;
    if (said.verdict === "rejected") this.#tally.rejections++;
    const { segment, worker, committed } = said;
    if (segment === null) return;
    this.#tally.replays++;
    const { privates, judged } = this.#notes;
    if (said.verdict !== "accepted") return;
    this.#notes = {
      privates,
      judged: [...judged, { worker, validator: node, segment, committed }],
    };
  }
}

function signingKey({ keys }: KeyHistory, statement: Statement): string | null {
  return keys.find(({ key }) => isSignedBy(key, statement))?.key ?? null;
}
