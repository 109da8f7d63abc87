import { deny } from "./deny.ts";
import type { Command, Event, Kind, Scope } from "./event.ts";
import { liveMember, memberOf } from "./members.ts";
import type { MeshState } from "./state.ts";

/** In which capacities each thing may be asked for. */
const allowed = {
  "mesh-founded": ["owner"],
  "token-created": ["owner"],
  "token-revoked": ["owner"],
  "node-admitted": ["membership"],
  "node-ready": ["self"],
  "node-draining": ["self", "owner"],
  "node-left": ["self"],
  "node-offline": ["coordinator"],
  "node-evicted": ["owner"],
  "epoch-seen": ["self"],
  "lease-renewed": ["self"],
  "lease-expired": ["coordinator"],
  "order-given": ["coordinator"],
  "node-labelled": ["self", "membership", "owner"],
  "configuration-set": ["owner"],
  "link-measured": ["link"],
  "node-measured": ["self"],
  "residency-set": ["self"],
  "manifest-set": ["owner"],
  "posture-set": ["owner"],
  "owner-set": ["owner"],
  "mesh-recovered": ["self"],
  "run-created": ["membership"],
  "run-wished": ["membership"],
  "window-opened": ["coordinator"],
  "window-sealed": ["coordinator"],
  "validators-redrawn": ["coordinator"],
  "contribution-lost": ["coordinator"],
  "run-failed": ["coordinator"],
  "run-stated": ["self"],
} as const satisfies Record<Kind, readonly Scope[]>;

/** Refuses an event whose author may not ask for it in the capacity it names. */
export function requireScope(state: MeshState, { author, scope, command }: Event): void {
  const scopes: readonly Scope[] = allowed[command.kind];
  if (!scopes.includes(scope))
    return deny(
      "scope_lacking",
      `${command.kind} is not asked for as ${scope}`,
      `it is asked for as ${scopes.join(" or ")}`,
    );
  if (command.kind !== "mesh-founded" && state.mesh === "")
    return deny("mesh_wrong", "no mesh is founded in this log", "found it first");
  if (command.kind !== "mesh-founded" && scope !== "owner") liveMember(state, author);
  if (hasScope(state, author, scope, command)) return;
  deny(
    "scope_lacking",
    `${author} does not act as ${scope} for ${command.kind}`,
    "have it asked for by who may",
  );
}

function hasScope(state: MeshState, author: string, scope: Scope, command: Command): boolean {
  const isReady = memberOf(state, author)?.standing === "ready";
  switch (scope) {
    case "owner":
      return command.kind === "mesh-founded"
        ? author === command.node
        : state.owners.includes(author);
    case "self":
      return "node" in command && author === command.node;
    case "link":
      return "from" in command && (author === command.from || author === command.to);
    case "membership":
      return isReady;
    case "coordinator":
      return isReady && memberOf(state, author)!.roles.includes("coordinator");
  }
}
