import { readdirSync, statfsSync } from "node:fs";
import { availableParallelism, freemem, totalmem } from "node:os";
import type { Services } from "#src/command/define.ts";
import type { MetricFamily, MetricSample } from "#src/surface/http/parts.ts";
import { percentOfPeak } from "#src/train/run-series.ts";
import { RunStore } from "#src/train/run-store.ts";
import { tallyRuns } from "#src/train/run-tally.ts";
import { family } from "./metric-family.ts";

/** Runs that train at the same time and have series of their own; a label must stay bounded. */
const runMaximum = 16;

/** Since when a daemon runs and the how-many-eth start of its node it is. */
export interface DaemonFacts {
  readonly epoch: number;
  readonly startedMs: number;
}

/**
 * What the node tells of itself at a scrape, read from the store, so that it is true after a restart too.
 * Names follow Prometheus: base units last, `_total` for what only grows, ratios from 0 to 1.
 */
export function nodeFamilies(services: Services, daemon: DaemonFacts): readonly MetricFamily[] {
  return [
    gauge("psionic_node_epoch", "Times this node has started as a daemon.", daemon.epoch),
    gauge(
      "psionic_node_start_time_seconds",
      "When the daemon started, since 1970.",
      daemon.startedMs / 1000,
    ),
    ...runFamilies(services),
    ...trainingFamilies(services),
    ...recordFamilies(services),
    ...machineFamilies(services),
    ...processFamilies(),
  ];
}

function runFamilies({ store, clock }: Services): readonly MetricFamily[] {
  const { states, steps, tokens } = tallyRuns(store, clock.wallMs());
  const byState = Object.entries(states).map(([state, value]) => ({ labels: { state }, value }));
  return [
    family("gauge", "psionic_runs", "Runs of this home, by state.", byState),
    counter("psionic_steps_total", "Optimizer steps recorded in all runs.", steps),
    counter("psionic_tokens_total", "Tokens trained on in all runs.", tokens),
  ];
}

/** Only runs that train now have figures of their own; they leave with the run. */
function trainingFamilies({ store, trainings }: Services): readonly MetricFamily[] {
  const runs = new RunStore(store);
  const active = trainings.active().slice(0, runMaximum);
  const figures = active.flatMap(({ run }) => {
    const last = runs.lastStep(run);
    if (last === null) return [];
    const { peakFlops } = runs.lastStart(run);
    const percent = percentOfPeak(runs.byId(run), last.tokensPerSecond, peakFlops);
    return [{ run, last, ratio: percent === null ? null : percent / 100 }];
  });
  const each = (pick: (figure: (typeof figures)[number]) => number | null): MetricSample[] =>
    figures.flatMap((figure) => {
      const value = pick(figure);
      return value === null ? [] : [{ labels: { run: figure.run }, value }];
    });
  return [
    gauge("psionic_trainings", "Runs that train in this daemon now.", active.length),
    family(
      "gauge",
      "psionic_training_loss",
      "Loss of the latest step, in nats per token.",
      each(({ last }) => last.loss),
    ),
    family(
      "gauge",
      "psionic_training_gradient_norm",
      "Norm of the gradient at the latest step.",
      each(({ last }) => last.gradientNorm),
    ),
    family(
      "gauge",
      "psionic_training_tokens_per_second",
      "Speed of the latest step.",
      each(({ last }) => last.tokensPerSecond),
    ),
    family(
      "gauge",
      "psionic_training_peak_ratio",
      "Share of the machine's measured peak that training uses.",
      each(({ ratio }) => ratio),
    ),
  ];
}

function recordFamilies({ store }: Services): readonly MetricFamily[] {
  const count = (sql: string) => Number(store.get(sql)?.["count"] ?? 0);
  return [
    counter(
      "psionic_receipts_total",
      "Receipts this home holds, its own and those of others.",
      count("SELECT count(*) AS count FROM receipt"),
    ),
    counter(
      "psionic_grant_uses_total",
      "Calls that a grant admitted, by their receipts.",
      count("SELECT count(*) AS count FROM receipt WHERE kind = 'grant.used'"),
    ),
    counter(
      "psionic_journal_entries_total",
      "Entries the journal has had.",
      count("SELECT coalesce(max(id), 0) AS count FROM journal"),
    ),
  ];
}

function machineFamilies({ home }: Services): readonly MetricFamily[] {
  const { bavail, blocks, bsize } = statfsSync(home.root);
  return [
    gauge("psionic_disk_free_bytes", "Free space where the home is.", bavail * bsize),
    gauge("psionic_disk_size_bytes", "Size of the file system the home is on.", blocks * bsize),
    gauge("psionic_memory_free_bytes", "Free memory of the machine.", freemem()),
    gauge("psionic_memory_size_bytes", "Memory of the machine.", totalmem()),
    gauge("psionic_cpu_cores", "Cores the daemon may use.", availableParallelism()),
  ];
}

/** The names every Prometheus client gives to what is known of its process. */
function processFamilies(): readonly MetricFamily[] {
  const { rss, heapUsed } = process.memoryUsage();
  const { user, system } = process.cpuUsage();
  const startedSeconds = Date.now() / 1000 - process.uptime();
  const files = openFileCount();
  return [
    counter("process_cpu_seconds_total", "CPU time of the daemon.", (user + system) / 1e6),
    gauge("process_resident_memory_bytes", "Resident memory of the daemon.", rss),
    gauge("psionic_heap_used_bytes", "JavaScript heap of the daemon in use.", heapUsed),
    gauge("process_start_time_seconds", "When the process started, since 1970.", startedSeconds),
    ...(files === null ? [] : [gauge("process_open_fds", "Open file descriptors.", files)]),
  ];
}

/** Where the system tells it without another process: on Linux. */
function openFileCount(): number | null {
  try {
    return readdirSync("/proc/self/fd").length;
  } catch {
    return null;
  }
}

const gauge = (name: string, help: string, value: number) =>
  family("gauge", name, help, [{ labels: {}, value }]);
const counter = (name: string, help: string, value: number) =>
  family("counter", name, help, [{ labels: {}, value }]);
