/**
 * One run of workers whose cables are slow, each worker in a network namespace of its own: what a window costs beyond
 * training, how busy the workers are kept, what goes over the cables, and the loss it ends with.
 *
 *     bun scripts/window-network.ts --file book.txt --size micro --threads 1 -- --codec top-k --window-steps 32
 *
 * What stands after `--` is given to `psionic run start` as it is. `--workers`, `--delay` (milliseconds, one way, to the
 * switch and from it again) and `--megabits` describe the network. `--single` trains the same tokens on one node
 * instead, with the words of `psionic train`. The last line is one JSON object. Figures with their command go to
 * docs/LOG.md. It needs what src/acceptance/cluster-network.fixture.ts needs.
 */
import { cpSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { Cluster, type ClusterMachine } from "../src/acceptance/cluster-machine.fixture.ts";
import { MachineNetwork, whyNoNetwork } from "../src/acceptance/cluster-network.fixture.ts";
import type { Participant } from "#src/node/windows-commands/mesh-status.ts";
import type { WindowRow } from "#src/node/windows-commands/run-windows.ts";

const { values: words, positionals: runWords } = parseArgs({
  allowPositionals: true,
  options: {
    file: { type: "string" },
    size: { type: "string", default: "micro" },
    workers: { type: "string", default: "4" },
    /** Of each worker. */
    threads: { type: "string", default: "1" },
    delay: { type: "string", default: "20" },
    megabits: { type: "string", default: "50" },
    single: { type: "boolean", default: false },
    /** Where the workers' logs are left, with every detail. */
    logs: { type: "string" },
  },
});
const workerCount = words.single ? 1 : Number(words.workers);
const say = (text: string) => process.stdout.write(`${text}\n`);
const seconds = (ms: number) => (ms / 1000).toFixed(1);
const data = words.file === undefined ? [] : [resolve(words.file)];

interface Status {
  readonly state: string;
  readonly evaluations?: readonly { readonly full: boolean; readonly loss: number }[];
  readonly mesh: {
    readonly phase: string;
    readonly slots: number;
    readonly slotTokens: number;
    readonly windowSteps: number;
    readonly participants: readonly Participant[];
    readonly loss: { readonly loss: number; readonly isFull: boolean } | null;
  } | null;
}

interface Windows {
  readonly windows: readonly WindowRow[];
}

async function trainSingle(machine: ClusterMachine): Promise<object> {
  await machine.up();
  const options = ["--size", words.size, "--name", "single", "--on", "here"];
  const startedMs = performance.now();
  const begun = await machine.run("run", "start", ...data, ...options, ...runWords, "--watch");
  if (begun.status !== 0) throw new Error(begun.stderr);
  const wallMs = performance.now() - startedMs;
  const { evaluations = [] } = (await machine.json("run", "status", "single")) as unknown as Status;
  const loss = evaluations.findLast(({ full }) => full)?.loss ?? null;
  say(`one node: ${seconds(wallMs)} s, held-out loss ${loss?.toFixed(4)}`);
  return { single: true, wallSeconds: wallMs / 1000, loss };
}

/** What is to be told of a window that ended, in a line. */
function told(row: WindowRow, wallMs: number, parts: number): string {
  const dense = row.denseBytes ?? 0;
  const judged = (row.scoredMs ?? 0) - (row.sealedMs ?? 0);
  const trained = Math.max(...row.parts.map(({ trainMs }) => trainMs ?? 0));
  return [
    `window ${row.number} ${row.stage}${row.reason === "" ? "" : ` (${row.reason})`}`,
    `${parts} of ${row.parts.length} worked`,
    `${row.sizeBytes} bytes, ${(dense / Math.max(1, row.sizeBytes)).toFixed(0)} times fewer than dense`,
    `training ${seconds(trained)} s, to the seal ${seconds((row.sealedMs ?? row.openedMs) - row.openedMs)} s`,
    `judging ${seconds(judged)} s, merging ${seconds((row.tookMs ?? 0) - (row.scoredMs ?? row.openedMs) + row.openedMs)} s`,
    `in all ${seconds(wallMs)} s`,
    ...(row.loss === null ? [] : [`loss ${row.loss.toFixed(4)}`]),
  ].join(", ");
}

/** Share of the time from the first window's opening to the last one's end that a worker trained. */
function utilisation(rows: readonly WindowRow[]): Record<string, number> {
  const [first, last] = [rows[0]!, rows.at(-1)!];
  const wallMs = last.openedMs + (last.tookMs ?? 0) - first.openedMs;
  const trained = new Map<string, number>();
  for (const { parts } of rows)
    for (const { node, trainMs } of parts)
      trained.set(node, (trained.get(node) ?? 0) + (trainMs ?? 0));
  return Object.fromEntries([...trained].map(([node, ms]) => [node.slice(0, 9), ms / wallMs]));
}

async function rowsOf(machine: ClusterMachine, run: string): Promise<WindowRow[]> {
  const rows: WindowRow[] = [];
  for (;;) {
    const from = (rows.at(-1)?.number ?? 0) + 1;
    const { windows } = await machine.result<Windows>("run/windows", { run, from, limit: 100 });
    if (windows.length === 0) return rows;
    rows.push(...windows);
  }
}

async function trainTogether(cluster: Cluster): Promise<object> {
  const { network, machines } = cluster;
  const [founder] = machines as [ClusterMachine];
  await cluster.form();
  const options = ["--size", words.size, "--name", "together", "--on", "mesh"];
  const bytes = () => machines.map((_, machine) => network.bytes(machine));
  const idleBytes = bytes();
  const startedMs = performance.now();
  const begun = await founder.json("run", "start", ...data, ...options, ...runWords);
  if (typeof begun["run"] !== "string") throw new Error(JSON.stringify(begun));
  const run = begun["run"];
  let shown = 0;
  for (;;) {
    const { mesh } = await founder.result<Status>("run/status", { run });
    const isOver = ["completed", "failed", "stopped"].includes(mesh!.phase);
    const { windows } = await founder.result<Windows>("run/windows", { run, from: shown + 1 });
    for (const row of windows) {
      if (row.tookMs === null) break;
      shown = row.number;
      const parts = row.parts.filter(({ outcome }) => outcome === "accepted").length;
      say(told(row, row.tookMs, parts));
    }
    if (isOver && (mesh!.phase !== "completed" || mesh!.loss?.isFull === true)) break;
    await Bun.sleep(1_000);
  }
  const wallMs = performance.now() - startedMs;
  const cableBytes = bytes().map((each, machine) => each - idleBytes[machine]!);
  const rows = await rowsOf(founder, run);
  const { mesh } = await founder.result<Status>("run/status", { run });
  const busy = utilisation(rows);
  const gaps = rows.slice(1).map((row, place) => {
    const before = rows[place]!;
    return row.openedMs - before.openedMs - (before.tookMs ?? 0);
  });
  const mean = (values: readonly number[]) =>
    values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);
  const sizeBytes = mean(rows.map((row) => row.sizeBytes / Math.max(1, row.parts.length)));
  const denseBytes = mean(rows.map((row) => (row.denseBytes ?? 0) / Math.max(1, row.parts.length)));
  const summary = {
    ...{ single: false, phase: mesh!.phase, windows: rows.length, workers: workerCount },
    held: rows.filter(({ stage }) => stage === "held").length,
    ...{ windowSteps: mesh!.windowSteps, tokens: mesh!.slots * mesh!.slotTokens },
    ...{ wallSeconds: wallMs / 1000, loss: mesh!.loss?.loss ?? null },
    windowSeconds: mean(rows.map(({ tookMs }) => tookMs ?? 0)) / 1000,
    trainSeconds:
      mean(rows.map(({ parts }) => Math.max(...parts.map((each) => each.trainMs ?? 0)))) / 1000,
    judgeSeconds: mean(rows.map((row) => (row.scoredMs ?? 0) - (row.sealedMs ?? 0))) / 1000,
    mergeSeconds:
      mean(rows.map((row) => (row.tookMs ?? 0) + row.openedMs - (row.scoredMs ?? row.openedMs))) /
      1000,
    betweenSeconds: mean(gaps) / 1000,
    utilisation: mean(Object.values(busy)),
    ...{ busy, contributionBytes: sizeBytes, contributionDenseBytes: denseBytes, cableBytes },
    cableBytesPerWindow: mean(cableBytes) / Math.max(1, rows.length),
  };
  say(
    `${rows.length} windows in ${seconds(wallMs)} s, held-out loss ${summary.loss?.toFixed(4)}; training ${(100 * summary.utilisation).toFixed(1)} % of the time; ${sizeBytes.toFixed(0)} bytes a contribution, ${(denseBytes / sizeBytes).toFixed(1)} times fewer than dense`,
  );
  return summary;
}

const reason = whyNoNetwork();
if (reason !== null) throw new Error(`no network of namespaces can be had here: ${reason}`);
const cable = { delayMs: Number(words.delay), bitsPerSecond: Number(words.megabits) * 1e6 };
const environment = {
  PSIONIC_TRAIN_THREADS: words.threads,
  ...(words.logs === undefined ? {} : { PSIONIC_UP_LOG_LEVEL: "debug" }),
};
const network = new MachineNetwork(workerCount, cable);
await using cluster = new Cluster(
  network,
  Array.from({ length: workerCount }, () => environment),
);
const summary = words.single
  ? await trainSingle(cluster.machines[0]!)
  : await trainTogether(cluster);
if (words.logs !== undefined)
  for (const { home, index } of cluster.machines)
    cpSync(join(home, "logs"), join(words.logs, String(index)), { recursive: true });
say(JSON.stringify(summary));
