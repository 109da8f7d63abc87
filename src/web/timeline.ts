import type { ChartMark } from "./chart-model.ts";
import type { Columns } from "./csv.ts";
import type { Values } from "./curve.ts";
import { formatBytes, formatCount, formatDuration, formatFigure } from "./format.ts";
import type { MeshRun, RunHappening, ShownWindow, WindowPart } from "./window-answers.ts";
import { happeningText, markOf, outcomeOf, partText, plain, stageText } from "./window-words.ts";

/** The picture of a run's windows as arithmetic: who has which row, what stands in which column. */

/** Columns of the picture; older windows stand in the table alone. */
export const columnMaximum = 120;
/** Rows of the picture: those with the most steps in it. */
export const rowMaximum = 24;

export interface TimelineRow {
  readonly node: string;
  readonly name: string;
  /** Which of the eight colours of the style sheet. */
  readonly colour: number;
}

export interface TimelineCell {
  /** Into the rows. */
  readonly row: number;
  /** Steps of the most a participant may do in a window, 0 to 1. */
  readonly share: number;
  readonly outcome: string;
  readonly mark: string;
  readonly words: string;
}

export interface TimelineColumn {
  readonly window: ShownWindow;
  readonly cells: readonly TimelineCell[];
  /** Of the longest window shown, 0 to 1; null while it is open. */
  readonly tookShare: number | null;
  /** Letters of what happened while it was open. */
  readonly marks: string;
  readonly words: string;
}

export interface Timeline {
  readonly rows: readonly TimelineRow[];
  readonly columns: readonly TimelineColumn[];
  /** Participants beyond the rows. */
  readonly hiddenCount: number;
  readonly words: string;
}

/** Lays out windows, oldest first, for the most steps a participant may do in one. */
export function timelineOf(
  windows: readonly ShownWindow[],
  events: readonly RunHappening[],
  windowSteps: number,
): Timeline {
  const shown = windows.slice(-columnMaximum);
  const rows = rowsOf(shown);
  const rowOf = new Map(rows.map(({ node }, row) => [node, row]));
  const longestMs = Math.max(1, ...shown.map(({ tookMs }) => tookMs ?? 0));
  const hiddenCount = new Set(shown.flatMap(({ parts }) => parts.map(({ node }) => node))).size;
  const placed = events.map((event) => [windowOf(event, shown)?.number, markOf(event)] as const);
  const columns = shown.map((window): TimelineColumn => {
    const own = placed.filter(([number]) => number === window.number);
    const cells = window.parts.flatMap((part) => {
      const row = rowOf.get(part.node);
      return row === undefined ? [] : [cellOf(part, row, windowSteps)];
    });
    return {
      ...{ window, cells, words: windowText(window) },
      tookShare: window.tookMs === null ? null : window.tookMs / longestMs,
      marks: [...new Set(own.map(([, mark]) => mark))].join(""),
    };
  });
  return {
    ...{ rows, columns, hiddenCount: hiddenCount - rows.length },
    words: timelineText(shown),
  };
}

/** Who did most has a row; they stand in the order of their names, so that nobody moves while a run goes on. */
function rowsOf(windows: readonly ShownWindow[]): TimelineRow[] {
  const steps = new Map<string, { readonly name: string; readonly steps: number }>();
  for (const { parts } of windows)
    for (const { node, shortId: name, steps: done } of parts) {
      steps.set(node, { name, steps: (steps.get(node)?.steps ?? 0) + done });
    }
  return [...steps]
    .toSorted(([, a], [, b]) => b.steps - a.steps)
    .slice(0, rowMaximum)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([node, { name }], colour) => ({ node, name, colour }));
}

function cellOf(part: WindowPart, row: number, windowSteps: number): TimelineCell {
  const { outcome, steps } = part;
  const share = windowSteps > 0 ? Math.min(1, steps / windowSteps) : 1;
  return { row, share, outcome, mark: outcomeOf(outcome).mark, words: partText(part) };
}

/** A window in a sentence, as it is read aloud. */
export function windowText(window: ShownWindow): string {
  const { number, stage, reason, parts, tookMs, sizeBytes, loss } = window;
  const facts = [
    `window ${number} ${stageText(stage)}${reason === "" ? "" : `: ${plain(reason)}`}`,
    ...(tookMs === null ? [] : [`took ${formatDuration(tookMs / 1_000)}`]),
    ...(sizeBytes === 0 ? [] : [`${formatBytes(sizeBytes)} moved`]),
    ...(loss === null ? [] : [`held out ${formatFigure(loss)}`]),
  ];
  return `${facts.join(", ")}. ${parts.map(partText).join("; ")}`;
}

function timelineText(windows: readonly ShownWindow[]): string {
  const first = windows[0];
  const last = windows.at(-1);
  if (!first || !last) return "No windows yet.";
  const count = (stage: string) => windows.filter((each) => each.stage === stage).length;
  const held = count("held");
  const nodes = new Set(windows.flatMap(({ parts }) => parts.map(({ node }) => node))).size;
  return (
    `Windows ${formatCount(first.number)} to ${formatCount(last.number)} of ${nodes} nodes: ` +
    `${count("promoted")} promoted, ${held} held. Last: ${windowText(last)}`
  );
}

/** The window a happening belongs to: its own, or the one that had begun last by then. */
function windowOf(event: RunHappening, windows: readonly ShownWindow[]): ShownWindow | undefined {
  return windows.findLast(({ number, openedMs }) =>
    event.window === null ? openedMs <= event.atMs : number === event.window,
  );
}

/** Happenings on curves over the schedule's steps: the schedule goes on with what was accepted. */
export function marksOf(
  events: readonly RunHappening[],
  { slots, scheduleSteps }: Pick<MeshRun, "slots" | "scheduleSteps">,
): ChartMark[] {
  return events.map((event) => ({
    x: Math.floor((event.progress / slots) * scheduleSteps),
    letter: markOf(event),
    words: happeningText(event),
  }));
}

/**
 * Held-out losses of revisions over the schedule's steps. Windows know where their revisions stand; revisions from
 * before them are spread evenly over what went before.
 */
export function heldOutOver(
  windows: readonly ShownWindow[],
  measured: { readonly step: readonly number[]; readonly loss: Values },
  { slots, scheduleSteps }: Pick<MeshRun, "slots" | "scheduleSteps">,
): { readonly step: readonly number[]; readonly loss: Values } {
  const at = (progress: number) => Math.floor((progress / slots) * scheduleSteps);
  const first = windows[0];
  const older = measured.step
    .map((revision, index) => ({ revision, loss: measured.loss[index] ?? null }))
    .filter(({ revision }) => revision <= (first?.revision ?? 0))
    .map(({ revision, loss }) => {
      const share = first === undefined || first.revision === 0 ? 0 : revision / first.revision;
      return { step: at((first?.progress ?? 0) * share), loss };
    });
  const newer = windows
    .filter(({ loss }) => loss !== null)
    .map(({ progress, acceptedSlots, loss }) => ({ step: at(progress + acceptedSlots), loss }));
  const all = [...older, ...newer];
  return { step: all.map(({ step }) => step), loss: all.map(({ loss }) => loss) };
}

/** The figures of windows as columns, for the CSV file. */
export function windowColumns(windows: readonly ShownWindow[]): Columns {
  const count = (outcome: string) =>
    windows.map(({ parts }) => parts.filter((part) => part.outcome === outcome).length);
  const columns: readonly (readonly [string, Columns["values"][number]])[] = [
    ["window", windows.map(({ number }) => number)],
    ["stage", windows.map(({ stage }) => stage)],
    ["revision", windows.map(({ revision }) => revision)],
    ["participants", windows.map(({ parts }) => parts.length)],
    ["accepted", count("accepted")],
    ["rejected", count("rejected")],
    ["missed", count("missed")],
    ["steps", windows.map(({ parts }) => parts.reduce((sum, { steps }) => sum + steps, 0))],
    ["accepted slots", windows.map(({ acceptedSlots }) => acceptedSlots)],
    ["bytes", windows.map(({ sizeBytes }) => sizeBytes)],
    ["dense bytes", windows.map(({ denseBytes }) => denseBytes)],
    ["milliseconds", windows.map(({ tookMs }) => tookMs)],
    ["held out", windows.map(({ loss }) => loss)],
    ["reason", windows.map(({ reason }) => reason)],
  ];
  return { names: columns.map(([name]) => name), values: columns.map(([, values]) => values) };
}
