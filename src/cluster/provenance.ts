import { provenanceMaximum } from "./bounds.ts";
import type { Command, Event } from "./event.ts";
import { withElement } from "./list.ts";
import type { MeshState, Provenance } from "./state.ts";

/**
 * Remembers who decided last on a thing, in which capacity and under which policy: in the state, so that
 * snapshots carry it. What a node says of itself, and orders, name their author anyway.
 */
export function withProvenance(state: MeshState, event: Event): MeshState {
  const subject = subjectOf(event.command);
  if (subject === null) return state;
  const { author, scope, policy } = event;
  const { timeMs: atMs } = state;
  const added = { subject, author, scope, policy, atMs };
  const provenance = withElement(state.provenance, (each) => each.subject, added);
  return { ...state, provenance: withinBound(state, provenance) };
}

/** Drops what is about members and tokens that were forgotten, once there is no room. */
function withinBound(
  { members, tokens }: MeshState,
  provenance: readonly Provenance[],
): readonly Provenance[] {
  if (provenance.length <= provenanceMaximum) return provenance;
  const known = new Set([
    ...settings,
    ...members.map(({ node }) => `member ${node}`),
    ...tokens.map(({ token }) => `token ${token}`),
  ]);
  return provenance.filter(({ subject }) => known.has(subject));
}

const settings = ["mesh", "configuration", "manifest", "posture"] as const;

function subjectOf(command: Command): string | null {
  switch (command.kind) {
    case "mesh-founded":
      return "mesh";
    case "token-created":
    case "token-revoked":
      return `token ${command.token}`;
    case "node-admitted":
    case "node-draining":
    case "node-left":
    case "node-offline":
    case "node-evicted":
    case "lease-expired":
    case "node-labelled":
    case "owner-set":
    case "mesh-recovered":
      return `member ${command.node}`;
    case "configuration-set":
      return "configuration";
    case "manifest-set":
      return "manifest";
    case "posture-set":
      return "posture";
    case "node-ready":
    case "node-measured":
    case "lease-renewed":
    case "epoch-seen":
    case "order-given":
    case "link-measured":
    case "residency-set":
    // Runs say themselves who began them, and what became of them stands in their records.
    case "run-created":
    case "run-wished":
    case "window-opened":
    case "window-sealed":
    case "validators-redrawn":
    case "contribution-lost":
    case "run-failed":
    case "run-stated":
      return null;
  }
}
