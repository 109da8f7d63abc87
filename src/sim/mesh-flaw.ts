import type { Event } from "#src/cluster/event.ts";
import { reduce } from "#src/cluster/reduce.ts";
import type { Reduce } from "#src/cluster/mesh-fold.ts";
import type { Member, MeshState } from "#src/cluster/state.ts";
import { Refusal } from "#src/refusal/refusal.ts";

/**
 * Mistakes in what events mean, planted by showing the reducers another state than there is or by taking
 * back a part of what they did. The reducers themselves know nothing of it.
 */
export const meshFlaws = [
  /** A token for one node opens again and again. */
  "token-used-twice",
  /** Who stops being ready keeps its lease. */
  "lease-without-member",
  /** Orders of deposed coordinators are followed. */
  "fence-ignored",
  /** A newcomer is put in before it is checked. */
  "refused-join-stays",
  /** The blobs of those who are gone count on. */
  "gone-keep-blobs",
  /** An older epoch of a node counts like a newer one. */
  "epoch-forgotten",
  /** Owners leave and are evicted like anybody. */
  "owner-goes",
  /** Each node reads its own clock where the leader's counts. */
  "own-clock",
] as const;

export type MeshFlaw = (typeof meshFlaws)[number];

/** The reducer with a mistake in it. `ownMs` reads the clock of the node it runs in. */
export function flawedReduce(flaw: MeshFlaw, ownMs: () => number): Reduce {
  if (flaw === "own-clock")
    return (state, event) => reduce({ ...state, timeMs: Math.max(state.timeMs, ownMs()) }, event);
  return flawedReducers[flaw];
}

const flawedReducers: Readonly<Record<Exclude<MeshFlaw, "own-clock">, Reduce>> = {
  "token-used-twice": (state, event) => {
    const { command } = event;
    if (command.kind !== "node-admitted") return reduce(state, event);
    const tokens = state.tokens.map((each) =>
      each.token === command.token ? { ...each, useCount: 0 } : each,
    );
    return reduce({ ...state, tokens }, event);
  },
  "lease-without-member": (state, event) => {
    const after = reduce(state, event);
    return after.leases.length < state.leases.length ? { ...after, leases: state.leases } : after;
  },
  "fence-ignored": (state, event) => {
    if (!("fence" in event.command)) return reduce(state, event);
    return {
      ...reduce({ ...state, fence: null, term: event.command.fence.term }, event),
      term: state.term,
    };
  },
  "refused-join-stays": (state, event) => {
    try {
      return reduce(state, event);
    } catch (error) {
      if (!(error instanceof Refusal) || error.code !== "token_used") throw error;
      return putIn(state, event);
    }
  },
  "gone-keep-blobs": (state, event) => ({
    ...reduce(state, event),
    ...(event.command.kind === "node-evicted" && { residency: state.residency }),
  }),
  "owner-goes": (state, event) => {
    const { command } = event;
    if (command.kind !== "node-left" && command.kind !== "node-evicted")
      return reduce(state, event);
    const others = state.owners.filter((each) => each !== command.node || each === event.author);
    const owners = command.kind === "node-left" ? [] : others;
    return { ...reduce({ ...state, owners }, event), owners: state.owners };
  },
  "epoch-forgotten": (state, event) =>
    reduce({ ...state, members: state.members.map((each) => ({ ...each, epoch: 0 })) }, event),
};

function putIn(state: MeshState, { command, timeMs: sinceMs }: Event): MeshState {
  if (command.kind !== "node-admitted") return state;
  const { node, key, contact, roles, epoch, token } = command;
  const others = state.members.filter((each) => each.node !== node);
  const facts = { node, key, contact, labels: [], roles, epoch } as const;
  const added: Member = { ...facts, token, sinceMs, standing: "joining" };
  const members = [...others, added].toSorted((a, b) => (a.node < b.node ? -1 : 1));
  return { ...state, members };
}
