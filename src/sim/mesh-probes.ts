import type { Event } from "#src/cluster/event.ts";
import type { MeshOutcome } from "#src/cluster/mesh-fold.ts";
import { memberOf } from "#src/cluster/members.ts";
import type { MeshState } from "#src/cluster/state.ts";
import type { Count } from "./count.ts";
import type { ProbeName } from "./probes.ts";

const ofKind: Partial<Record<Event["command"]["kind"], ProbeName>> = {
  "node-admitted": "mesh-joined",
  "node-draining": "mesh-drained",
  "node-left": "mesh-left",
  "node-evicted": "mesh-evicted",
  "lease-expired": "mesh-lease-expired",
  "order-given": "mesh-order-given",
};

const ofRefusal: Readonly<Record<string, ProbeName>> = {
  token_used: "mesh-token-used",
  token_expired: "mesh-token-expired",
  token_wrong: "mesh-token-wrong",
  mesh_wrong: "mesh-wrong",
  node_duplicate: "mesh-node-duplicate",
  epoch_stale: "mesh-epoch-stale",
  clock_skewed: "mesh-clock-skewed",
  version_unfit: "mesh-version-unfit",
  fence_stale: "mesh-fence-stale",
  lease_live: "mesh-lease-live",
  scope_lacking: "mesh-scope-lacking",
  manifest_outside: "mesh-manifest-outside",
};

/** Counts what an event of the mesh shows, once for each committed one. */
export function probeMesh(
  probes: Count<ProbeName>,
  before: MeshState,
  { command, timeMs, policy }: Event,
  outcome: MeshOutcome,
): void {
  if (policy === null && "done" in outcome) {
    if (command.kind === "lease-expired") probes.add("duty-lease-expired");
    if (command.kind === "node-offline") probes.add("duty-node-offline");
  }
  const name = "done" in outcome ? ofKind[command.kind] : ofRefusal[outcome.refused];
  if (name !== undefined) probes.add(name);
  if ("done" in outcome && command.kind === "owner-set")
    probes.add(command.isOwner ? "mesh-owner-made" : "mesh-owner-unmade");
  if (timeMs < before.timeMs) probes.add("mesh-leader-clock-behind");
  if (!("done" in outcome) || !("node" in command)) return;
  const standing = memberOf(before, command.node)?.standing;
  if (command.kind === "node-ready" && standing === "offline") probes.add("mesh-returned");
  if (command.kind === "node-admitted" && standing !== undefined) probes.add("mesh-joined-again");
}
