import { digestJson } from "#src/codec/digest.ts";
import { beginRun, withRun } from "./begin.ts";
import { deny } from "./deny.ts";
import type { RunCommand, RunCommandOf } from "./event.ts";
import { settled } from "./phase.ts";
import { isOver, type Run } from "./run.ts";
import { takeStatement } from "./statements.ts";
import type { Step } from "./step.ts";
import type { Surroundings } from "./surroundings.ts";
import {
  loseContribution,
  openWindow,
  redrawValidators,
  sealWindow,
  withoutWindow,
} from "./windows.ts";
import { memberOf } from "./workers.ts";

/** An event about a run, as it stands in the log. */
export interface RunEvent {
  readonly author: string;
  readonly timeMs: number;
  readonly term: number;
  readonly command: RunCommand;
}

export interface Decision {
  readonly runs: readonly Run[];
  /** The run that the event was about, as it is now. */
  readonly run: Run;
  /** What the rules worked out, as it is part of the run's chain. */
  readonly decided: Step["decided"];
}

/**
 * The runs after an event. Pure: no clock, no chance, integers only. Throws the refusal of an event that has no
 * effect.
 */
export function reduceRuns(
  runs: readonly Run[],
  event: RunEvent,
  around: Surroundings,
): readonly Run[] {
  return decide(runs, event, around).runs;
}

/** As `reduceRuns`, with what the event decided: for who keeps the record of a run. */
export function decide(runs: readonly Run[], event: RunEvent, around: Surroundings): Decision {
  const step = stepOf(runs, event, around);
  const { author, timeMs, term, command } = event;
  const { decided } = step;
  const before = step.run.chain;
  const chain = digestJson({ chain: before, author, timeMs, term, command, decided });
  const run = anchored(settled({ ...step.run, chain }, around.nowMs), step.isAnchor === true);
  return { runs: withRun(runs, run), run, decided };
}

function anchored(run: Run, isAnchor: boolean): Run {
  if (!isAnchor || run.window === null) return run;
  return { ...run, window: { ...run.window, anchor: run.chain } };
}

function stepOf(runs: readonly Run[], { command, author }: RunEvent, around: Surroundings): Step {
  if (command.kind === "run-created") {
    requireHost(author, around);
    return { run: beginRun(runs, command, author, around), decided: {} };
  }
  const run = requireRun(runs, idOf(command));
  if (command.kind === "run-stated") return takeStatement(run, command.statement, around);
  if (isOver(run)) return deny("run_over", `${run.name} is ${run.phase}`, "begin another run");
  switch (command.kind) {
    case "run-wished":
      requireHost(author, around);
      return wish(run, command, around.nowMs);
    case "window-opened":
      return openWindow(run, command, around);
    case "window-sealed":
      return sealWindow(run, command, around);
    case "validators-redrawn":
      return redrawValidators(run, command, around);
    case "contribution-lost":
      return loseContribution(run, command, around);
    case "run-failed":
      return { run: ended(run, "failed", command.reason, around.nowMs), decided: {} };
  }
}

/** The run that a command is about. */
export function idOf(command: RunCommand): string {
  return command.kind === "run-stated" ? command.statement.run : command.run;
}

function requireRun(runs: readonly Run[], id: string): Run {
  const run = runs.find((each) => each.run === id);
  if (run !== undefined) return run;
  return deny("run_unknown", `this mesh knows no run ${id}`, "`psionic run list` shows its runs");
}

function requireHost(author: string, around: Surroundings): void {
  if (memberOf(around, author)?.isHost === true) return;
  deny(
    "scope_lacking",
    `${author} is neither a host nor an owner of this mesh`,
    "have it asked for on a member that is",
  );
}

/** A pause lets the window end, and no other begins; a stop ends the run at once. */
function wish(run: Run, { wish: wished }: RunCommandOf<"run-wished">, nowMs: number): Step {
  if (wished === "stop")
    return { run: ended({ ...run, wish: wished }, "stopped", "", nowMs), decided: {} };
  return { run: { ...run, wish: wished }, decided: {} };
}

function ended(run: Run, phase: "stopped" | "failed", reason: string, nowMs: number): Run {
  return { ...withoutWindow(run), phase, reason, sinceMs: nowMs };
}
