/** The windows of a run, one row each, out of the run's record. */
import * as v from "valibot";
import { verdicts } from "#src/window/run.ts";
import type { RunRecord } from "#src/window/services.ts";
import { acceptedIn, decidedOf, progressBefore, windowOf, type Telling } from "./run-events.ts";
import { lossOf } from "./run-loss.ts";

const numberOrNull = v.nullable(v.number());

const partSchema = v.strictObject({
  node: v.string(),
  shortId: v.string(),
  /** Steps it was given; each reads one slot. */
  steps: v.number(),
  outcome: v.picklist([
    ...(["working", "given", "missed", "lost"] as const),
    ...(["accepted", "rejected", "quarantined", "not-judged"] as const),
  ]),
  reasons: v.array(v.string()),
  /** Of its contribution; null where none came. */
  sizeBytes: numberOrNull,
  trainMs: numberOrNull,
  /** Those who were drawn to judge it, and the segment they recompute; null where none is. */
  validators: v.array(v.string()),
  segment: numberOrNull,
  verdicts: v.array(
    v.strictObject({
      validator: v.string(),
      verdict: v.picklist(verdicts),
      reasons: v.array(v.string()),
      segment: numberOrNull,
    }),
  ),
});
type Part = v.InferOutput<typeof partSchema>;

export const windowRowSchema = v.strictObject({
  number: v.number(),
  /** Where it is while it is open, or how it ended. */
  stage: v.picklist(["active", "sealed", "scored", "promoted", "held"]),
  /** Why it was held; empty otherwise. */
  reason: v.string(),
  /** The revision all started from. */
  revision: v.number(),
  /** Accepted slots of the run when it was opened. */
  progress: v.number(),
  openedMs: v.number(),
  sealedMs: numberOrNull,
  scoredMs: numberOrNull,
  /** Null while it is open. */
  tookMs: numberOrNull,
  acceptedSlots: v.number(),
  /** Of all contributions together. */
  sizeBytes: v.number(),
  /** What they would have been uncompressed; null where that is not known. */
  denseBytes: numberOrNull,
  /** Held-out loss of the revision it led to; null until somebody evaluated it. */
  loss: numberOrNull,
  parts: v.array(partSchema),
  /** Who says which revision comes of it. */
  computed: v.array(v.strictObject({ node: v.string(), digest: v.string() })),
});
export type WindowRow = v.InferOutput<typeof windowRowSchema>;

export interface WindowTelling extends Telling {
  /** The revision after the last of the records. */
  readonly revision: number;
  /** Numbers the model learns; null where the run's document is not here. */
  readonly parameterCount: number | null;
}

/** Rows of all windows whose opening is in the records, ascending. */
export function windowRows(records: readonly RunRecord[], telling: WindowTelling): WindowRow[] {
  const rows = new Map<number, WindowRow>();
  const byRevision = new Map<number, WindowRow>();
  let progress = progressBefore(records, telling.acceptedSlots);
  let revision = telling.revision - records.filter((each) => promotedIn(each) !== null).length;
  for (const record of records) {
    const loss = lossOf(record);
    const evaluated = loss === null ? undefined : byRevision.get(loss.revision);
    if (loss !== null && evaluated !== undefined) evaluated.loss = loss.loss;
    const number = windowOf(record);
    if (number === null) continue;
    if (record.command.kind === "window-opened")
      rows.set(number, begin(record, number, { revision, progress }, telling));
    const row = rows.get(number);
    if (row !== undefined) tell(row, record);
    const promoted = promotedIn(record);
    if (promoted === null) continue;
    revision = promoted;
    progress += acceptedIn(record);
    if (row !== undefined) byRevision.set(promoted, end(row, record, "promoted"));
  }
  for (const row of rows.values()) row.denseBytes = denseBytesOf(row, telling);
  return [...rows.values()];
}

function promotedIn(record: RunRecord): number | null {
  return decidedOf(record).revision?.number ?? null;
}

function begin(
  record: RunRecord,
  number: number,
  start: Pick<WindowRow, "revision" | "progress">,
  { nameOf }: Telling,
): WindowRow {
  const parts = decidedOf(record).tasks.map(({ worker: node, steps }): Part => ({
    ...{ node, shortId: nameOf(node), steps, outcome: "working", reasons: [] },
    ...{ sizeBytes: null, trainMs: null, validators: [], segment: null, verdicts: [] },
  }));
  return {
    ...{ number, stage: "active", reason: "", ...start, openedMs: record.atMs },
    ...{ sealedMs: null, scoredMs: null, tookMs: null, acceptedSlots: 0, sizeBytes: 0 },
    ...{ denseBytes: null, loss: null, parts, computed: [] },
  };
}

function tell(row: WindowRow, record: RunRecord): void {
  const { command, atMs } = record;
  const { draws, missed, accepted, scores, held } = decidedOf(record);
  const change = (node: string, part: Partial<Part>) => {
    const known = row.parts.find((each) => each.node === node);
    if (known !== undefined) Object.assign(known, part);
  };
  if (command.kind === "run-stated") state(row, command.statement, change);
  if (command.kind === "window-sealed") Object.assign(row, { stage: "sealed", sealedMs: atMs });
  for (const node of missed) change(node, { outcome: "missed" });
  for (const { worker, validators, segment } of draws) change(worker, { validators, segment });
  for (const { worker, outcome, reasons } of scores) change(worker, { outcome, reasons });
  if (command.kind === "contribution-lost") change(command.worker, { outcome: "lost" });
  if (accepted !== undefined) {
    Object.assign(row, { stage: "scored", scoredMs: row.scoredMs ?? atMs });
    const counted = row.parts.filter(({ node }) => accepted.includes(node));
    row.acceptedSlots = counted.reduce((sum, { steps }) => sum + steps, 0);
  }
  if (held !== undefined)
    Object.assign(end(row, record, "held"), { reason: held, acceptedSlots: 0 });
}

function state(
  row: WindowRow,
  { node, said }: Extract<RunRecord["command"], { kind: "run-stated" }>["statement"],
  change: (node: string, part: Partial<Part>) => void,
): void {
  if (said.saying === "contribution") {
    const { sizeBytes, trainMs } = said;
    row.sizeBytes += sizeBytes;
    change(node, { sizeBytes, trainMs, outcome: "given" });
  }
  if (said.saying === "verdict") {
    const { verdict, reasons, segment } = said;
    const judged = row.parts.find((part) => part.node === said.worker);
    judged?.verdicts.push({ validator: node, verdict, reasons: [...reasons], segment });
  }
  if (said.saying === "revision") row.computed.push({ node, digest: said.digest });
}

function end(row: WindowRow, { atMs }: RunRecord, stage: "promoted" | "held"): WindowRow {
  return Object.assign(row, { stage, tookMs: atMs - row.openedMs });
}

function denseBytesOf({ parts }: WindowRow, { parameterCount }: WindowTelling): number | null {
  if (parameterCount === null) return null;
  return 4 * parameterCount * parts.filter(({ sizeBytes }) => sizeBytes !== null).length;
}
