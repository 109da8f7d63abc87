/** Which run `train --resume` means, and whether what was said with it still fits what is pinned. */
import { digestSources } from "#src/dataset/corpus.ts";
import { listSources } from "#src/dataset/source.ts";
import type { TextDataset } from "#src/dataset/text-dataset.ts";
import { Refusal } from "#src/refusal/refusal.ts";
import { reopenRunData } from "./run-data.ts";
import type { Run, RunStore } from "./run-store.ts";
import type { TrainRequest } from "./train-parameters.ts";
import type { TrainContext } from "./train-context.ts";

/** The values a run's manifest pins, by the option that says them. */
function pinnedValues({ name, manifest }: Run): Partial<Record<keyof TrainRequest, unknown>> {
  const { model, optimizer, schedule, checkpoints, evaluation } = manifest;
  return {
    name,
    size: manifest.size,
    seed: manifest.seed,
    steps: schedule.steps,
    style: model.style,
    layers: model.layers,
    width: model.width,
    heads: model.heads,
    groups: model.groups,
    context: manifest.contextLength,
    dropout: model.dropout,
    batch: manifest.batchSize,
    microBatches: manifest.microBatches,
    recompute: manifest.recompute,
    learningRate: schedule.peakRate,
    warmup: schedule.warmupSteps,
    schedule: schedule.kind,
    optimizer: optimizer.kind,
    weightDecay: optimizer.weightDecay,
    clip: optimizer.clipNorm,
    checkpointEvery: checkpoints.everySteps,
    evaluateEvery: evaluation.everySteps,
  };
}

/** Part of the data, which is pinned whole; these cannot be compared one by one. */
const dataOptions = ["tokenizer", "vocabulary", "textField", "holdOut"] as const;

/** What decides a run's bits may be said again, not changed. Refuses with `run_changed`. */
function checkPinned(request: TrainRequest, run: Run): void {
  const pinned = pinnedValues(run);
  const options = [...(Object.keys(pinned) as (keyof TrainRequest)[]), ...dataOptions];
  const changed = options.find(
    (option) => request[option] !== undefined && request[option] !== pinned[option],
  );
  if (changed === undefined) return;
  const option = changed.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  throw new Refusal(
    "run_changed",
    `--${option} is pinned by run ${run.name} and cannot be changed by --resume.`,
    "Leave it out to go on exactly as planned, or start a new run.",
    { run: run.id, option, pinned: pinned[changed] ?? null, given: request[changed] },
  );
}

/**
 * Which run is meant by --resume, and the files that were given with it. A single word that is no file
 * names the run; a terminal that passes a call on may have made it look like a path.
 */
async function findRun(
  { resume, name, files }: TrainRequest,
  { services }: TrainContext,
  runs: RunStore,
): Promise<{ readonly run: Run; readonly files: readonly string[] }> {
  if (typeof resume === "string") return { run: runs.resolve(resume), files };
  if (name !== undefined) return { run: runs.resolve(name), files };
  const [only] = files;
  if (only !== undefined && files.length === 1 && (await services.disk.stat(only)) === null)
    return { run: runs.resolve(only.slice(only.lastIndexOf("/") + 1)), files: [] };
  return { run: runs.resolve("latest"), files };
}

/** The run to go on with. Refuses with `run_not_found`, `run_ambiguous`, `run_changed`, `run_finished`. */
export async function resumedRun(
  request: TrainRequest,
  context: TrainContext,
  runs: RunStore,
): Promise<Run> {
  const { run, files } = await findRun(request, context, runs);
  checkPinned(request, run);
  const last = runs.lastStep(run.id)?.step ?? 0;
  const { steps } = run.manifest.schedule;
  if (run.state === "completed" && last >= steps)
    throw new Refusal(
      "run_finished",
      `Run ${run.name} has completed all its ${steps} steps.`,
      `\`psionic sample ${run.name}\` uses it; \`psionic train\` without --resume starts a new run.`,
      { run: run.id, steps: last },
    );
  if (files.length > 0) await checkSources(run, files, context);
  return run;
}

/** Refuses with `run_changed`, naming the file, when given files are not what the run was made from. */
async function checkSources(
  run: Run,
  files: readonly string[],
  { services }: TrainContext,
): Promise<void> {
  const { disk, home } = services;
  const found = await digestSources(disk, await listSources(disk, files));
  const pinned =
    run.manifest.data.reference.task === "text"
      ? ((await reopenRunData(run.manifest, disk, home.root)) as TextDataset).manifest.sources
      : [];
  const changed =
    found.find(({ sha256 }, index) => pinned[index]?.sha256 !== sha256)?.path ??
    pinned.slice(found.length)[0]?.name;
  if (changed === undefined) return;
  throw new Refusal(
    "run_changed",
    `${changed} is not what run ${run.name} began with.`,
    "Leave the files out to go on with the text as it was, or start a new run with the new text.",
    { run: run.id, file: changed },
  );
}
