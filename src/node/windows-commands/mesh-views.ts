/** A run of the mesh as people read it, 80 columns wide. */
import { bytesText, countText, secondsText } from "#src/train/wording.ts";
import { runEventText, type RunEvent } from "./run-events.ts";
import type { MeshRunStatus, Participant, Standing } from "./mesh-status.ts";
import type { WindowRow } from "./run-windows.ts";

const barWidth = 20;

function bar(share: number): string {
  const full = Math.round(Math.max(0, Math.min(share, 1)) * barWidth);
  return `${"█".repeat(full)}${"░".repeat(barWidth - full)}`;
}

/** What the open window waits for. */
function stageText(window: NonNullable<MeshRunStatus["window"]>, quorum: number): string {
  const { stage, contributionCount, taskCount, verdictCount, verdictWantedCount } = window;
  if (stage === "active") return `trained, ${contributionCount} of ${taskCount} have given`;
  if (stage === "sealed") return `judged, ${verdictCount} of ${verdictWantedCount} verdicts`;
  const wanted = Math.min(quorum, taskCount);
  return `merged, ${window.computedCount} of ${wanted} agree on the revision`;
}

function headLines({ name, run, phase, reason, window, wish, nowMs, quorum }: MeshRunStatus) {
  const why = reason === "" ? "" : ` (${reason})`;
  const pausing = wish === "pause" && window !== null ? ", and pauses after this window" : "";
  const head = `${name} (${run}) is ${phase}${why}${pausing}`;
  if (window === null) return [head];
  const since = secondsText(Math.max(0, nowMs - window.sinceMs) / 1_000);
  const left = secondsText(Math.max(0, window.deadlineMs - nowMs) / 1_000);
  return [
    head,
    `window      ${window.number} is being ${stageText(window, quorum)}`,
    `            for ${since}; goes on in ${left} without whoever is missing`,
  ];
}

/** Begins the line that tells how far it is. */
export const tokensWord = "tokens ";

/** Lines of a status. */
export function statusLines(status: MeshRunStatus): string[] {
  const { slots, slotTokens, acceptedSlots, loss, trouble, participants } = status;
  const share = acceptedSlots / slots;
  const rate =
    status.tokensPerSecond === null ? "" : `, ${countText(status.tokensPerSecond)} tokens/s`;
  const left = status.secondsLeft === null ? "" : `, ${secondsText(status.secondsLeft)} left`;
  const total = countText(slots * slotTokens);
  return [
    ...headLines(status),
    `${tokensWord.padEnd(12)}${bar(share)} ${(100 * share).toFixed(1)} % of ${total}${rate}${left}`,
    ...(loss === null ? [] : [lossLine(loss, status.revision)]),
    ...movedLines(status),
    `work        ${status.acceptedCount} contributions accepted, ${status.rejectedCount} rejected, ${status.missedCount} missed`,
    ...(trouble === null ? [] : [`trouble     ${trouble.message}`, `            ${trouble.hint}`]),
    ...participantLines(participants),
  ];
}

function lossLine(loss: NonNullable<MeshRunStatus["loss"]>, revision: number): string {
  const sample = loss.isFull ? "" : ", of a sample";
  return `held out    loss ${loss.loss.toFixed(4)} at revision ${loss.revision} of ${revision}${sample}`;
}

function movedLines({ movedBytes, denseBytes, contributionCount, codec }: MeshRunStatus) {
  if (contributionCount === 0) return [];
  const each = bytesText(movedBytes / contributionCount);
  const ratio =
    denseBytes === null ? "" : `, ${(denseBytes / movedBytes).toFixed(1)} times smaller than dense`;
  return [`moved       ${each} a contribution (${codec})${ratio}`];
}

const standingTexts: Readonly<Record<Standing, string>> = {
  preparing: "preparing",
  ready: "ready",
  training: "training",
  given: "has given",
  validating: "validating",
  judged: "has judged",
  merging: "merging",
  merged: "has merged",
  waiting: "waiting",
  silent: "silent",
  gone: "gone",
  out: "out: lied",
  idle: "–",
};

function participantLines(participants: readonly Participant[]): string[] {
  if (participants.length === 0) return ["nobody works on it yet"];
  const width = Math.max(...participants.map(({ shortId }) => shortId.length)) + 1;
  return [
    `${"NODE".padEnd(width)}  DOES        STEPS    GAVE  REJECTED  MISSED  TOKENS/S  LANE`,
    ...participants.map((each) =>
      [
        `${each.shortId}${each.isSelf ? "*" : ""}`.padEnd(width),
        standingTexts[each.standing].padEnd(10),
        stepsText(each).padEnd(7),
        String(each.acceptedCount).padEnd(4),
        String(each.rejectedCount).padEnd(8),
        String(each.missedCount).padEnd(6),
        countText(each.rate).padEnd(8),
        each.lane,
      ]
        .join("  ")
        .trimEnd(),
    ),
  ];
}

function stepsText({ steps, stepsDone }: Participant): string {
  if (steps === null) return "–";
  return stepsDone === null ? `${steps}` : `${stepsDone}/${steps}`;
}

/** The latest events, oldest first. */
export function eventLines(events: readonly RunEvent[], count: number): string[] {
  return events.slice(-count).map((event) => {
    const at = new Date(event.atMs).toISOString().slice(0, 19).replace("T", " ");
    return `event       ${at} ${runEventText(event)}`;
  });
}

export const windowHead = "WINDOW  STAGE     SLOTS  BYTES     LOSS     TOOK        WHO:STEPS";
/** Where the last column begins. */
const whoColumn = windowHead.indexOf("WHO");

/** What follows a worker's steps where its work did not simply count. */
const marks: Readonly<Record<WindowRow["parts"][number]["outcome"], string>> = {
  ...{ working: "…", given: "+", accepted: "", missed: "?", lost: "~" },
  ...{ rejected: "!", quarantined: "!", "not-judged": "!" },
};

/** One window, with lines below for all who worked and what went wrong. */
export function windowLines(row: WindowRow, columns: number): string[] {
  const { number, stage, acceptedSlots, sizeBytes, loss, tookMs, parts, reason } = row;
  const first = [
    String(number).padEnd(6),
    stage.padEnd(8),
    String(acceptedSlots).padEnd(5),
    bytesText(sizeBytes).padEnd(8),
    (loss === null ? "–" : loss.toFixed(4)).padEnd(7),
    (tookMs === null ? "–" : secondsText(tookMs / 1_000)).padEnd(10),
  ];
  const lines = [`${first.join("  ")}  `];
  for (const { shortId, steps, outcome } of parts) {
    const word = `${shortId}:${steps}${marks[outcome]} `;
    const last = lines.at(-1)!;
    if (last.length + word.length <= columns + 1) lines[lines.length - 1] = last + word;
    else lines.push(" ".repeat(whoColumn) + word);
  }
  if (reason !== "") lines.push(`        nothing came of it: ${reason}`);
  for (const { shortId, outcome, reasons } of parts)
    if (reasons.length > 0) lines.push(`        ${shortId} ${outcome}: ${reasons.join(", ")}`);
  return lines.map((line) => line.trimEnd());
}
