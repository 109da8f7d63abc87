/** Situations of runs, counted like those of the log and the mesh. */
export const runProbeNames = [
  "run-begun",
  "run-completed",
  "run-paused",
  /** A paused run went on. */
  "run-resumed",
  "run-stopped",
  /** Windows came to nothing several times, or nobody was there to work. */
  "run-recovering",
  /** The node that began a run was not there when it was completed. */
  "run-outlived-its-author",
  "window-promoted",
  "window-held",
  /** Three or more gave something to one window. */
  "window-of-many",
  /** Slots that had been given out before were given out again. */
  "slice-reassigned",
  /** Work came when its window was sealed. */
  "contribution-late",
  "contribution-rejected",
  "contribution-lost",
  "validators-redrawn",
  /** Verdicts came in time, and a segment was recomputed. */
  "segment-recomputed",
  /** A revision was stated and needed more who state it. */
  "quorum-awaited",
  /** Who made a revision a moment after it was promoted said so. */
  "revision-late",
  "revision-evaluated",
  /** A node came into a run that had a revision already. */
  "joiner-mid-run",
  /** A node that missed a window asked for work again. */
  "worker-back",
  "worker-gone",
  "worker-quarantined",
  /** Windows that one coordinator opened and another sealed, scored or ended. */
  "coordinator-changed-in-window",
  /** A process that started anew found its work done on its disk. */
  "run-result-on-disk",
  /** Work was cancelled, as it was not due any more. */
  "work-cancelled",
  /** Events without effect, by why. */
  "statement-stale",
  "statement-forged",
  "window-stale",
  "window-unready",
  "run-over",
] as const;
