/** Begins a run of the mesh: data prepared, document made, and the run written into the log. */
import { copyFile, link } from "node:fs/promises";
import { join } from "node:path";
import { clusterOf } from "#src/cluster/command-parts.ts";
import type { ClusterService } from "#src/cluster/services.ts";
import { isLive, type Member, type MeshState } from "#src/cluster/state.ts";
import type { CommandContext, Services } from "#src/command/define.ts";
import type { Dataset } from "#src/dataset/dataset.ts";
import { parameterCount, requireMemory } from "#src/model/cost.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { DeltaCodec } from "#src/train/delta/codec.ts";
import { layoutOf } from "#src/train/delta/layout.ts";
import { PeakStore } from "#src/train/peak-store.ts";
import { openData } from "#src/train/prepare-data.ts";
import { datasetsDirectory } from "#src/train/run-data.ts";
import { runDataFolder, writeRunDocument, type RunDocument } from "#src/train/run-document.ts";
import { runName } from "#src/train/run-name.ts";
import { pinnedPlan } from "#src/train/run-plan.ts";
import { RunStore } from "#src/train/run-store.ts";
import { assignTrainingData } from "#src/train/training-data.ts";
import { isOver } from "#src/window/run.ts";
import { meshRunsOf } from "../windows/mesh-runs-of.ts";
import { runsOf } from "./find-run.ts";
import { meshDefaults } from "./mesh-defaults.ts";
import { planMeshRun, type MeshPlan, type MeshRequest } from "./mesh-plan.ts";

/** Folders that an earlier attempt left behind are removed after so long. */
const abandonedMs = 86_400_000;

/** Those that can work on a run now. */
export function trainersOf({ members }: Pick<MeshState, "members">): readonly Member[] {
  return members.filter(
    (member) => isLive(member) && member.standing === "ready" && member.roles.includes("trainer"),
  );
}

/** Refused with `scope_lacking` on a node that is neither a host nor an owner of its mesh. */
export function requireHost(cluster: Pick<ClusterService, "standing" | "state">): void {
  const { node } = cluster.standing();
  const state = cluster.state();
  const isHost = (each: Member) =>
    isLive(each) && (each.roles.includes("host") || state.owners.includes(each.node));
  const hosts = state.members.filter(isHost);
  if (hosts.some((each) => each.node === node)) return;
  const places = hosts.map((each) => each.contact.places[0] ?? each.node);
  throw new Refusal(
    "scope_lacking",
    "only a host or an owner of the mesh begins, pauses and ends its runs, and this node is neither",
    `run the command on such a machine (${places.join(", ")}), or train here alone: --on here`,
    { node, hosts: hosts.map((each) => each.node), places },
  );
}

export interface BegunRun {
  readonly run: string;
  readonly name: string;
  readonly document: string;
  readonly index: number;
  readonly plan: MeshPlan;
  readonly nodes: readonly string[];
  readonly parameters: number;
  /** Bytes of a contribution, packed and as it is. */
  readonly contributionBytes: number;
  readonly denseBytes: number;
  /** The run this node trains by itself; it takes part once that is over. */
  readonly busyWith: string | null;
}

/**
 * Begins a run; returns once it stands in the log. Refusals: `scope_lacking`, `trainers_absent`, `run_name_taken`,
 * those of data, plan and artifacts, and of the log.
 */
export async function beginMeshRun(
  request: MeshRequest,
  { services, signal, emit }: Pick<CommandContext, "services" | "signal" | "emit">,
): Promise<BegunRun> {
  const cluster = clusterOf(services);
  const meshRuns = meshRunsOf(services);
  requireHost(cluster);
  const trainers = trainersOf(cluster.state());
  if (trainers.length === 0)
    throw new Refusal(
      "trainers_absent",
      "No ready member of the mesh is a trainer, so nobody would work on the run.",
      "Have a trainer join: `psionic token create --role trainer` prints the line for it.",
    );
  const name = freeName(request, services);
  const directory = datasetsDirectory(services.home.root);
  const dataset = await openData(request, services.disk, directory, emit);
  const plan = planMeshRun(request, dataset, {
    trainerCount: trainers.length,
    flopsPerSecond: await measuredFlops(services),
  });
  const { manifest } = plan.document;
  const compiled = pinnedPlan(manifest);
  if (trainers.some(({ node }) => node === cluster.standing().node))
    requireMemory(compiled, (await services.machine.facts()).memoryBytes);
  // Text too short for one context is refused before there is a run of it.
  assignTrainingData(dataset, manifest);
  const layout = layoutOf(compiled);
  const sizeOf = (codec: RunDocument["codec"]) => new DeltaCodec(codec).sizeBytes(layout);
  signal.throwIfAborted();
  const created = await withDocument(services, plan.document, dataset, (location) =>
    meshRuns.create({ name, spec: plan.spec, location }, signal),
  );
  return {
    ...{ run: created.run, name: created.name, document: created.document, index: created.index },
    plan,
    nodes: trainers.map(({ node }) => node),
    parameters: parameterCount(manifest.model),
    contributionBytes: sizeOf(plan.document.codec),
    denseBytes: sizeOf({ name: "dense", decayPerMille: 0 }),
    busyWith: services.trainings.active()[0]?.name ?? null,
  };
}

/** A name that neither this home nor a run of the mesh that goes on has. */
function freeName(request: MeshRequest, services: Pick<Services, "store" | "cluster">): string {
  const locals = new RunStore(services.store);
  const going = runsOf(services.cluster).filter((run) => !isOver(run));
  const isTaken = (name: string) =>
    going.some((run) => run.name === name) || locals.isNameTaken(name);
  try {
    return runName(request, isTaken);
  } catch (error) {
    if (!(error instanceof Refusal) || error.code !== "run_name_taken") throw error;
    const { name } = request;
    throw new Refusal(
      "run_name_taken",
      error.message,
      `Choose another --name; \`psionic run status ${name}\` shows that run.`,
      { name },
    );
  }
}

/** FLOP/s this machine reaches in training, where it was measured: exact kernels reach about half of its peak. */
async function measuredFlops(services: Services): Promise<number | null> {
  const { coreCount } = await services.machine.facts();
  const peak = new PeakStore(services.store).get(`best/${coreCount}`, services.clock.wallMs());
  return peak === null ? null : peak * meshDefaults.shareOfPeak;
}

/** Hands over a folder with the run's document and its data, and removes it afterwards. */
async function withDocument<Result>(
  { disk, home, random, clock }: Pick<Services, "disk" | "home" | "random" | "clock">,
  document: RunDocument,
  dataset: Dataset,
  use: (location: string) => Promise<Result>,
): Promise<Result> {
  const staging = join(home.root, "staging");
  for (const { name, modifiedMs } of await disk.list(staging))
    if (clock.wallMs() - modifiedMs > abandonedMs) await disk.remove(join(staging, name));
  const location = join(staging, Buffer.from(random.bytes(8)).toString("hex"));
  try {
    await disk.makeDirectory(location);
    await writeRunDocument(disk, location, document);
    if (dataset.reference.task === "text") {
      const from = dataset.reference.directory;
      const to = join(location, runDataFolder);
      await disk.makeDirectory(to);
      for (const { name, kind } of await disk.list(from))
        if (kind === "file") await place(join(from, name), join(to, name));
    }
    return await use(location);
  } finally {
    await disk.remove(location);
  }
}

/** The same file in a second place, without its bytes being written again where the file system can. */
async function place(from: string, to: string): Promise<void> {
  await link(from, to).catch(() => copyFile(from, to));
}
