import { entry, type CodeEntry } from "./entry.ts";

/** Runs on a mesh: windows, and what nodes state of their work. */
export const windowCodes = {
  run_unknown: entry(
    10,
    404,
    false,
    "The mesh knows no run of that id. It may have ended so long ago that newer ones took its place. `psionic run list` shows the runs there are.",
  ),
  run_exists: entry(14, 409, false, "A run of that id stands in the mesh's log already."),
  run_over: entry(
    14,
    409,
    false,
    "The run is completed, stopped or failed. Nothing more happens to it; begin another.",
  ),
  runs_full: entry(
    14,
    507,
    true,
    "The mesh works on as many runs as it may. Wait until one ends, or stop one.",
  ),
  spec_unfit: entry(
    10,
    422,
    false,
    "Settings of a run contradict each other: a window has more segments between commitments than are allowed or less than one, or the run reads more tokens than can be counted.",
  ),
  window_stale: entry(
    16,
    409,
    true,
    "What was said or ordered belongs to a window, a stage or a revision of the run that is not the present one: it came too late, twice, or too early. Nothing changed. Nodes look at the state again and go on from there.",
  ),
  window_unready: entry(
    14,
    409,
    true,
    "A window cannot be opened: the run is paused, or no ready trainer holds its present revision.",
  ),
  statement_stale: entry(
    16,
    409,
    true,
    "A node's statement about a run does not follow its latest one, or vouches for another history of the run than the one that stands in the log. The node looks again and states it anew.",
  ),
  statement_forged: entry(
    12,
    403,
    false,
    "A statement about a run is not signed with the key that the mesh knows of the node it speaks for, or was made for another mesh.",
  ),
  statement_unfit: entry(
    13,
    422,
    false,
    "A statement about a run does not fit what it is about: another number of segments than the task has, a verdict without a reason or over another segment than was drawn, or a revision that is not the next.",
  ),
  revision_differs: entry(
    13,
    409,
    false,
    "A node holds or computed another revision of a run than the one that was promoted. Computation is exact, so one of the two is damaged or made otherwise. The node brings the promoted one.",
  ),
  worker_unfit: entry(
    12,
    403,
    false,
    "The node cannot take part in the run so: it is no ready trainer of the mesh, it is out of the run because contributions of it were proven wrong, it has not said that it is ready, or the run has as many nodes as it may.",
  ),
  delta_repeated: entry(
    13,
    409,
    false,
    "A contribution's artifact is the one of another node in the same window. Who did the work contributed it first.",
  ),
  verdict_undrawn: entry(
    12,
    403,
    false,
    "A node judged a contribution that it is not, or no more, drawn to judge, or judged it a second time. Who judges whom is drawn when a window is sealed.",
  ),
} as const satisfies Record<string, CodeEntry>;
