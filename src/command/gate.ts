import type { Access, Caller, Trust } from "./caller.ts";

const rank: Readonly<Record<Trust, number>> = {
  blocked: 0,
  provisional: 1,
  member: 2,
  trusted: 3,
  owner: 4,
};

const needed: Readonly<Record<Access, Trust>> = {
  safe: "provisional",
  member: "member",
  trusted: "trusted",
  owner: "owner",
};

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
 * The one rule for listing and for calling. A command without a declared level is for the
 * owner only.
 */
export function mayCall(caller: Caller, access: Access | undefined): boolean {
  return rank[trustOf(caller)] >= rank[needed[access ?? "owner"]];
}
