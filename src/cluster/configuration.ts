import { deny } from "./deny.ts";
import type { CommandOf, Configuration } from "./event.ts";
import type { MeshState } from "./state.ts";

export function configure(
  state: MeshState,
  { configuration }: CommandOf<"configuration-set">,
): MeshState {
  if (!isOrdered(configuration))
    deny(
      "configuration_unfit",
      "the durations do not follow each other: interval < stale < expiry <= lease",
      "a node is suspected before it is given up, after it missed several heartbeats",
    );
  return { ...state, configuration };
}

function isOrdered({ intervalMs, staleMs, expiryMs, leaseMs }: Configuration): boolean {
  return intervalMs < staleMs && staleMs < expiryMs && expiryMs <= leaseMs;
}
