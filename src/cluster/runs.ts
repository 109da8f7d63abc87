import type { Surroundings } from "#src/window/surroundings.ts";
import { isLive, type MeshState } from "./state.ts";

/** What of a mesh decides about its runs. */
export function surroundingsOf(state: MeshState): Surroundings {
  const { mesh, timeMs, term, owners } = state;
  const members = state.members.filter(isLive).map(({ node, key, standing, roles }) => ({
    ...{ node, key, isReady: standing === "ready" },
    isTrainer: roles.includes("trainer"),
    isValidator: roles.includes("validator"),
    isHost: roles.includes("host") || owners.includes(node),
  }));
  return { mesh, nowMs: timeMs, term, members };
}
