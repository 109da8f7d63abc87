/** Pausing, going on and ending, of the mesh's runs and of this node's own. */
import * as v from "valibot";
import { clusterOf } from "#src/cluster/command-parts.ts";
import type { CommandContext, Services } from "#src/command/define.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { trainParameters } from "#src/train/train-parameters.ts";
import { isOver, type Run } from "#src/window/run.ts";
import { requireHost } from "./begin-run.ts";
import { findRun, runsOf } from "./find-run.ts";
import { notOfMesh } from "./not-of-mesh.ts";
import { stateOfPhase } from "./run-description.ts";

type Wish = "run" | "pause" | "stop";

/** Ids of the runs that go on: this node's own first. */
export function going({ trainings, cluster }: Pick<Services, "trainings" | "cluster">): string[] {
  const own = trainings.active().map(({ run }) => run);
  const shared = runsOf(cluster).filter((run) => !isOver(run));
  return [...new Set([...own, ...shared.map(({ run }) => run)])];
}

/**
 * Has a run go on, pause or end. Refusals: those of finding it, `run_over`, `scope_lacking`, `run_unfit` for a run
 * that one machine trains and that cannot pause, those of the log and of training.
 */
export async function wishFor(
  wanted: string,
  wish: Wish,
  { services, signal, emit }: Pick<CommandContext, "services" | "signal" | "emit">,
) {
  const { mesh, run, name } = findRun(wanted, services);
  if (mesh !== null) return wishOnMesh(mesh, wish, services, signal);
  if (wish === "pause") throw notOfMesh(name);
  const { trainings } = services;
  if (wish === "stop") {
    const { state } = await trainings.stop(run);
    return { run, name, state, on: "here" as const, revision: null };
  }
  await trainings.start(v.parse(trainParameters, { resume: run }), emit);
  return { run, name, state: "running", on: "here" as const, revision: null };
}

async function wishOnMesh(run: Run, wish: Wish, services: Services, signal: AbortSignal) {
  const cluster = clusterOf(services);
  if (isOver(run))
    throw new Refusal(
      "run_over",
      `Run ${run.name} is ${run.phase}: nothing more is to be done for it.`,
      run.phase === "completed"
        ? `\`psionic sample ${run.name}\` shows what it learnt.`
        : "Begin another one: `psionic run start`.",
      { run: run.run, phase: run.phase },
    );
  requireHost(cluster);
  await cluster.submit("membership", { kind: "run-wished", run: run.run, wish }, signal);
  const now = cluster.state().runs.find((each) => each.run === run.run) ?? run;
  const state = stateOfPhase(now.phase);
  return {
    run: run.run,
    name: run.name,
    state,
    on: "mesh" as const,
    revision: now.revision.number,
  };
}
