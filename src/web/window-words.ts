import { formatDuration, missing, sentenceOf } from "./format.ts";
import type {
  MeshRun,
  OpenWindow,
  Participant,
  RunHappening,
  ShownWindow,
  WindowPart,
} from "./window-answers.ts";

/** Runs of the mesh in words, for tables and for those who hear the page. */

const phaseTexts: Readonly<Record<string, string>> = {
  planned: "Nobody is ready to work on it yet",
  initializing: "The nodes bring data and model together",
  recovering: "Windows end without a revision; it goes on as soon as one does not",
  paused: "It waits, and goes on from here when it is asked to",
  completed: "All of its data was accepted",
  stopped: "It was ended by an operator",
  failed: "It cannot go on",
};

/** What a phase means, and what it is owed to; empty where nothing is to be said. */
export function phaseText({ phase, reason }: Pick<MeshRun, "phase" | "reason">): string {
  const meaning = phaseTexts[phase] ?? "";
  if (reason === "") return meaning === "" ? "" : `${meaning}.`;
  return meaning === "" ? sentenceOf(plain(reason)) : `${meaning}: ${plain(reason)}.`;
}

/** Runs in these phases are over for good. */
export function isMeshRunOver({ phase }: Pick<MeshRun, "phase">): boolean {
  return phase === "completed" || phase === "stopped" || phase === "failed";
}

const stageTexts: Readonly<Record<string, string>> = {
  active: "training",
  sealed: "being judged",
  scored: "being merged",
  promoted: "promoted",
  held: "held",
};

export function stageText(stage: string): string {
  return stageTexts[stage] ?? stage;
}

/** How many of how many have done what the stage is for. */
export function waitCounts(window: OpenWindow): readonly [number, number] {
  const { stage, taskCount, contributionCount, verdictCount, verdictWantedCount } = window;
  if (stage === "active") return [contributionCount, taskCount];
  if (stage === "sealed") return [verdictCount, verdictWantedCount];
  return [window.computedCount, taskCount];
}

const waits: Readonly<Record<string, string>> = {
  active: "have contributed",
  sealed: "verdicts are in",
  scored: "have the next revision",
};

/** What the open window waits for. */
export function waitText(window: OpenWindow): string {
  const [done, of] = waitCounts(window);
  return `${done} of ${of} ${waits[window.stage] ?? "are there"}`;
}

/** How long its stage lasts at most; negative where the coordinator is late. */
export function deadlineText(leftMs: number): string {
  if (leftMs <= 0) return "the time of this stage is over";
  return `${formatDuration(Math.ceil(leftMs / 1_000))} left at most`;
}

/** How a node is called where people read it. */
export type NameOf = (node: string) => string;

export interface Outcome {
  /** Stands in the picture, so that colour alone tells nothing. */
  readonly mark: string;
  readonly text: string;
}

const outcomes: Readonly<Record<string, Outcome>> = {
  working: { mark: "…", text: "at work" },
  given: { mark: "·", text: "contributed, not judged yet" },
  accepted: { mark: "", text: "accepted" },
  rejected: { mark: "×", text: "rejected" },
  quarantined: { mark: "?", text: "set aside" },
  "not-judged": { mark: "?", text: "judged by nobody in time" },
  missed: { mark: "–", text: "gave nothing" },
  lost: { mark: "!", text: "accepted, then nobody had it" },
};

export function outcomeOf(outcome: string): Outcome {
  return outcomes[outcome] ?? { mark: "?", text: plain(outcome) };
}

const reasonTexts: Readonly<Record<string, string>> = {
  delta_unavailable: "nobody could have its delta in time",
  delta_malformed: "no delta of this run",
  delta_not_finite: "not a finite number in it",
  delta_too_large: "moved further than its steps can",
  delta_copied: "the delta of somebody else",
  delta_not_of_state: "not what its codec makes of its state",
  commitments_differ: "other commitments than it stated",
  start_differs: "did not start from the window's revision",
  state_unavailable: "did not give its state in time",
  state_differs: "gave another state than it committed to",
  segment_differs: "recomputing a segment ends elsewhere: it did not do this work",
  verdicts_differ: "its validators do not agree",
  not_judged: "no validator judged it in time",
  no_contribution: "nobody contributed",
  revision_differs: "the nodes computed different revisions",
};

/** A reason's code as words; a code of a newer node as it is, without underscores. */
export function plain(code: string): string {
  return reasonTexts[code] ?? code.replaceAll("_", " ");
}

export function reasonsText(reasons: readonly string[]): string {
  return reasons.map(plain).join("; ");
}

/** Who judged a contribution, what was recomputed and what came of it. */
export function judgedText({ validators, verdicts }: WindowPart, nameOf: NameOf): string {
  const given = new Set(verdicts.map(({ validator }) => validator));
  const awaited = validators.filter((validator) => !given.has(validator));
  const said = [
    ...verdicts.map(({ validator, verdict, segment }) => {
      const looked = segment === null ? "" : `, segment ${segment} recomputed`;
      return `${nameOf(validator)}: ${plain(verdict)}${looked}`;
    }),
    ...awaited.map((validator) => `${nameOf(validator)}: not yet`),
  ];
  return said.join("; ") || missing;
}

/** All verdicts of a window, by what they are. */
export function verdictsText({ parts }: ShownWindow): string {
  const counts = new Map<string, number>();
  for (const { verdict } of parts.flatMap(({ verdicts }) => verdicts))
    counts.set(verdict, (counts.get(verdict) ?? 0) + 1);
  return [...counts].map(([verdict, count]) => `${count} ${plain(verdict)}`).join(", ") || missing;
}

/** One part of a window in a sentence. */
export function partText({ shortId, steps, outcome, reasons }: WindowPart): string {
  const why = reasons.length === 0 ? "" : ` (${reasonsText(reasons)})`;
  return `${shortId} ${steps} steps, ${outcomeOf(outcome).text}${why}`;
}

const standingTexts: Readonly<Record<string, string>> = {
  preparing: "fetches data and model",
  given: "has contributed",
  validating: "judges others",
  judged: "has judged",
  merging: "computes the next revision",
  merged: "has the next revision",
  waiting: "has no part in this window",
  silent: "is not heard",
  gone: "no member now",
  out: "out of this run",
  idle: missing,
};

/** What a participant does now, with the steps it has done where that is known. */
export function doingText({ standing, steps, stepsDone }: Participant): string {
  if (standing === "training" && steps !== null)
    return stepsDone === null ? `trains ${steps} steps` : `trains, step ${stepsDone} of ${steps}`;
  return standingTexts[standing] ?? plain(standing);
}

interface HappeningWords {
  /** Letter on the curve and in the list. */
  readonly mark: string;
  readonly text: string;
}

const happenings: Readonly<Record<string, HappeningWords>> = {
  created: { mark: "B", text: "began it" },
  joined: { mark: "J", text: "joined" },
  returned: { mark: "J", text: "is back" },
  left: { mark: "L", text: "left" },
  rejected: { mark: "R", text: "was rejected" },
  lost: { mark: "X", text: "was given work and gave nothing" },
  dropped: { mark: "D", text: "was accepted, and then nobody had its delta" },
  redrawn: { mark: "V", text: "others judge it" },
  held: { mark: "H", text: "changed nothing" },
  paused: { mark: "P", text: "paused it" },
  resumed: { mark: "G", text: "has it go on" },
  stopped: { mark: "S", text: "stopped it" },
  failed: { mark: "F", text: "it failed" },
  completed: { mark: "E", text: "it is complete" },
  handover: { mark: "C", text: "another node coordinates" },
};

const legendTexts: Readonly<Record<string, string>> = {
  B: "begun",
  J: "joined or came back",
  L: "left",
  X: "lost",
  R: "rejected",
  D: "left out",
  V: "judged anew",
  H: "held",
  P: "paused",
  G: "goes on",
  S: "stopped",
  F: "failed",
  E: "complete",
  C: "coordinator handed over",
};

export function markOf({ kind }: Pick<RunHappening, "kind">): string {
  return happenings[kind]?.mark ?? kind.charAt(0).toUpperCase();
}

/** What happened, as a sentence without its time. */
export function happeningText({ kind, shortId, window, reason }: RunHappening): string {
  const who = shortId === null ? "" : `${shortId} `;
  const where = window === null ? "" : `window ${window}: `;
  const why = reason === "" ? "" : ` (${plain(reason)})`;
  return `${where}${who}${happenings[kind]?.text ?? plain(kind)}${why}`;
}

/** What the letters on a curve stand for, those that are on it. */
export function legendOf(events: readonly RunHappening[]): readonly (readonly [string, string])[] {
  const letters = new Map(events.map((event) => [markOf(event), plain(event.kind)]));
  return [...letters].map(([letter, kind]) => [letter, legendTexts[letter] ?? kind]);
}

/** How contributions are packed, and what that saves. */
export function codecText({
  codec,
  movedBytes,
  denseBytes,
}: Pick<MeshRun, "codec" | "movedBytes" | "denseBytes">): string {
  const saving = savingText(movedBytes, denseBytes);
  return saving === missing ? codec : `${codec}, ${saving}`;
}

/** How many times fewer bytes than uncompressed contributions would have. */
export function savingText(movedBytes: number, denseBytes: number | null): string {
  if (denseBytes === null || movedBytes === 0) return missing;
  const ratio = denseBytes / movedBytes;
  if (ratio < 1.05) return "as much as dense";
  return `${ratio.toFixed(ratio < 10 ? 1 : 0)}× less than dense`;
}
