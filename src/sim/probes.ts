import { runProbeNames } from "./run-probe-names.ts";

/**
 * Situations in which logs like this one have gone wrong. Counted, so that a run shows that its seeds
 * reached them; a probe that stays at 0 says what a green run does not prove.
 */
export const probeNames = [
  /** A leader lost its office with entries that were not committed. */
  "deposed-with-uncommitted",
  /** Entries were dropped because a newer leader had others. */
  "entries-overwritten",
  /** Two nodes led at the same time, in different terms. */
  "two-terms-led-at-once",
  /** A leader that no quorum answers steps down by itself. */
  "quorum-lost",
  /** An election ended without a leader. */
  "election-without-winner",
  /** A snapshot brought a follower up to date. */
  "snapshot-installed",
  /** A snapshot arrived after what it holds. */
  "snapshot-overtaken",
  /** A leader was made by transfer. */
  "transfer-done",
  /** A transfer came to nothing. */
  "transfer-failed",
  /** A membership change was committed. */
  "member-changed",
  /** One was asked for while another was under way. */
  "member-change-pending",
  /** A membership entry was dropped again. */
  "member-change-undone",
  /** A leader led in spite of its removal, until that was committed. */
  "leader-removed",
  /** A learner became a voter. */
  "learner-promoted",
  /** A node lost its power while it led. */
  "leader-crashed",
  /** A node started with entries that it did not know to be committed. */
  "restart-with-tail",
  /** A node that started applied what it knew to be committed before it heard a leader. */
  "applied-without-leader",
  /** A message of an older term arrived. */
  "message-of-old-term",
  /** A command was submitted again and answered from the session. */
  "command-repeated",
  /** A session was forgotten, and its client told so. */
  "session-forgotten",
  /** A read waited for proof, and its leader lost office. */
  "read-refused",
  /** A leader committed entries of older terms with its first own. */
  "old-terms-committed",
  /** Inputs arrived while a write was under way. */
  "step-during-write",
  /** A node's command went to another that leads; again, to the same one; again, to the next leader. */
  "ask-forwarded",
  "ask-repeated",
  "ask-repeated-elsewhere",
  /** A node noticed that its words found no way to the leader. */
  "ask-unsent",
  /** A node's session was forgotten. */
  "ask-session-forgotten",
  /** Nobody led; nobody knows whether it was written; it was asked in another's name. */
  "ask-leaderless",
  "ask-uncertain",
  "ask-forged",
  /** A node waited until it held all that was acknowledged. */
  "ask-synced",
  /** A leader did its duty: a newcomer learns, a learner votes, who went comes out, another is to lead. */
  "duty-learner",
  "duty-voter",
  "duty-out",
  "duty-handed-over",
  /** A voter was taken back to learning: their number was even; it was offline and another could vote. */
  "voter-demoted",
  "offline-voter-replaced",
  /** A member was not let go, as nothing could have been decided without it. */
  "parting-denied",
  /** It ended a lease that was over, or gave up who did not come or had drained. */
  "duty-lease-expired",
  "duty-node-offline",
  /** A newcomer was admitted; or again, after it had left or was evicted. */
  "mesh-joined",
  "mesh-joined-again",
  /** A member came back after its lease had run out. */
  "mesh-returned",
  "mesh-drained",
  "mesh-left",
  "mesh-evicted",
  /** A member became an owner; was one no longer. */
  "mesh-owner-made",
  "mesh-owner-unmade",
  "mesh-lease-expired",
  "mesh-order-given",
  /** A new leader's clock was behind the mesh's time. */
  "mesh-leader-clock-behind",
  /** Events without effect, by why. */
  "mesh-token-used",
  "mesh-token-expired",
  "mesh-token-wrong",
  "mesh-wrong",
  "mesh-node-duplicate",
  "mesh-epoch-stale",
  "mesh-clock-skewed",
  "mesh-version-unfit",
  "mesh-fence-stale",
  "mesh-lease-live",
  "mesh-scope-lacking",
  "mesh-manifest-outside",
  ...runProbeNames,
] as const;

export type ProbeName = (typeof probeNames)[number];
