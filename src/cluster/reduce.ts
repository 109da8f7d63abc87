import { reduceRuns, type RunEvent } from "#src/window/reduce.ts";
import { admit, found } from "./admission.ts";
import { configure } from "./configuration.ts";
import type { Event } from "./event.ts";
import { hold, measureLink, measureNode } from "./facts.ts";
import { expire, renew } from "./leases.ts";
import { drain, evict, label, leave, offline, ready, seeEpoch } from "./members.ts";
import { giveOrder, withFence } from "./orders.ts";
import { recover, setOwner } from "./owners.ts";
import { describeMesh, pose } from "./posture.ts";
import { withProvenance } from "./provenance.ts";
import { requireScope } from "./scope.ts";
import type { MeshState } from "./state.ts";
import { surroundingsOf } from "./runs.ts";
import { createToken, revokeToken } from "./tokens.ts";

/** The state with an event's time and term in it. A leader whose clock is behind sets neither back. */
export function atTimeOf(state: MeshState, { timeMs, term }: Event): MeshState {
  return {
    ...state,
    timeMs: Math.max(state.timeMs, timeMs),
    term: Math.max(state.term, term),
  };
}

/**
 * The state after an event. Pure: no clock, no chance, integers only. Throws the refusal of an event that
 * has no effect; its time still counts, which `MeshFold` sees to.
 */
export function reduce(state: MeshState, event: Event): MeshState {
  requireScope(state, event);
  const { command } = event;
  const fenced = "fence" in command ? withFence(state, command.fence) : state;
  return withProvenance(carryOut(fenced, event), event);
}

function carryOut(state: MeshState, event: Event): MeshState {
  const { command, author } = event;
  switch (command.kind) {
    case "mesh-founded":
      return found(state, command);
    case "token-created":
      return createToken(state, command);
    case "token-revoked":
      return revokeToken(state, command);
    case "node-admitted":
      return admit(state, command);
    case "node-ready":
      return ready(state, command);
    case "node-draining":
      return drain(state, command);
    case "node-left":
      return leave(state, command);
    case "node-offline":
      return offline(state, command);
    case "node-evicted":
      return evict(state, command);
    case "epoch-seen":
      return seeEpoch(state, command);
    case "lease-renewed":
      return renew(state, command);
    case "lease-expired":
      return expire(state, command);
    case "order-given":
      return giveOrder(state, command, author);
    case "node-labelled":
      return label(state, command);
    case "configuration-set":
      return configure(state, command);
    case "link-measured":
      return measureLink(state, command);
    case "node-measured":
      return measureNode(state, command);
    case "residency-set":
      return hold(state, command);
    case "manifest-set":
      return describeMesh(state, command);
    case "posture-set":
      return pose(state, command);
    case "owner-set":
      return setOwner(state, command);
    case "mesh-recovered":
      return recover(state, command);
    case "run-created":
    case "run-wished":
    case "window-opened":
    case "window-sealed":
    case "validators-redrawn":
    case "contribution-lost":
    case "run-failed":
    case "run-stated":
      return withRuns(state, { ...event, command });
  }
}

function withRuns(state: MeshState, { author, timeMs, term, command }: RunEvent): MeshState {
  const event = { author, timeMs, term, command };
  return { ...state, runs: reduceRuns(state.runs, event, surroundingsOf(state)) };
}
