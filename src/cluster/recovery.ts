import { canonicalText } from "#src/codec/digest.ts";
import type { Durable, Write } from "#src/log/durable.ts";
import type { Entry } from "#src/log/entry.ts";
import { Fold, type Payload } from "#src/log/fold.ts";
import { defaultSessionMaximum } from "#src/log/sessions.ts";
import { assert, Refusal } from "#src/refusal/refusal.ts";
import type { Event } from "./event.ts";
import { memberOf } from "./members.ts";
import { MeshFold } from "./mesh-fold.ts";
import { isLive, type MeshState } from "./state.ts";

/**
 * By how much a recovered log is ahead of every term its deciders can have come to without it: a term is an
 * election, and this is more of them than a mesh has in years.
 */
export const recoveryTerms = 1_000_000;

/** What a home holds of a mesh whose deciders are lost, and the write with which it goes on alone. */
export interface Recovery {
  readonly state: MeshState;
  readonly voters: readonly string[];
  readonly lastIndex: number;
  readonly lastTerm: number;
  readonly term: number;
  readonly write: Write;
}

/**
 * Works out how one node goes on with what its log holds, decided or not: as the one voter, as an owner, in
 * a term that no other leader has. Nothing is written here. Refused with `recovery_unneeded` where it decides
 * alone already, and with `recovery_unfit` for who is no member of the mesh or not its coordinator.
 */
export function planRecovery(durable: Durable, node: string, nowMs: number): Recovery {
  const { snapshot, entries, ballot } = durable;
  const meaning = new MeshFold();
  const fold = new Fold(meaning, defaultSessionMaximum, null);
  fold.load(snapshot);
  for (const entry of entries) fold.apply(entry);
  const { voters } =
    entries.findLast((entry) => entry.kind === "membership")?.membership ?? snapshot.membership;
  refuseUnfit(meaning.mesh, voters, node);
  const { mesh: state } = meaning;
  const last = entries.at(-1) ?? snapshot;
  const term = ballot.term + recoveryTerms;
  const added = entriesOf({ index: last.index, term, node, nowMs });
  for (const entry of added) fold.apply(entry);
  assert(meaning.mesh.owners.includes(node), "a recovery makes its node an owner");
  const write = { ballot: { term, vote: "" }, truncateFrom: 0, snapshot: null, entries: added };
  return { state, voters, lastIndex: last.index, lastTerm: last.term, term, write };
}

function refuseUnfit(state: MeshState, voters: readonly string[], node: string): void {
  const member = memberOf(state, node);
  const isMember = member !== undefined && isLive(member);
  if (isMember && voters.length === 1 && voters[0] === node)
    throw new Refusal(
      "recovery_unneeded",
      "this node decides alone already: nothing has to be recovered",
      "start it: psionic up --detach",
    );
  if (isMember && member.roles.includes("coordinator")) return;
  throw new Refusal(
    "recovery_unfit",
    isMember
      ? `${node} has not the role coordinator, so it cannot decide`
      : `${node} is no member of the mesh ${state.mesh} as far as its log says`,
    "recover on another member that is left, with the role coordinator",
    { node, roles: member?.roles ?? [] },
  );
}

/** The one voter, and a session with the one command that says what happened. */
function entriesOf({
  index,
  term,
  node,
  nowMs,
}: {
  readonly index: number;
  readonly term: number;
  readonly node: string;
  readonly nowMs: number;
}): readonly Entry[] {
  const event: Event = {
    ...{ author: node, scope: "self", policy: null, timeMs: Math.floor(nowMs), term },
    command: { kind: "mesh-recovered", node },
  };
  const open: Payload = { kind: "open" };
  const session = index + 2;
  const command: Payload = { kind: "command", session, number: 1, body: canonicalText(event) };
  return [
    { index: index + 1, term, kind: "membership", membership: { voters: [node], learners: [] } },
    { index: session, term, kind: "event", payload: JSON.stringify(open) },
    { index: index + 3, term, kind: "event", payload: JSON.stringify(command) },
  ];
}
