import { orderMaximum } from "./bounds.ts";
import { deny } from "./deny.ts";
import type { CommandOf, Fence } from "./event.ts";
import { liveMember } from "./members.ts";
import { authorityDigest, type MeshState } from "./state.ts";

/** Negative where the first is older. */
export function compareFences(a: Fence, b: Fence): number {
  return a.term - b.term || a.index - b.index;
}

/**
 * Takes a fence in, or refuses it: of another term than the newest any event had, older than another order's, or
 * given by an authority that is not the present one.
 */
export function withFence(state: MeshState, fence: Fence): MeshState {
  const newest = state.fence;
  const isDeposed = fence.term < state.term;
  if (fence.term > state.term)
    deny(
      "fence_stale",
      `The order is of term ${fence.term}, which has not begun: it is ${state.term}`,
      "Who leads gives its orders in its own term.",
    );
  if (isDeposed || (newest !== null && compareFences(fence, newest) < 0))
    deny(
      "fence_stale",
      `the order is of term ${fence.term} at ${fence.index}; newer ones are known`,
      "whoever gave it coordinates no more; ask the present coordinator",
    );
  if (fence.authority !== authorityDigest(state))
    deny(
      "fence_stale",
      "since the order was given, others may give orders",
      "the coordinator gives it anew, if it still is one",
    );
  return { ...state, fence };
}

export function giveOrder(
  state: MeshState,
  { order, node, what, fence }: CommandOf<"order-given">,
  author: string,
): MeshState {
  liveMember(state, node);
  const orders = [...state.orders, { order, node, what, author, fence }].slice(-orderMaximum);
  return { ...state, orders };
}
