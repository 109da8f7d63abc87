/** Everything `run status` tells of a run, whoever works on it. */
import { shortId } from "#src/cluster/command-parts.ts";
import { isLive } from "#src/cluster/state.ts";
import type { CommandContext, Services } from "#src/command/define.ts";
import { parameterCount } from "#src/model/cost.ts";
import type { RunState } from "#src/train/run-rows.ts";
import { RunStore } from "#src/train/run-store.ts";
import { describeRun } from "#src/train/run-status.ts";
import { isOver, type Run, type RunPhase } from "#src/window/run.ts";
import { findRun, type FoundRun } from "./find-run.ts";
import type { Description, Sight } from "./description-result.ts";
import { meshRunStatus, type MeshRunStatus } from "./mesh-status.ts";

/** Events of a run that are read for its status: some twenty windows of a middling run. */
const recordMaximum = 1_000;
/** How often a watcher looks, and how seldom it is told that nothing changed. */
const lookMs = 500;
const repeatMs = 5_000;

/** The states of runs of one machine that say the same of one of many. */
const states: Readonly<Record<RunPhase, RunState>> = {
  ...{ planned: "planned", initializing: "planned", active: "running", recovering: "running" },
  ...{ paused: "paused", completed: "completed", stopped: "interrupted", failed: "failed" },
};

export const stateOfPhase = (phase: RunPhase): RunState => states[phase];

/** How a run stands. Refuses with `run_not_found`, `run_ambiguous`. */
export async function describe(wanted: string, services: Services): Promise<Description> {
  const found = findRun(wanted, services);
  const mesh = meshStatusOf(found, services);
  if (found.local !== null) return { ...(await describeRun(found.local.id, services)), mesh };
  if (mesh === null) return { ...(await describeRun(wanted, services)), mesh };
  const { run, name, phase, createdMs } = mesh;
  return { run, name, state: stateOfPhase(phase), createdMs, mesh };
}

/** The mesh's part of a status; null for a run of this machine alone, and outside of a daemon. */
export function meshStatusOf(found: FoundRun, services: Services): MeshRunStatus | null {
  const { cluster, meshRuns, clock } = services;
  const { mesh, local } = found;
  if (mesh === null || cluster === null) return null;
  const state = cluster.state();
  return meshRunStatus(mesh, {
    nowMs: clock.wallMs(),
    self: cluster.standing().node,
    members: new Set(state.members.filter(isLive).map(({ node }) => node)),
    links: cluster.links(),
    staleMs: state.configuration.staleMs,
    facts: meshRuns?.localFacts(mesh.run) ?? null,
    records: meshRuns?.latestRecords(mesh.run, recordMaximum) ?? [],
    parameterCount: local === null ? null : parameterCount(local.manifest.model),
    nameOf: (node) => shortId(node, state),
  });
}

/**
 * Tells how a run stands whenever that changes, and now and then while it does not, until it has ended or the signal
 * is aborted. Refuses as `describe` does.
 */
export async function watchRun(
  run: string,
  { services, signal, emit }: Pick<CommandContext, "services" | "signal" | "emit">,
): Promise<void> {
  let [known, toldMs] = ["", -Infinity];
  for (;;) {
    const seen = sightOf(run, services);
    const nowMs = services.clock.monotonicMs();
    const stamp = stampOf(seen);
    const isEnd = isEnded(seen, services);
    if (stamp !== known || isEnd || nowMs - toldMs >= repeatMs) {
      emit({ ...seen });
      [known, toldMs] = [stamp, nowMs];
    }
    if (isEnd || signal.aborted) return;
    await services.clock.sleep(lookMs, signal).catch(() => {});
  }
}

function sightOf(wanted: string, services: Services): Sight {
  const found = findRun(wanted, services);
  const mesh = meshStatusOf(found, services);
  const { run, name, local } = found;
  if (mesh !== null) {
    const { phase, slots, acceptedSlots, scheduleSteps: steps, loss, tokensPerSecond } = mesh;
    const step = Math.floor((steps * acceptedSlots) / slots);
    const state = stateOfPhase(phase);
    return {
      type: "run",
      run,
      name,
      state,
      step,
      steps,
      loss: loss?.loss ?? null,
      tokensPerSecond,
      mesh,
    };
  }
  const runs = new RunStore(services.store);
  const own = local ?? runs.byId(run);
  const last = runs.lastStep(own.id);
  return {
    ...{ type: "run", run: own.id, name, state: runs.stateOf(own, services.clock.wallMs()) },
    ...{ step: last?.step ?? 0, steps: own.manifest.schedule.steps, loss: last?.loss ?? null },
    ...{ tokensPerSecond: last?.tokensPerSecond ?? null, mesh: null },
  };
}

/** What a watcher wants to hear of; clocks and silences change all the time. */
function stampOf({ mesh, state, step }: Sight): string {
  if (mesh === null) return `${state} ${step}`;
  const doings = mesh.participants.map(({ standing }) => standing);
  return JSON.stringify([mesh.chain, mesh.phase, doings, mesh.work, mesh.trouble]);
}

function isEnded({ mesh, run, state }: Sight, { cluster }: Services): boolean {
  if (mesh === null) return state !== "running" && state !== "planned";
  const known: Run | undefined = cluster?.state().runs.find((each) => each.run === run);
  return known === undefined || isOver(known);
}
