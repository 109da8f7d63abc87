import { codes, type RefusalCode } from "#src/refusal/codes.ts";
import { assert, Refusal } from "#src/refusal/refusal.ts";
import type { Answer } from "./engine.ts";

/** Why a command did not come to stand in the log, as its author is told. */
export function refusalOf(answer: Answer, failure: unknown): Refusal {
  assert(answer.kind !== "done" && answer.kind !== "synced", "what was done is not refused");
  // Where this node itself cannot write, that is why nothing came of it.
  if (failure instanceof Refusal && answer.kind === "leaderless") return failure;
  switch (answer.kind) {
    case "denied": {
      const { code, message, hint, index, term } = answer;
      const known = Object.hasOwn(codes, code) ? (code as RefusalCode) : "peer_refused";
      return new Refusal(known, message, hint, index === 0 ? {} : { index, term });
    }
    case "leaderless":
      return new Refusal(
        "cluster_leaderless",
        "nobody leads the mesh: too few of those who decide can reach each other",
        "`psionic cluster status` shows who is missing; nothing was written",
      );
    case "uncertain":
      return new Refusal(
        "cluster_uncertain",
        "the coordinator was lost on the way: the command may or may not have been written",
        "look first, then ask again",
      );
    case "busy":
      return new Refusal(
        "cluster_busy",
        "as many commands as may be wait for the mesh",
        "try again in a moment",
      );
  }
}
