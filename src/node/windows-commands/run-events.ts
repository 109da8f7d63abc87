/** The events of a run as its record tells them: who came and went, what was refused, who decided. */
import * as v from "valibot";
import type { RunRecord } from "#src/window/services.ts";

export const runEventKinds = [
  ...(["created", "joined", "returned", "left", "lost", "rejected", "dropped"] as const),
  ...(["redrawn", "held", "paused", "resumed", "stopped", "failed", "handover"] as const),
] as const;

export const runEventSchema = v.strictObject({
  index: v.number(),
  atMs: v.number(),
  kind: v.picklist(runEventKinds),
  /** Accepted slots of the run then: where it stands on a curve. */
  progress: v.number(),
  window: v.nullable(v.number()),
  /** Of whom it tells; null where of nobody. */
  node: v.nullable(v.string()),
  shortId: v.nullable(v.string()),
  /** The words in which it was said: a reason's code. */
  reason: v.string(),
});
export type RunEvent = v.InferOutput<typeof runEventSchema>;

const names = v.array(v.string());
const score = v.object({
  worker: v.string(),
  outcome: v.picklist(["accepted", "rejected", "quarantined", "not-judged"]),
  reasons: names,
});
export type Score = v.InferOutput<typeof score>;
const interval = v.object({ first: v.number(), count: v.number() });
const task = v.object({ worker: v.string(), steps: v.number(), slices: v.array(interval) });
const draw = v.object({
  worker: v.string(),
  validators: names,
  segment: v.nullable(v.number()),
});

/** What the rules worked out, as far as it is told here; what this version does not know is left out. */
const decidedSchema = v.object({
  tasks: v.optional(v.array(task), []),
  draws: v.optional(v.array(draw), []),
  missed: v.optional(names, []),
  accepted: v.optional(names),
  scores: v.optional(v.array(score), []),
  held: v.optional(v.string()),
  /** Of a promotion; who only says later that it holds it too promotes nothing. */
  revision: v.fallback(v.optional(v.object({ number: v.number() })), undefined),
  past: v.fallback(v.optional(v.object({ acceptedSlots: v.number() })), undefined),
});
export type Decided = v.InferOutput<typeof decidedSchema>;

export function decidedOf({ decided }: Pick<RunRecord, "decided">): Decided {
  const read = v.safeParse(decidedSchema, decided ?? {});
  return read.success ? read.output : v.parse(decidedSchema, {});
}

/** The window an event is of; null for what is of none. */
export function windowOf({ command }: Pick<RunRecord, "command">): number | null {
  if (command.kind === "run-stated") {
    const { said } = command.statement;
    return "window" in said ? said.window : null;
  }
  return "window" in command ? command.window : null;
}

/** Slots that were accepted before records in a row, given those that are accepted after them. */
export function progressBefore(records: readonly RunRecord[], acceptedSlots: number): number {
  return records.reduce((left, record) => left - acceptedIn(record), acceptedSlots);
}

/** Slots that an event made count. */
export function acceptedIn(record: Pick<RunRecord, "decided">): number {
  const { revision, past } = decidedOf(record);
  return revision === undefined ? 0 : (past?.acceptedSlots ?? 0);
}

/** What else tells events and windows of records. */
export interface Telling {
  /** Accepted slots of the run after the last of them. */
  readonly acceptedSlots: number;
  /** Shortens the id of a node. */
  nameOf(node: string): string;
}

/** What is worth telling of records in a row, oldest first. */
export function runEvents(records: readonly RunRecord[], telling: Telling): RunEvent[] {
  // Where the beginning is missing nobody can say whether who is ready was there before.
  const isWhole = records[0]?.command.kind === "run-created";
  const seen = new Map<string, "here" | "gone">();
  const events: RunEvent[] = [];
  let progress = progressBefore(records, telling.acceptedSlots);
  let term: number | null = null;
  for (const record of records) {
    const { index, atMs } = record;
    const window = windowOf(record);
    const tell = (kind: RunEvent["kind"], node: string | null = null, reason = "") => {
      const shortId = node === null ? null : telling.nameOf(node);
      events.push({ index, atMs, kind, progress, window, node, shortId, reason });
    };
    if (term !== null && record.term !== term) tell("handover");
    term = record.term;
    tellCommand(record, seen, isWhole, tell);
    const { missed, scores, held } = decidedOf(record);
    for (const node of missed) {
      tell("lost", node);
      seen.set(node, "gone");
    }
    for (const { worker, outcome, reasons } of scores)
      if (outcome !== "accepted") tell("rejected", worker, reasons[0] ?? outcome);
    if (held !== undefined) tell("held", null, held);
    progress += acceptedIn(record);
  }
  return events;
}

function tellCommand(
  { command, author }: RunRecord,
  seen: Map<string, "here" | "gone">,
  isWhole: boolean,
  tell: (kind: RunEvent["kind"], node?: string | null, reason?: string) => void,
): void {
  switch (command.kind) {
    case "run-created":
      return tell("created", author);
    case "run-wished":
      return tell(wishKinds[command.wish], author);
    case "validators-redrawn":
      return tell("redrawn");
    case "contribution-lost":
      return tell("dropped", command.worker);
    case "run-failed":
      return tell("failed", null, command.reason);
    case "run-stated": {
      const { said, node } = command.statement;
      if (said.saying !== "ready" && said.saying !== "gone") return;
      if (said.saying === "gone") tell("left", node, said.reason);
      else if (!seen.has(node) && isWhole) tell("joined", node);
      else if (seen.get(node) === "gone") tell("returned", node);
      seen.set(node, said.saying === "gone" ? "gone" : "here");
      return;
    }
    case "window-opened":
    case "window-sealed":
  }
}

const wishKinds = { run: "resumed", pause: "paused", stop: "stopped" } as const;

const texts: Readonly<Record<RunEvent["kind"], string>> = {
  created: "began it",
  joined: "joined",
  returned: "is back",
  left: "left",
  lost: "gave nothing in time",
  rejected: "was rejected",
  dropped: "was accepted, but nobody has it any more",
  redrawn: "others judge it",
  held: "changed nothing",
  paused: "paused it",
  resumed: "went on with it",
  stopped: "stopped it",
  failed: "it failed",
  handover: "another coordinator leads",
};

/** An event as a sentence without its end. */
export function runEventText({ kind, shortId, window, reason }: RunEvent): string {
  const where = window === null ? "" : `window ${window}: `;
  const who = shortId === null ? "" : `${shortId} `;
  const why = reason === "" ? "" : ` (${reason})`;
  return `${where}${who}${texts[kind]}${why}`;
}
