import type { MetricFamily, MetricSample } from "#src/surface/http/parts.ts";
import type { JobKind } from "#src/window/job.ts";
import { isOver, type Run, verdicts as verdictKinds } from "#src/window/run.ts";
import { holdsPresent } from "#src/window/workers.ts";
import { family } from "../metric-family.ts";
import type { RunEngine } from "./run-engine.ts";

const jobKinds: readonly JobKind[] = ["prepare", "train", "validate", "merge", "evaluate"];

/** What a scrape learns of the runs of the mesh, and of this node's part in them. Runs that are over are left out. */
export function windowFamilies(engine: RunEngine): readonly MetricFamily[] {
  const { cluster, records } = engine.parts;
  const runs = (cluster.ownState()?.runs ?? []).filter((run) => !isOver(run));
  const each = (value: (run: Run) => number): readonly MetricSample[] =>
    runs.map((run) => ({ labels: { run: run.run }, value: value(run) }));
  const facts = runs.map((run) => ({ run: run.run, facts: engine.tally.factsOf(run.run) }));
  const own = (
    value: (known: ReturnType<RunEngine["tally"]["factsOf"]>) => number | null,
  ): readonly MetricSample[] =>
    facts.flatMap(({ run, facts: known }) => {
      const found = value(known);
      return found === null ? [] : [{ labels: { run }, value: found }];
    });
  const gauge = (name: string, help: string, samples: readonly MetricSample[]) =>
    family("gauge", `psionic_run_${name}`, help, samples);
  const counter = (name: string, help: string, samples: readonly MetricSample[]) =>
    family("counter", `psionic_run_${name}`, help, samples);
  const tallies = runs.map((run) => ({ run: run.run, tally: records.tally(run.run) }));
  return [
    counter(
      "windows_total",
      "Windows opened in a run of the mesh.",
      each((run) => run.windowCount),
    ),
    gauge(
      "revision",
      "Number of a run's promoted revision.",
      each((run) => run.revision.number),
    ),
    gauge(
      "participants",
      "Nodes that hold a run's present revision and ask for work.",
      each((run) => run.workers.filter((worker) => holdsPresent(run, worker)).length),
    ),
    gauge(
      "slots",
      "Local steps that a run's data is cut into.",
      each((run) => run.spec.slots),
    ),
    gauge(
      "slots_accepted",
      "Slots of a run whose contributions count.",
      each((run) => run.acceptedSlots),
    ),
    gauge(
      "window_bytes",
      "Bytes of all contributions that count of a run's latest window.",
      each((run) => run.past?.sizeBytes ?? 0),
    ),
    gauge(
      "window_seconds",
      "How long a run's latest window took.",
      each((run) => (run.past?.tookMs ?? 0) / 1000),
    ),
    counter(
      "verdicts_total",
      "Verdicts stated in a run, by kind.",
      tallies.flatMap(({ run, tally }) =>
        verdictKinds.map((verdict) => ({
          ...{ labels: { run, verdict }, value: tally.verdicts[verdict] },
        })),
      ),
    ),
    counter(
      "windows_held_total",
      "Windows of a run that ended without a revision.",
      tallies.map(({ run, tally }) => ({ labels: { run }, value: tally.held })),
    ),
    counter(
      "contributions_missed_total",
      "Tasks of windows for which nothing came.",
      each((run) => run.workers.reduce((sum, { missedCount }) => sum + missedCount, 0)),
    ),
    counter(
      "steps_total",
      "Local steps this node took since its daemon started.",
      own(({ trainedSteps }) => trainedSteps),
    ),
    counter(
      "tokens_total",
      "Tokens of those steps.",
      own(({ trainedTokens }) => trainedTokens),
    ),
    gauge(
      "tokens_per_second",
      "Speed of this node's latest local step.",
      own(({ tokensPerSecond }) => tokensPerSecond),
    ),
    counter(
      "train_seconds_total",
      "Time this node spent on training in windows.",
      own(({ trainSeconds }) => trainSeconds),
    ),
    counter(
      "validate_seconds_total",
      "Time this node spent on judging others.",
      own(({ validateSeconds }) => validateSeconds),
    ),
    counter(
      "merge_seconds_total",
      "Time this node spent on making revisions.",
      own(({ mergeSeconds }) => mergeSeconds),
    ),
    counter(
      "received_bytes_total",
      "Bytes of artifacts of a run that came from other nodes.",
      runs.map(({ run }) => ({
        ...{ labels: { run }, value: engine.artifacts.traffic(run).receivedBytes },
      })),
    ),
    counter(
      "jobs_total",
      "Pieces of work of a run that this node did, by kind.",
      runs.flatMap(({ run }) =>
        jobKinds.map((kind) => ({
          ...{ labels: { run, kind }, value: engine.tally.jobsOf(run).get(kind) ?? 0 },
        })),
      ),
    ),
    family("counter", "psionic_worker_deaths_total", "Worker processes that died at work here.", [
      { labels: {}, value: engine.desk.deathCount },
    ]),
  ];
}
