import { Refusal } from "#src/refusal/refusal.ts";
import { trustTiers, type Access, type Caller, type Trust } from "./caller.ts";
import type { Grants } from "./grants.ts";

const rank = (trust: Trust) => trustTiers.indexOf(trust);

const needed: Readonly<Record<Access, Trust>> = {
  safe: "provisional",
  member: "member",
  trusted: "trusted",
  owner: "owner",
};

/** What of a command's declaration decides who may call it. */
export interface Gated {
  readonly name: string;
  /** Without it: owner only. */
  readonly access?: Access;
  readonly localOnly?: boolean;
}

/** Why a call may go ahead, or the refusal of it. */
export type Judgement =
  { readonly by: "trust" | "grant" } | { readonly by: null; readonly refusal: Refusal };

/** The trust a caller has. A peer never exceeds `trusted`, whatever is registered for it. */
export function trustOf(caller: Caller): Trust {
  switch (caller.provenance) {
    case "local":
    case "token":
      return "owner";
    case "anonymous":
      return "provisional";
    case "peer":
      return caller.registered === "owner" ? "trusted" : caller.registered;
  }
}

/**
 * The one rule for listing and for calling. Trust decides first; where it falls short, a
 * peer's grant may confer a command that is not the owner's alone. A grant never lifts a blocked peer.
 * Changes nothing; a call admitted by a grant is then counted through `Grants.use`. `withinUse` is
 * true for a call that a running command makes.
 */
export function judge(
  caller: Caller,
  command: Gated,
  services: { readonly grants: Pick<Grants, "judge"> },
  withinUse = false,
): Judgement {
  const access = command.access ?? "owner";
  const trust = trustOf(caller);
  if (trust === "blocked") return { by: null, refusal: blocked(command.name) };
  if (command.localOnly === true && caller.provenance !== "local")
    return { by: null, refusal: notLocal(command.name) };
  if (rank(trust) >= rank(needed[access])) return { by: "trust" };
  if (caller.provenance === "peer" && caller.grant !== null && access !== "owner") {
    const refusal = services.grants.judge(caller, command.name, withinUse);
    return refusal === null ? { by: "grant" } : { by: null, refusal };
  }
  return { by: null, refusal: notAuthorised(command.name, access, trust) };
}

function blocked(command: string): Refusal {
  return new Refusal(
    "peer_blocked",
    "the owner of this node has blocked this peer",
    "ask the owner to lift the block with `psionic trust set`",
    { command },
  );
}

function notLocal(command: string): Refusal {
  return new Refusal(
    "not_authorised",
    `${command} is only for the owner at the machine itself`,
    "run it at a terminal of the machine",
    { command, access: "owner", localOnly: true },
  );
}

function notAuthorised(command: string, access: Access, trust: Trust): Refusal {
  return new Refusal(
    "not_authorised",
    `${command} is not for this caller`,
    `it needs ${access} access; ask the owner of this node`,
    { command, access, trust },
  );
}
