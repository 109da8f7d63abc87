import { Refusal } from "#src/refusal/refusal.ts";
import { heirOf, type DutyView } from "./duties.ts";
import type { Event } from "./event.ts";
import { candidatesOf, keepsMajority } from "./placing.ts";
import { reduce } from "./reduce.ts";

/** Why a member cannot be let go now. */
export interface PartingDenial {
  readonly code: string;
  readonly message: string;
  readonly hint: string;
}

/**
 * Whether a leader takes down that a member leaves or is evicted. Who is out answers nobody any more, so it is
 * denied where the other voters could decide nothing without it; and a leader that is to go itself has
 * another lead first, who is asked then. Null where nothing stands against it, or the log will refuse it.
 */
export function judgeParting(view: DutyView, event: Event): PartingDenial | "hand-over" | null {
  const { id, mesh, membership } = view;
  const { command } = event;
  if (command.kind !== "node-evicted" && command.kind !== "node-left") return null;
  const { node } = command;
  const others = [...membership.voters, ...membership.learners].filter((each) => each !== id);
  const isBound = membership.voters.includes(node) && others.length > 0;
  if (!isBound || isRefused(mesh, event)) return null;
  const isAlone = membership.voters.length === 1;
  const isKept = isAlone
    ? candidatesOf(view).length > 0
    : keepsMajority(view, { id: node, place: "out" });
  if (!isKept) return denial(node, isAlone);
  const isLed = node === id && (isAlone || heirOf(view) !== null);
  return isLed ? "hand-over" : null;
}

function isRefused(mesh: DutyView["mesh"], event: Event): boolean {
  try {
    reduce(mesh, event);
    return false;
  } catch (error) {
    if (error instanceof Refusal) return true;
    throw error;
  }
}

function denial(node: string, isAlone: boolean): PartingDenial {
  const code = "majority_needed";
  if (isAlone)
    return {
      code,
      message: `${node} decides alone, and no other ready coordinator answers that could take over`,
      hint: "have another node with the role coordinator join, or start the one that is down",
    };
  return {
    code,
    message: `without ${node} not half of the others who decide would answer, and nothing could be decided`,
    hint: "start those that are down, or take out first who is lost; `psionic cluster status` names them",
  };
}
