import { statfsSync } from "node:fs";
import { freemem } from "node:os";
import type { Services } from "#src/command/define.ts";
import type { MetricFamily } from "#src/surface/http/parts.ts";
import { RunStore } from "#src/train/run-store.ts";
import type { DaemonControl } from "./control.ts";

/** What a node tells of itself at each scrape. One series each: the run that trains has no label. */
export async function nodeMetrics(
  services: Services,
  daemon: Pick<DaemonControl, "epoch" | "file">,
): Promise<readonly MetricFamily[]> {
  const { home, clock, store, trainings } = services;
  const gauge = (name: string, help: string, value: number): MetricFamily => ({
    name: `psionic_${name}`,
    help,
    kind: "gauge",
    samples: [{ labels: {}, value }],
  });
  const { bavail, bsize } = statfsSync(home.root);
  const active = trainings.active();
  const runs = new RunStore(store);
  const training = active.flatMap(({ run }) => {
    const last = runs.lastStep(run);
    if (last === null) return [];
    return [
      gauge("training_step", "Steps the training run has taken.", last.step),
      gauge("training_loss", "Loss of its latest step, in nats.", last.loss),
      gauge("training_tokens_per_second", "Speed of its latest step.", last.tokensPerSecond),
      gauge("training_gradient_norm", "Gradient norm of its latest step.", last.gradientNorm),
    ];
  });
  return [
    gauge("node_epoch", "How often this node has started.", daemon.epoch),
    gauge(
      "node_start_timestamp_seconds",
      "When it started, since 1970.",
      daemon.file.startedMs / 1000,
    ),
    gauge(
      "node_uptime_seconds",
      "How long it has been up.",
      (clock.wallMs() - daemon.file.startedMs) / 1000,
    ),
    gauge("disk_free_bytes", "Free space where the home is.", bavail * bsize),
    gauge("memory_free_bytes", "Free memory of the machine.", freemem()),
    gauge("memory_resident_bytes", "Memory of the daemon itself.", process.memoryUsage.rss()),
    gauge("trainings_active", "Runs that train now.", active.length),
    ...training,
  ];
}
