import type { Run } from "./run.ts";

/** What an event makes of a run. */
export interface Step {
  readonly run: Run;
  /** What the rules worked out, which becomes part of the run's chain. Plain JSON. */
  readonly decided: Readonly<Record<string, unknown>>;
  /** Whether a stage of the window begins, whose anchor is the chain from here on. */
  readonly isAnchor?: boolean;
}
