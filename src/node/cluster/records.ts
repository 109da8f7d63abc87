import { digestJson } from "#src/codec/digest.ts";
import type { Command, Event, Kind } from "#src/cluster/event.ts";
import type { Journal } from "#src/command/journal.ts";
import type { Facts } from "#src/receipt/receipt.ts";
import type { ReceiptLog } from "#src/receipt/receipt-log.ts";
import type { Store } from "#src/port/store.ts";
import type { Applied } from "./engine.ts";
import type { RunRecords } from "../windows/run-records.ts";
import type { MeshBook } from "./mesh-book.ts";
import { logRecord } from "./mesh-log.ts";
import { RateBound } from "./rate-bound.ts";

/** Refusals that get a receipt within a minute; further ones are only counted. */
export const refusalReceiptMaximum = 30;
const minuteMs = 60_000;

/** What one applied entry is worth writing down as. */
interface Record {
  readonly kind: string;
  readonly subject: string;
  readonly body: Facts;
  /** False for what the journal alone tells. */
  readonly isReceipt: boolean;
}

export interface RecordParts {
  readonly store: Store;
  readonly book: MeshBook;
  readonly journal: Journal;
  receipts(): ReceiptLog;
  monotonicMs(): number;
  /** The record of the runs, written with the rest; absent where nobody asks for it. */
  readonly runs?: RunRecords;
}

/**
 * Receipts and journal entries of what the log says (C-12): each node signs its own. They stand or fall
 * with the index up to which they were written, so after any crash none is missing and none is there twice.
 */
export class ClusterRecords {
  readonly #refusals: RateBound;
  #refusalCount = 0;

  constructor(readonly parts: RecordParts) {
    this.#refusals = new RateBound(refusalReceiptMaximum, minuteMs);
  }

  /** Newcomers refused since the start, with receipt or without. */
  get refusalCount(): number {
    return this.#refusalCount;
  }

  /**
   * Records applied entries beyond the recorded index. `isAlone` while the node is its mesh's only member:
   * what one node agrees with itself is no evidence to anybody.
   */
  record(
    applied: readonly Applied[],
    recordedIndex: number,
    where: { readonly mesh: string; readonly isAlone: boolean; leaderOf(term: number): string },
  ): number {
    const fresh = applied.filter(({ index }) => index > recordedIndex);
    const records = fresh.flatMap((entry) => recordOf(entry, where) ?? []);
    const { store, book, journal, receipts, runs } = this.parts;
    const changes = runs?.changesOf(fresh) ?? [];
    if (records.length + changes.length === 0) return recordedIndex;
    const { index } = fresh.at(-1)!;
    const written: Record[] = [];
    store.transaction(() => {
      runs?.write(changes);
      for (const record of records) {
        const { kind, subject, body, isReceipt } = record;
        if (kind === "cluster.refused" && !this.#mayReceipt()) continue;
        if (isReceipt) receipts().append(kind, subject, body);
        journal.append(kind, subject, body);
        written.push(record);
      }
      book.recordTo(index);
    });
    for (const { kind, subject, body } of written) logRecord(kind, subject, body);
    return index;
  }

  /** A newcomer was refused before anything was written into the log. */
  refused(newcomer: string, body: Facts): void {
    if (!this.#mayReceipt()) return;
    const { store, journal, receipts } = this.parts;
    store.transaction(() => {
      receipts().append("cluster.refused", newcomer, body);
      journal.append("cluster.refused", newcomer, body);
    });
    logRecord("cluster.refused", newcomer, body);
  }

  #mayReceipt(): boolean {
    this.#refusalCount++;
    return this.#refusals.take(this.parts.monotonicMs());
  }
}

function recordOf(
  { index, term, entry, event, outcome }: Applied,
  { mesh, isAlone, leaderOf }: Parameters<ClusterRecords["record"]>[2],
): Record | null {
  const place = { mesh, term, index };
  // A new leader's first entry.
  if (entry.kind === "empty") {
    if (isAlone) return null;
    const leader = leaderOf(term);
    const body = { ...place, leader };
    return { kind: "cluster.led", subject: leader === "" ? mesh : leader, body, isReceipt: true };
  }
  if (event === null || outcome === null) return null;
  const body = { ...place, event: digestJson(event), author: event.author, scope: event.scope };
  if ("done" in outcome) return doneRecord(event, body, isAlone);
  if (event.command.kind !== "node-admitted") return null;
  const refused = { ...body, code: outcome.refused, token: event.command.token };
  return { kind: "cluster.refused", subject: event.command.node, body: refused, isReceipt: true };
}

function doneRecord({ command }: Event, body: Facts, isAlone: boolean): Record | null {
  const kind = recordKinds[command.kind];
  if (kind === undefined || !("node" in command)) return null;
  const isReceipt = kind !== "ready" && kind !== "draining";
  if (isAlone && !isReceipt) return null;
  const more = { ...body, ...detailOf(command) };
  return { kind: `cluster.${kind}`, subject: command.node, body: more, isReceipt };
}

/** What each thing that was done is recorded as; what is not named here is not. */
const recordKinds: Partial<Readonly<{ [K in Kind]: string }>> = {
  "node-admitted": "admitted",
  "node-ready": "ready",
  "node-draining": "draining",
  "node-left": "left",
  "node-evicted": "evicted",
  "node-offline": "ordered",
  "lease-expired": "ordered",
  "order-given": "ordered",
  "owner-set": "owner",
  "mesh-recovered": "recovered",
};

/** What a record says beyond who, where and when. */
function detailOf(command: Command): Facts {
  if (command.kind === "node-admitted")
    return { token: command.token, epoch: command.epoch, key: command.key };
  if (command.kind === "node-evicted") return { reason: command.reason };
  if (command.kind === "owner-set") return { isOwner: command.isOwner };
  if (command.kind === "order-given")
    return { order: command.order, what: command.what, fence: { ...command.fence } };
  if ("fence" in command) return { order: command.kind, fence: { ...command.fence } };
  return {};
}
