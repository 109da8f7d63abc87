import * as v from "valibot";
import { digestJson } from "#src/codec/digest.ts";
import { isFact } from "#src/receipt/receipt.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { runCommands } from "#src/window/event.ts";
import { idOf } from "#src/window/reduce.ts";
import type { Run } from "#src/window/run.ts";
import type { RunRecord } from "#src/window/services.ts";
import type { ClusterRuntime } from "../cluster/runtime.ts";
import type { RunRecords } from "./run-records.ts";

/** Records asked for at once of another member, and pages of them. */
const pageCount = 200;
const pageMaximum = 2_000;
/** Messages between nodes have a megabyte. */
const pageLengthMaximum = 400_000;
/** Characters of a whole history that are taken from another: a million events have less. */
const historyLengthMaximum = 512 * 1024 * 1024;

const digest = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/));
const natural = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const recordSchema = v.strictObject({
  ...{ run: v.pipe(v.string(), v.maxLength(32)), index: natural, term: natural, atMs: natural },
  author: v.pipe(v.string(), v.maxLength(64)),
  command: v.variant("kind", [...runCommands]),
  decided: v.custom<unknown>(isFact, "must be text, integers, truth values, lists and objects"),
  chain: digest,
});
const recordsAnswer = v.object({
  records: v.pipe(v.array(recordSchema), v.maxLength(pageCount)),
});

/** What is known of a run's events, and whether it is all of them. */
export interface History {
  readonly records: readonly RunRecord[];
  readonly isWhole: boolean;
}

/**
 * The events of a run from its beginning on. A node that came later, or to which a snapshot was sent, asks others for
 * what it lacks: who gives it cannot change it, for each event leads to the next by the run's chain.
 */
export class RunHistory {
  constructor(
    readonly parts: {
      readonly cluster: ClusterRuntime;
      readonly records: RunRecords;
      readonly node: string;
    },
  ) {}

  /** `state` is the run as this node knows it now; absent for one that the mesh has forgotten. */
  async whole(run: string, state: Run | undefined, signal: AbortSignal): Promise<History> {
    const { records } = this.parts;
    const own = records.all(run);
    if (this.#isWhole(own, state)) return { records: own, isWhole: true };
    for (const node of this.#others()) {
      const theirs = await this.#recordsOf(node, run, signal).catch((error: unknown) => {
        if (signal.aborted || !(error instanceof Refusal)) throw error;
        return [];
      });
      const known = new Map([...theirs, ...own].map((record) => [record.index, record]));
      const joined = [...known.values()].toSorted((a, b) => a.index - b.index);
      if (!this.#isWhole(joined, state)) continue;
      records.adopt(joined);
      return { records: joined, isWhole: true };
    }
    return { records: own, isWhole: false };
  }

  #others(): readonly string[] {
    const members = this.parts.cluster.ownState()?.members ?? [];
    return members
      .filter((member) => member.node !== this.parts.node && member.standing === "ready")
      .map((member) => member.node);
  }

  /**
   * What another gives, as far as it can be true: nothing stands in the log behind what was applied here, so that
   * no invented place is taken from an event that is still to come.
   */
  async #recordsOf(node: string, run: string, signal: AbortSignal): Promise<readonly RunRecord[]> {
    const { appliedIndex } = this.parts.cluster.standing();
    const found: RunRecord[] = [];
    let length = 0;
    for (let page = 0; page < pageMaximum; page++) {
      const after = found.at(-1)?.index ?? 0;
      const parameters = { run, after, count: pageCount };
      const answer = await this.parts.cluster.ask(node, "run/records", parameters, signal);
      const read = v.safeParse(recordsAnswer, answer);
      if (!read.success) return found;
      const { records } = read.output;
      const isNext = records.every(
        (each, place) =>
          each.run === run &&
          idOf(each.command) === run &&
          each.index > (records[place - 1]?.index ?? after) &&
          each.index <= appliedIndex,
      );
      length += JSON.stringify(records).length;
      if (!isNext || records.length === 0 || length > historyLengthMaximum) return found;
      found.push(...records);
    }
    return found;
  }

  /** Whether each leads to the next, from the run's beginning to what the state has. */
  #isWhole(records: readonly RunRecord[], state: Run | undefined): boolean {
    const [first] = records;
    if (first?.command.kind !== "run-created") return false;
    const { run, document, spec } = first.command;
    const mesh = this.parts.cluster.ownState()?.mesh ?? "";
    let chain = digestJson({ mesh, run, document, spec });
    for (const { author, atMs: timeMs, term, command, decided, chain: next } of records) {
      if (digestJson({ chain, author, timeMs, term, command, decided }) !== next) return false;
      chain = next;
    }
    return state === undefined || records.some((record) => record.chain === state.chain);
  }
}

/** As many records as go to another member at once. */
export function recordPage(records: readonly RunRecord[]): readonly RunRecord[] {
  let length = 0;
  const page: RunRecord[] = [];
  for (const record of records.slice(0, pageCount)) {
    length += JSON.stringify(record).length;
    if (page.length > 0 && length > pageLengthMaximum) break;
    page.push(record);
  }
  return page;
}
