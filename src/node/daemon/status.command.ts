import { statfsSync } from "node:fs";
import * as v from "valibot";
import type { Services } from "#src/command/define.ts";
import { defineCommand } from "#src/command/registry.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { printable } from "#src/surface/cli/printable.ts";
import { collectAlerts } from "#src/train/collect-alerts.ts";
import { alertResult } from "#src/train/run-results.ts";
import { RunStore } from "#src/train/run-store.ts";
import { findRunningDaemon } from "./daemon-file.ts";
import { meshSummary, meshText, summarizeMesh } from "./mesh-line.ts";
import { nodeEpoch } from "./node-epoch.ts";
import { bytesText, durationWords } from "./wording.ts";

/** Runs looked at for one that trains: the newest. */
const runMaximum = 100;

const activeRun = v.object({
  run: v.string(),
  name: v.string(),
  step: v.number(),
  steps: v.number(),
  loss: v.nullable(v.number()),
  tokensPerSecond: v.nullable(v.number()),
});

const result = v.object({
  state: v.picklist(["running", "stopped"]),
  node: v.nullable(v.object({ nodeId: v.string(), epoch: v.number(), homePath: v.string() })),
  daemon: v.nullable(
    v.object({
      ...{ pid: v.number(), startedMs: v.number(), url: v.string(), version: v.string() },
      /** Where other nodes are answered, and the certificate to pin; null while that is off. */
      peer: v.nullable(v.object({ address: v.string(), fingerprint: v.string() })),
    }),
  ),
  /** The mesh it takes part in; null where no daemon says. */
  mesh: v.nullable(meshSummary),
  machine: v.object({
    operatingSystem: v.string(),
    architecture: v.string(),
    processor: v.string(),
    coreCount: v.number(),
    memoryBytes: v.number(),
    freeMemoryBytes: v.number(),
  }),
  disk: v.object({ freeBytes: v.number(), totalBytes: v.number() }),
  runs: v.object({ active: v.array(activeRun), count: v.number() }),
  alerts: v.array(alertResult),
  nowMs: v.number(),
});

type Result = v.InferOutput<typeof result>;

defineCommand({
  name: "status",
  summary: "How this node stands: its daemon, what trains, what needs attention.",
  access: "owner",
  flow: "node",
  parameters: v.strictObject({}),
  result,
  examples: ["psionic status", "psionic status --json"],
  async run(_parameters, { services, signal }): Promise<Result> {
    const daemon = services.daemon?.file ?? (await findRunningDaemon(services.home));
    return {
      state: daemon === null ? "stopped" : "running",
      node: await nodeOf(services),
      daemon:
        daemon === null
          ? null
          : {
              pid: daemon.pid,
              startedMs: daemon.startedMs,
              url: daemon.url,
              version: daemon.version,
              peer: daemon.peer ?? null,
            },
      mesh: daemon === null ? null : await summarizeMesh(services, daemon, signal),
      machine: await services.machine.facts(),
      disk: diskOf(services),
      runs: runsOf(services),
      alerts: await collectAlerts(services),
      nowMs: Math.floor(services.clock.wallMs()),
    };
  },
  view: (screen) => ({
    result(status) {
      for (const line of statusLines(status)) screen.print(printable(line));
      if (status.state === "stopped") screen.note("start it: psionic up --detach");
    },
  }),
});

/** Null before the first `init`, `train` or `up`. */
async function nodeOf(services: Services): Promise<Result["node"]> {
  try {
    const { nodeId } = await services.identity.open();
    return { nodeId, epoch: nodeEpoch(services.store), homePath: services.home.root };
  } catch (error) {
    if (error instanceof Refusal && error.code === "identity_absent") return null;
    throw error;
  }
}

function diskOf({ home, store }: Services): Result["disk"] {
  // Opening the store makes the home of a new node, so that there is a disk to ask about.
  store.get("SELECT 1");
  const { bavail, blocks, bsize } = statfsSync(home.root);
  return { freeBytes: bavail * bsize, totalBytes: blocks * bsize };
}

function runsOf({ store, clock }: Services): Result["runs"] {
  const runs = new RunStore(store);
  const nowMs = clock.wallMs();
  const active = runs.newest(runMaximum).filter((run) => runs.stateOf(run, nowMs) === "running");
  return {
    count: Number(store.get("SELECT count(*) AS count FROM run")!["count"]),
    active: active.map((run) => {
      const last = runs.lastStep(run.id);
      return {
        run: run.id,
        name: run.name,
        step: last?.step ?? 0,
        steps: run.manifest.schedule.steps,
        loss: last?.loss ?? null,
        tokensPerSecond: last?.tokensPerSecond ?? null,
      };
    }),
  };
}

function statusLines(status: Result): string[] {
  const { node, daemon, mesh, machine, disk, runs, alerts, nowMs } = status;
  const up = daemon === null ? null : durationWords(nowMs - daemon.startedMs);
  return [
    daemon === null
      ? "stopped   no daemon has this home"
      : `running   process ${daemon.pid}, up ${up}, ${daemon.url}`,
    node === null
      ? "node      none yet; psionic init makes one"
      : `node      ${node.nodeId}, epoch ${node.epoch}`,
    ...(node === null ? [] : [`home      ${node.homePath}`]),
    ...peersLines(daemon),
    ...(mesh === null ? [] : [`mesh      ${meshText(mesh)}`]),
    `machine   ${machine.processor}, ${machine.coreCount} cores, ${bytesText(machine.freeMemoryBytes)} of ${bytesText(machine.memoryBytes)} memory free`,
    `disk      ${bytesText(disk.freeBytes)} of ${bytesText(disk.totalBytes)} free`,
    ...(runs.active.length === 0 ? [`runs      ${runs.count}, none training`] : []),
    ...runs.active.map(
      ({ name, step, steps, loss }) =>
        `training  ${name}: step ${step} of ${steps}${loss === null ? "" : `, loss ${loss.toFixed(4)}`}`,
    ),
    ...alerts.flatMap(({ severity, message, hint }) => [
      `${severity === "critical" ? "CRITICAL" : "warning "}  ${message}`,
      `          ${hint}`,
    ]),
  ];
}

function peersLines(daemon: Result["daemon"]): string[] {
  const peer = daemon?.peer ?? null;
  return peer === null ? [] : [`peers     ${peer.address}, certificate ${peer.fingerprint}`];
}
