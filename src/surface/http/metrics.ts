import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { MetricFamily } from "./parts.ts";

/** How a call ended, as a label: `done`, `refused`, `bug`. */
export type CallOutcome = "done" | "refused" | "bug";

/** Seconds: from a listing in process to a command that trains for an hour. */
const durationBuckets = [0.001, 0.005, 0.025, 0.1, 0.5, 2, 10, 60, 600, 3600];

/**
 * What the door counts, and at a scrape what the node tells of itself, as Prometheus text. The
 * registry is the door's own. Labels are bounded: commands by the registry, routes by the router, runs by
 * what the node gives.
 */
export class DoorMetrics {
  readonly #registry = new Registry();
  readonly #families = new Map<string, Gauge | Counter>();
  readonly #calls: Counter;
  readonly #durations: Histogram;
  readonly #requests: Counter;

  constructor(version: string) {
    const registers = [this.#registry];
    new Gauge({
      name: "psionic_build_info",
      help: "The program that answers; always 1.",
      labelNames: ["version", "bun"],
      registers,
    }).set({ version, bun: Bun.version }, 1);
    this.#calls = new Counter({
      name: "psionic_command_calls_total",
      help: "Commands called through this door, by how they ended.",
      labelNames: ["command", "outcome"],
      registers,
    });
    this.#durations = new Histogram({
      name: "psionic_command_duration_seconds",
      help: "How long commands called through this door took.",
      labelNames: ["command"],
      buckets: durationBuckets,
      registers,
    });
    this.#requests = new Counter({
      name: "psionic_http_requests_total",
      help: "Requests answered, by route and status.",
      labelNames: ["route", "status"],
      registers,
    });
  }

  countCall(command: string, outcome: CallOutcome, durationSeconds: number): void {
    this.#calls.inc({ command, outcome });
    this.#durations.observe({ command }, durationSeconds);
  }

  countRequest(route: string, status: number): void {
    this.#requests.inc({ route, status: String(status) });
  }

  /** The exposition, with the families of the node as they are now. */
  async expose(families: readonly MetricFamily[]): Promise<{ type: string; text: string }> {
    for (const family of families) this.#set(family);
    return { type: this.#registry.contentType, text: await this.#registry.metrics() };
  }

  #set(family: MetricFamily): void {
    const metric = this.#families.get(family.name) ?? this.#declare(family);
    metric.reset();
    for (const { labels, value } of family.samples) metric.inc(labels, value);
  }

  #declare({ name, help, kind, samples }: MetricFamily): Gauge | Counter {
    const Metric = kind === "gauge" ? Gauge : Counter;
    const labelNames = Object.keys(samples[0]?.labels ?? {});
    const metric = new Metric({ name, help, labelNames, registers: [this.#registry] });
    // A family that has no samples now may have labels later.
    if (samples.length > 0) this.#families.set(name, metric);
    else this.#registry.removeSingleMetric(name);
    return metric;
  }
}
