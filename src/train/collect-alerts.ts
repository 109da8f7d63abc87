/** The alerts of a node, from its records and its disk. */
import type { Services } from "#src/command/define.ts";
import { findAlerts, type Alert, type RunFacts } from "./alerts.ts";
import { checkpointListMaximum, listCheckpoints } from "./checkpoint-list.ts";
import { RunStore, type Run } from "./run-store.ts";

/** Runs looked at: the newest, among which those that train and those that failed lately are. */
const runMaximum = 100;
/** Steps whose median is the time of a step. */
const stepCount = 31;

/** Safe to call at any time, with or without a daemon; a disk that says nothing gives no alert. */
export async function collectAlerts(
  services: Pick<Services, "store" | "clock" | "disk" | "home">,
  only?: Run,
): Promise<Alert[]> {
  const { store, clock, disk, home } = services;
  const runs = new RunStore(store);
  const nowMs = clock.wallMs();
  const facts: RunFacts[] = [];
  for (const run of only ? [only] : runs.newest(runMaximum)) {
    const state = runs.stateOf(run, nowMs);
    if (state === "running" || state === "failed")
      facts.push(await runFacts(services, runs, run, state));
  }
  const freeBytes = await disk.freeBytes(home.root).catch(() => null);
  const totalBytes = (await disk.totalBytes?.(home.root).catch(() => null)) ?? null;
  return findAlerts({
    nowMs,
    runs: facts,
    disk: freeBytes === null ? null : { freeBytes, totalBytes },
  });
}

async function runFacts(
  { disk, home }: Pick<Services, "disk" | "home">,
  runs: RunStore,
  run: Run,
  state: string,
): Promise<RunFacts> {
  const newest = runs.checkpoints(run.id, checkpointListMaximum).filter(({ isKept }) => isKept);
  const [checkpoint] = await listCheckpoints(
    disk,
    `${home.runs}/${run.id}`,
    newest.slice(-1),
    null,
  );
  return { ...recordedFacts(runs, run, state), checkpointBytes: checkpoint?.sizeBytes ?? null };
}

/** What the record of a run alone says. */
export function recordedFacts(runs: RunStore, run: Run, state: string): RunFacts {
  const last = runs.lastStep(run.id);
  const recent = last === null ? [] : runs.steps(run.id, last.step - stepCount + 1);
  const durations = recent
    .map(({ tokens, tokensPerSecond }) => (1000 * tokens) / tokensPerSecond)
    .toSorted((a, b) => a - b);
  return {
    run: run.id,
    name: run.name,
    state,
    failure: state === "failed" ? runs.failure(run.id) : null,
    progressMs: run.progressMs,
    stepMs: durations[Math.floor(durations.length / 2)] ?? null,
    isMeasuring: (last?.step ?? 0) >= run.manifest.schedule.steps,
    checkpointBytes: null,
  };
}
