/** Everything about one run that `run/status` tells, with a bound on each list. */
import type { Services } from "#src/command/define.ts";
import { parameterCount, trainingFlopsPerToken } from "#src/model/cost.ts";
import { checkpointListMaximum, listCheckpoints } from "./checkpoint-list.ts";
import { collectAlerts } from "./collect-alerts.ts";
import { percentOfPeak } from "./run-series.ts";
import { RunStore, type Run } from "./run-store.ts";
import { SampleStore } from "./sample-store.ts";

/** The curve shows at most this many of the latest losses. */
const lossCount = 2_000;
const evaluationCount = 1_000;
const eventCount = 20;
const sampleCount = 10;

/** How a run stands. Refuses with `run_not_found`, `run_ambiguous`. */
export async function describeRun(wanted: string, services: Services) {
  const { store, clock, disk, home } = services;
  const runs = new RunStore(store);
  const run = runs.resolve(wanted);
  const last = runs.lastStep(run.id);
  const start = runs.lastStart(run.id);
  const checkpoints = runs.checkpoints(run.id, checkpointListMaximum);
  const bestStep = runs.best(run.id)?.step ?? null;
  return {
    run: run.id,
    name: run.name,
    state: runs.stateOf(run, clock.wallMs()),
    createdMs: run.createdMs,
    step: last?.step ?? 0,
    steps: run.manifest.schedule.steps,
    last,
    percentOfPeak: last && percentOfPeak(run, last.tokensPerSecond, start.peakFlops),
    evaluations: runs.evaluations(run.id, evaluationCount),
    checkpoints: await listCheckpoints(disk, `${home.runs}/${run.id}`, checkpoints, bestStep),
    events: runs.events(run.id, eventCount),
    losses: runs.losses(run.id, lossCount),
    alerts: await collectAlerts(services, run),
    samples: new SampleStore(store).last(run.id, sampleCount),
    plan: planSummary(run, start),
    runtimeDigest: start.runtimeDigest,
    summary: run.summary === null ? null : { ...run.summary },
    manifest: run.manifest,
    digest: run.digest,
  };
}

function planSummary({ manifest }: Run, start: ReturnType<RunStore["lastStart"]>) {
  const { batchSize, microBatches, contextLength, schedule, stepsOpen } = manifest;
  const tokensPerStep = batchSize * microBatches * contextLength;
  const { plannedBytes, backend, threads, peakFlops } = start;
  return {
    digest: manifest.planDigest,
    parameters: parameterCount(manifest.model),
    flopsPerToken: trainingFlopsPerToken(manifest.model, contextLength),
    tokensPerStep,
    tokens: stepsOpen ? null : schedule.steps * tokensPerStep,
    plannedBytes,
    backend,
    threads,
    peakFlops,
  };
}
