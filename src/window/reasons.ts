/** Why a contribution was not simply accepted: permanent words. */
export const reasons = [
  /** The artifact could not be had from anybody in time. */
  "delta_unavailable",
  /** It is no delta of the run's codec and shape. */
  "delta_malformed",
  /** Not a finite number in it. */
  "delta_not_finite",
  /** Its norm passes what the window's steps can have moved. */
  "delta_too_large",
  /** The same delta as another of the run. */
  "delta_copied",
  /** Not what its codec makes of the final state. */
  "delta_not_of_state",
  /** The list of commitments is not the one that was stated. */
  "commitments_differ",
  /** The first commitment is not the window's revision with the private state it may have. */
  "start_differs",
  /** The worker did not give its state in time. */
  "state_unavailable",
  /** The state it gave is not the one it committed to. */
  "state_differs",
  /** The recomputed segment ends in another state: the worker did not do this work. */
  "segment_differs",
  /** Validators do not agree. */
  "verdicts_differ",
  /** No validator judged it in time. */
  "not_judged",
] as const;
export type Reason = (typeof reasons)[number];

/** What honest work never leads to, whatever breaks. */
export const proofsOfLies: readonly Reason[] = [
  ...(["delta_malformed", "delta_not_finite", "delta_too_large", "delta_copied"] as const),
  ...(["delta_not_of_state", "commitments_differ", "start_differs"] as const),
  ...(["state_differs", "segment_differs"] as const),
];
